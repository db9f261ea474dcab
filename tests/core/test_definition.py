"""A document is refused with everything that is wrong with it, each with its place."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from engine import DefinitionError, TaskWrapper, WorkflowContext, task
from engine.core.compile import compile as compile_document
from engine.core.compile import problems
from engine.core.definition import json_schema
from engine.core.errors import InvalidInput
from graflow_site.demo.examples import EXAMPLES

TASKS = {"do": TaskWrapper("do", lambda: None), "needs": TaskWrapper("needs", lambda x: x)}


def document(tasks: list[Any], edges: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"schema": "graflow/1", "name": "test", "tasks": tasks, "edges": edges or [], **more}


def do(task_id: str, **more: Any) -> dict[str, Any]:
    return {"id": task_id, "kind": "task", "uses": "do", **more}


def edge(source: str, target: str, **more: Any) -> dict[str, Any]:
    return {"source": source, "target": target, **more}


def places(doc: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.path) for problem in problems(doc, TASKS)]


CASES = [
    ("not an object", "text", ("wrong_type", "")),
    ("unknown key", document([do("a")], defaults={"max_cycles": 3}), ("unknown_key", "defaults.max_cycles")),
    ("unknown task key", document([do("a", colour="red")]), ("unknown_key", "tasks[0].colour")),
    ("unknown kind", document([{"id": "a", "kind": "robot"}]), ("unknown_kind", "tasks[0].kind")),
    ("missing uses", document([{"id": "a", "kind": "task"}]), ("missing_key", "tasks[0].uses")),
    ("unknown function", document([{"id": "a", "kind": "task", "uses": "os.system"}]), ("unknown_task", "tasks[0].uses")),
    ("duplicate id", document([do("a"), do("a")]), ("duplicate_id", "tasks[1].id")),
    ("edge to nowhere", document([do("a")], [edge("a", "b")]), ("unknown_task", "edges[0].target")),
    ("edge from nowhere", document([do("a")], [edge("b", "a")]), ("unknown_task", "edges[0].source")),
    ("same edge twice", document([do("a"), do("b")], [edge("a", "b"), edge("a", "b")]), ("duplicate_edge", "edges[1]")),
    ("no tasks", document([]), ("no_tasks", "tasks")),
    ("missing parameter", document([{"id": "a", "uses": "needs"}]), ("missing_parameter", "tasks[0].params.x")),
    ("unknown parameter", document([do("a", params={"y": 1})]), ("unknown_parameter", "tasks[0].params.y")),
    ("bad expression", document([{"id": "a", "uses": "needs", "params": {"x": {"$": "1 +"}}}]), ("bad_expression", "tasks[0].params.x")),
    ("bad condition", document([do("a"), do("b")], [edge("a", "b", when="nobody > 1")]), ("bad_expression", "edges[0].when")),
    ("endless loop", document([do("a", max_cycle=0)], [edge("a", "a")]), ("endless_loop", "edges[0]")),
    ("cycle forbidden", document([do("a"), do("b")], [edge("a", "b"), edge("b", "a", loop=False)]), ("cycle_not_allowed", "edges[1].loop")),
    ("loop without a cycle", document([do("a"), do("b")], [edge("a", "b", loop=True)]), ("loop_not_closing", "edges[0].loop")),
    ("unreachable", document([do("x"), do("a"), do("b")], [edge("a", "b"), edge("b", "a")]), ("unreachable_task", "tasks[1]")),
    (
        "loop into a group",
        document([do("a"), do("b"), do("c"), do("d")], [edge("a", "g"), edge("g", "d"), edge("d", "b")], groups=[{"id": "g", "members": ["b", "c"]}]),
        ("loop_into_group", "edges[2].target"),
    ),
    ("bad join", document([do("a", join=0)]), ("wrong_value", "tasks[0].join")),
    ("bad policy", document([do("a")], groups=[{"id": "g", "members": ["a"], "policy": {"at_least": 2}}]), ("policy_unreachable", "groups[0].policy")),
    ("choice without options", document([{"id": "a", "kind": "choice"}]), ("missing_key", "tasks[0].options")),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_problem_names_its_place(doc, expected):
    assert expected in places(doc)


def test_all_problems_come_at_once():
    doc = document(
        [do("a"), do("a"), {"id": "b", "uses": "nope"}],
        [edge("a", "z"), edge("a", "b", when="1 +")],
        defaults={"max_cycles": 1},
    )
    assert {path for _, path in places(doc)} == {
        "defaults.max_cycles",
        "tasks[1].id",
        "tasks[2].uses",
        "edges[0].target",
        "edges[1].when",
    }


def test_an_edge_from_a_task_to_itself_keeps_it_a_start():
    doc = document([do("a"), do("b")], [edge("a", "a")])
    assert compile_document(doc, TASKS).starts == ("a", "b")
    doc["edges"][0]["loop"] = False
    assert places(doc) == [("cycle_not_allowed", "edges[0].loop")]


def test_a_condition_can_end_an_unlimited_loop():
    doc = document([do("a", max_cycle=0)], [edge("a", "a", when="iteration < 3")])
    assert places(doc) == []


def test_two_members_of_a_group_can_be_the_heads_of_a_loop():
    doc = document(
        [do("b"), do("c"), do("d")], [edge("g", "d"), edge("d", "g")], groups=[{"id": "g", "members": ["b", "c"]}]
    )
    plan = compile_document(doc, TASKS)
    assert set(plan.loops[0].heads) == {"b", "c"}


def test_a_group_is_no_member_of_another():
    groups = [{"id": "g", "members": ["a", "b"]}, {"id": "h", "members": ["g", "c"]}]
    (problem,) = problems(document([do("a"), do("b"), do("c")], groups=groups), TASKS)
    assert problem.path == "groups[1].members[0]"
    assert problem.message == "group 'g' cannot be a member of a group; name its tasks instead"


def test_from_definition_raises_with_the_problems():
    with pytest.raises(DefinitionError) as raised:
        WorkflowContext.from_definition(document([do("a"), do("a")]), tasks=TASKS)
    assert raised.value.problems[0].path == "tasks[1].id"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda doc: doc["name"])
def test_an_example_fits_the_published_schema_and_survives_the_way_there_and_back(example):
    jsonschema.validate(example, json_schema())
    once = WorkflowContext.from_definition(example).to_definition()
    assert WorkflowContext.from_definition(once).to_definition() == once


def test_the_schema_refuses_what_the_parser_refuses():
    validator = jsonschema.Draft202012Validator(json_schema())
    for name, doc, (code, _) in CASES:
        if code in ("unknown_key", "unknown_kind", "missing_key", "wrong_type"):
            assert not validator.is_valid(doc), name


@pytest.mark.parametrize(
    "hostile",
    [
        "(" * 500 + "1" + ")" * 500,
        "1" + " && 1" * 1000,
        "[1].map(x, x)",
        "'a'.matches('a*')",
        "-" * 300 + "1",
        "x" * 3000,
    ],
)
def test_a_hostile_expression_is_refused(hostile):
    doc = document([do("a"), do("b")], [edge("a", "b", when=hostile)])
    assert ("bad_expression", "edges[0].when") in places(doc)


def test_inputs_that_were_left_out_have_their_declared_defaults() -> None:
    inputs = {"type": "object", "properties": {"tone": {"type": "string", "default": "plain"}}}
    say = {"id": "say", "kind": "transform", "value": {"$": "inputs.tone"}}
    wf = WorkflowContext.from_definition(document([say], inputs=inputs))
    assert wf.execute().results == {"say": "plain"}
    assert wf.execute(inputs={"tone": "merry"}).results == {"say": "merry"}
    with pytest.raises(InvalidInput, match="do not fit"):
        wf.execute(inputs={"tone": 3})


def test_a_function_that_takes_anything_gets_all_parameters_of_the_document():
    @task
    def anything(**given):
        return given

    doc = document([{"id": "a", "uses": "anything", "params": {"x": 1, "y": {"$": "1 + 1"}}}])
    wf = WorkflowContext.from_definition(doc, tasks={"anything": anything})
    assert wf.execute().results["a"] == {"x": 1, "y": 2}
