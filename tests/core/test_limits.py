"""What a definition may not be: at each limit it is accepted, one further it is refused, with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from engine import TaskWrapper
from engine.core.checks import Outside
from engine.core.compile import compile as compile_document
from engine.core.compile import problems
from engine.core.definition import (
    MAX_BYTES,
    MAX_EDGES,
    MAX_LOOPS,
    MAX_NAME,
    MAX_NESTING,
    MAX_RECIPIENTS,
    MAX_SLUG,
    MAX_TASKS,
    json_schema,
)
from engine.core.expression import MAX_DEPTH, MAX_LENGTH, MAX_PARTS

TASKS = {"do": TaskWrapper("do", lambda: None)}
Made = dict[str, Any]


def document(tasks: list[Made], edges: list[Made] | None = None, **more: Any) -> Made:
    return {"schema": "graflow/1", "name": "test", "tasks": tasks, "edges": edges or [], **more}


def do(task_id: str, **more: Any) -> Made:
    return {"id": task_id, "uses": "do", **more}


def edge(source: str, target: str, **more: Any) -> Made:
    return {"source": source, "target": target, **more}


def numbered(count: int) -> list[Made]:
    return [do(f"t{n}") for n in range(count)]


def many_edges(count: int) -> Made:
    pairs = ((a, b) for a in range(200) for b in range(a + 1, 200))
    return document(numbered(200), [edge(f"t{a}", f"t{b}") for _, (a, b) in zip(range(count), pairs, strict=False)])


def loops(count: int) -> Made:
    """A chain of tasks, `count` of which loop to themselves."""
    chain = [edge(f"t{n}", f"t{n + 1}") for n in range(count)]
    return document(numbered(count + 1), chain + [edge(f"t{n}", f"t{n}") for n in range(count)])


def nested(depth: int) -> Made:
    """A chain in which each loop spans the one before it and a task more."""
    chain = [edge(f"t{n}", f"t{n + 1}") for n in range(depth)]
    return document(
        numbered(depth + 1), chain + [edge(f"t{n + 1}", "t0", when=f"iteration < {n}") for n in range(depth)]
    )


def of_bytes(size: int) -> Made:
    made = document([do("a")], description="")
    made["description"] = "ü" * ((size - len(json.dumps(made, separators=(",", ":")))) // 2)
    rest = size - len(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode())
    made["description"] += "x" * rest
    return made


def joined(edges: int, join: int, **more: Any) -> Made:
    """`join` edges wanted, `edges` of them there."""
    return document([*numbered(edges), do("end", join=join)], [edge(f"t{n}", "end") for n in range(edges)], **more)


def expressed(expression: str) -> Made:
    return document([{"id": "a", "kind": "transform", "value": {"$": expression}}])


def parts(count: int) -> str:
    """A list that is written in so many parts."""
    items = ["1"] * ((count - 1) // 2) if count % 2 else ["-1"] + ["1"] * ((count - 4) // 2)
    return f"[{','.join(items)}]"


def told(**more: Any) -> Made:
    return document([{"id": "a", "kind": "notify", "message": "m", **more}])


CASES: list[tuple[str, Callable[[int], Made], int, tuple[str, str]]] = [
    ("tasks", lambda n: document(numbered(n), [edge("t0", "t1")]), MAX_TASKS, ("too_large", "tasks")),
    ("edges", many_edges, MAX_EDGES, ("too_large", "edges")),
    ("bytes", of_bytes, MAX_BYTES, ("too_large", "")),
    ("loops", loops, MAX_LOOPS, ("too_large", "edges")),
    ("nesting", nested, MAX_NESTING, ("nested_too_deep", f"edges[{MAX_NESTING + 1}]")),
    ("name", lambda n: document([do("a")]) | {"name": "n" * n}, MAX_NAME, ("wrong_value", "name")),
    ("id", lambda n: document([do("a" * n)]), MAX_NAME, ("wrong_value", "tasks[0].id")),
    ("recipients", lambda n: told(to=["ann"] * n), MAX_RECIPIENTS, ("wrong_value", "tasks[0].to")),
    ("slug", lambda n: document([{"id": "a", "kind": "workflow", "workflow": "s" * n}]), MAX_SLUG, ("wrong_value", "tasks[0].workflow")),
    ("join", lambda n: joined(3, n), 3, ("join_unreachable", "tasks[3].join")),
    ("max_cycle", lambda n: document([do("a", max_cycle=n)]), 10_000, ("wrong_value", "tasks[0].max_cycle")),
    ("status", lambda n: document([{"id": "a", "kind": "http", "url": "http://a", "expect": [n]}]), 599, ("wrong_value", "tasks[0].expect")),
    ("length of an expression", lambda n: expressed("'" + "x" * (n - 2) + "'"), MAX_LENGTH, ("bad_expression", "tasks[0].value")),
    ("parts of an expression", lambda n: expressed(parts(n)), MAX_PARTS, ("bad_expression", "tasks[0].value")),
    ("depth of an expression", lambda n: expressed("(" * n + "1" + ")" * n), MAX_DEPTH, ("bad_expression", "tasks[0].value")),
]  # fmt: skip


@pytest.mark.parametrize(("made", "limit", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_limit_is_kept_and_one_further_refused(
    made: Callable[[int], Made], limit: int, found: tuple[str, str]
) -> None:
    assert problems(made(limit), TASKS) == []
    over = problems(made(limit + 1), TASKS)
    assert found in [(problem.code, problem.path) for problem in over]


def test_a_group_counts_as_one_edge_into_a_join() -> None:
    groups = [{"id": "g", "members": ["t0", "t1"]}]
    made = document([*numbered(2), do("end", join=1)], [edge("g", "end")], groups=groups)
    assert problems(made, TASKS) == []
    made["tasks"][2]["join"] = 2
    assert [(p.code, p.path) for p in problems(made, TASKS)] == [("join_unreachable", "tasks[2].join")]


def test_a_loop_edge_does_not_count_for_a_join() -> None:
    made = document([do("a"), do("b", join=2), do("c")], [edge("a", "b"), edge("b", "c"), edge("c", "b")])
    assert [(p.code, p.path) for p in problems(made, TASKS)] == [("join_unreachable", "tasks[1].join")]


ASKS = {"id": "a", "kind": "approval"}


@pytest.mark.parametrize(
    ("source", "certain"),
    [
        (ASKS, False),
        ({"id": "a", "kind": "text"}, False),
        (do("a"), False),
        (ASKS | {"on_reject": "raise"}, True),
        ({"id": "a", "kind": "transform", "value": 1}, True),
        ({"id": "a", "kind": "branch"}, True),
        ({"id": "a", "kind": "delay", "seconds": 1}, True),
        ({"id": "a", "kind": "map", "uses": "test.items", "items": []}, True),
        ({"id": "a", "kind": "http", "url": "https://a.net"}, True),
        ({"id": "a", "kind": "workflow", "workflow": "w"}, True),
        ({"id": "a", "kind": "notify", "to": ["ann"], "message": "m"}, True),
    ],
)
def test_an_edge_over_a_rejection_needs_something_that_can_be_rejected(source: Made, certain: bool) -> None:
    tasks = TASKS | {"test.items": TaskWrapper("test.items", lambda item: item)}
    found = problems(document([source, do("b")], [edge("a", "b", on="rejected")]), tasks)
    assert [(p.code, p.path) for p in found] == ([("never_rejected", "edges[0].on")] if certain else [])


def test_a_group_is_never_rejected_and_the_problem_says_what_to_do() -> None:
    groups = [{"id": "g", "members": ["a", "c"]}]
    made = document([ASKS, do("c"), do("b")], [edge("g", "b", on="rejected")], groups=groups)
    (problem,) = problems(made, TASKS)
    assert (problem.code, problem.path) == ("never_rejected", "edges[0].on")
    assert "from the member" in problem.message


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ({"kind": "http"}, ("missing_key", "tasks[0].url")),
        ({"kind": "http", "url": "ftp://a"}, ("wrong_value", "tasks[0].url")),
        ({"kind": "http", "url": 7}, ("wrong_value", "tasks[0].url")),
        ({"kind": "http", "url": {"$": "1 +"}}, ("bad_expression", "tasks[0].url")),
        ({"kind": "http", "url": "http://a", "method": "get"}, ("wrong_value", "tasks[0].method")),
        ({"kind": "http", "url": "http://a", "headers": {"X": 1}}, ("wrong_value", "tasks[0].headers")),
        (
            {"kind": "http", "url": "http://a", "headers": {"X": {"$": "nobody"}}},
            ("bad_expression", "tasks[0].headers"),
        ),
        ({"kind": "http", "url": "http://a", "expect": []}, ("wrong_value", "tasks[0].expect")),
        ({"kind": "http", "url": "http://a", "expect": [True]}, ("wrong_value", "tasks[0].expect")),
        ({"kind": "http", "url": "http://a", "uses": "do"}, ("unknown_key", "tasks[0].uses")),
        ({"kind": "workflow"}, ("missing_key", "tasks[0].workflow")),
        ({"kind": "workflow", "workflow": ""}, ("wrong_value", "tasks[0].workflow")),
        ({"kind": "workflow", "workflow": "w", "version": 0}, ("wrong_value", "tasks[0].version")),
        ({"kind": "workflow", "workflow": "w", "inputs": []}, ("wrong_value", "tasks[0].inputs")),
        ({"kind": "workflow", "workflow": "other"}, ("unknown_workflow", "tasks[0].workflow")),
        ({"kind": "notify", "to": ["ann"]}, ("missing_key", "tasks[0].message")),
        ({"kind": "notify", "message": "m"}, ("missing_key", "tasks[0].to")),
        ({"kind": "notify", "message": "m", "to": []}, ("missing_key", "tasks[0].to")),
        ({"kind": "notify", "message": "m", "to": [" "]}, ("wrong_value", "tasks[0].to")),
        ({"kind": "notify", "message": 1, "to": ["ann"]}, ("wrong_value", "tasks[0].message")),
        ({"kind": "notify", "message": "m", "webhook": "other"}, ("unknown_webhook", "tasks[0].webhook")),
    ],
)
def test_a_step_that_cannot_be_carried_out_is_refused(step: Made, found: tuple[str, str]) -> None:
    outside = Outside(
        workflow=lambda slug, version: None if slug == "w" else "is not there",
        webhook=lambda name: None if name == "chat" else "is not there",
    )
    over = problems(document([{"id": "a", **step}]), TASKS, outside)
    assert found in [(problem.code, problem.path) for problem in over]


def test_what_can_be_carried_out_compiles() -> None:
    steps = [
        {"id": "a", "kind": "http", "url": "HTTPS://a.net/", "headers": {"X": {"$": "inputs.x"}}, "query": {"q": [1]}, "body": 0},
        {"id": "b", "kind": "workflow", "workflow": "w", "version": 2, "inputs": {"n": {"$": "a.status"}}},
        {"id": "c", "kind": "notify", "message": {"$": "b"}, "webhook": "chat"},
    ]  # fmt: skip
    made = document(steps, [edge("a", "b"), edge("b", "c")])
    jsonschema.validate(made, json_schema())
    plan = compile_document(made)
    assert (plan.tasks["a"].params["method"], plan.tasks["a"].max_retries, plan.tasks["b"].max_retries) == ("GET", 3, 0)


def test_what_was_published_before_a_rule_was_made_still_has_a_plan() -> None:
    groups = [{"id": "g", "members": ["t0", "t1"]}]
    made = document([*numbered(2), do("end", join=3)], [edge("g", "end", on="rejected")], groups=groups)
    for odd in (made, loops(MAX_LOOPS + 1), nested(MAX_NESTING + 1), of_bytes(MAX_BYTES + 1)):
        assert problems(odd, TASKS)
        assert compile_document(odd, TASKS, published=True).tasks
