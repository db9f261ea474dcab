"""Bad arguments in Python: refused where they are given, by an error that names them and says the way out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from engine import (
    Channel,
    DefinitionError,
    EngineError,
    IllegalTransition,
    MemoryCoordinator,
    ParallelGroupExecutor,
    TaskQueue,
    TaskSpec,
    TaskState,
    WorkflowStateError,
    step,
    task,
    workflow,
)
from engine.core.compile import problems
from engine.core.expression import Expression
from engine.core.task import TaskWrapper

# -- tasks and workflows ------------------------------------------------------------------------------------------


async def later() -> int:
    return 1


def items() -> Any:
    yield 1


async def both() -> Any:
    yield 1


class Called:
    async def __call__(self) -> int:
        return 1


@pytest.mark.parametrize("func", [later, items, both, functools.partial(later), Called()])
def test_a_function_that_only_makes_an_object_is_no_task(func: Any) -> None:
    with pytest.raises(EngineError, match=r"Give a plain function: it may call asyncio\.run"):
        task(name="odd")(func)


@pytest.mark.parametrize("name", ["", None, 5, "n" * 101])
def test_a_workflow_has_a_name_that_a_document_may_have(name: Any) -> None:
    with pytest.raises(WorkflowStateError, match=r"name=.* must be text of 1 to 100 characters"):
        workflow(name)
    assert workflow("n" * 100).name


def test_a_problem_of_a_workflow_in_python_names_its_task_and_keeps_its_path() -> None:
    with workflow("w") as wf:
        step("first", "branch") >> step("x", "transform", value={"$": "nobody"})
        wf.add_edge("first", "x", when="1 +")
    with pytest.raises(DefinitionError) as raised:
        wf.plan()
    found = {problem.path: problem.message for problem in raised.value.problems}
    assert found.keys() == {"tasks[1].value", "edges[1].when"}
    assert found["tasks[1].value"].endswith("(task 'x')")
    assert found["edges[1].when"].endswith("(edge 'first' → 'x')")
    with pytest.raises(DefinitionError, match=r"tasks\[0\]\.seconds: .*\(task 'x'\)"):
        step("x", "delay", seconds=-1)
    document = {"schema": "graflow/1", "name": "w", "tasks": [{"id": "x", "kind": "delay", "seconds": -1}]}
    assert "(task" not in problems(document)[0].message


def test_a_cycle_that_nothing_leads_into_is_told_how_to_begin() -> None:
    made = {"schema": "graflow/1", "name": "w", "tasks": [{"id": n, "kind": "branch"} for n in "abc"]}
    made["edges"] = [{"source": "b", "target": "c"}, {"source": "c", "target": "b"}]
    assert all('"loop": true, in Python loop=True' in problem.message for problem in problems(made))
    made["edges"][1]["loop"] = True
    assert problems(made) == []


def test_stopping_a_run_that_waits_closes_it_and_its_questions_at_once() -> None:
    with workflow("inner") as inner:
        step("below", "approval")
    for mode in ("sequential", "parallel"):
        with workflow("outer", execution_mode=mode) as wf:
            step("ask", "approval") >> step("after", "branch")
            step("inside", "workflow", workflow=inner)
        result = wf.execute()
        context = wf.execution_context
        assert (result.status, len(context.feedback_manager.pending_feedback)) == ("waiting", 2)
        wf.stop("enough")
        wf.stop()
        assert (context.state.status, context.state.reason) == ("stopped", "enough")
        assert not context.feedback_manager.pending_feedback
        ended = wf.execute()
        assert (ended.status, ended.run_id) == ("stopped", context.run_id)
        assert wf.execute().status == "waiting"  # a new run
        assert wf.execution_context is not context


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "source", "expected"),
    [
        ((1, 2), "x[1]", 2),
        ([(1, 2), (3,)], "size(x[0])", 2),
        ({"a": (1, {"b": (7,)})}, "x.a[1].b[0]", 7),
        ({3}, "x", [3]),
        (frozenset({"s"}), "'s' in x", True),
    ],
)
def test_an_expression_reads_tuples_and_sets_as_lists(value: Any, source: str, expected: Any) -> None:
    assert Expression(source, ["x"]).evaluate({"x": value}) == expected


def test_fields_stand_in_the_order_they_were_given_in_or_in_that_of_the_alphabet() -> None:
    given = {"order": 7, "amount": 1, "lines": [{"sku": "a", "count": 2}], "note": "", "by": "ann", "to": "bob"}
    named, made = (
        Expression("x", ["x"]).evaluate({"x": given}),
        Expression("{'b': x, 'a': 1}", ["x"]).evaluate({"x": given}),
    )
    assert [*named] == [*given] and [*named["lines"][0]] == ["sku", "count"]
    assert [*made] == ["a", "b"] and [*made["b"]] == sorted(given)


def test_a_condition_reads_the_tuple_of_a_task() -> None:
    with workflow("pair") as wf:
        wf.add_edge(TaskWrapper("pair", lambda: (1, 2)), TaskWrapper("next", lambda: "ran"), when="pair[0] < pair[1]")
    assert wf.execute().results["next"] == "ran"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.append("n", 1), "channel 'c', key 'n': append adds to a list, not to 5"),
        (lambda c: c.append("t", 1), "append adds to a list, not to 'text'"),
        (lambda c: c.incr("n", "1"), "channel 'c', key 'n': incr adds numbers, and cannot add '1'"),
        (lambda c: c.incr("n", None), "cannot add None"),
        (lambda c: c.incr("t", "more"), "to 'text'"),
        (lambda c: c.incr("new", [1]), "key 'new': incr adds numbers"),
    ],
)
def test_a_change_that_does_not_fit_names_its_channel_and_key(change: Callable[[Channel], Any], words: str) -> None:
    channel = Channel("c")
    channel.set("n", 5)
    channel.set("t", "text")
    for error in (EngineError, TypeError):
        with pytest.raises(error, match=words):
            change(channel)
    assert (channel.get("n"), channel.get("t"), channel.get("new")) == (5, "text", None)


# -- coordination -------------------------------------------------------------------------------------------------


def test_a_status_that_does_not_exist_is_no_move() -> None:
    state = TaskState("t")
    with pytest.raises(IllegalTransition, match="'blocked' to 'bogus'"):
        state.transition_to("bogus")  # type: ignore[arg-type]
    assert state.status == "blocked"
    with pytest.raises(EngineError, match="status='bogus' is unknown; use one of: blocked"):
        TaskQueue().get_tasks_by_status("bogus")  # type: ignore[arg-type]


def test_what_is_no_work_is_refused() -> None:
    with pytest.raises(EngineError, match="5 is no TaskSpec; write TaskSpec"):
        TaskQueue().enqueue(5)  # type: ignore[arg-type]
    for sequence in ([5], [[TaskSpec("a", int), 5]], ["ab"]):
        with pytest.raises(EngineError, match="is no TaskSpec"):
            ParallelGroupExecutor().execute_sequence(sequence)  # type: ignore[arg-type]
    with MemoryCoordinator() as coordinator, pytest.raises(EngineError, match="whole number, not '2'"):
        coordinator.create_barrier("z", "2")  # type: ignore[arg-type]
