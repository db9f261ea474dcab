"""A local run left in the middle by an interrupt goes on with the next `execute()`."""

from __future__ import annotations

from typing import Any

import pytest

from engine import TaskWrapper, WorkflowContext


def interrupted_once(first: list[int]) -> None:
    if not first:
        first.append(1)
        raise KeyboardInterrupt


def workflow(func: Any, mode: str = "sequential", **settings: Any) -> WorkflowContext:
    tasks = {"body": TaskWrapper("body", func, max_retries=0), "after": TaskWrapper("after", lambda: "after")}
    document = {
        "schema": "graflow/1",
        "name": "left",
        "defaults": {"execution_mode": mode},
        "tasks": [{"id": "a", "uses": "body"}, {"id": "b", "uses": "after"}, {"id": "c", "uses": "after"}],
        "edges": [{"source": "a", "target": "b"}],
    }
    return WorkflowContext.from_definition(document, tasks, **settings)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
@pytest.mark.parametrize("with_context", [False, True], ids=["plain", "with context"])
def test_what_ran_is_tried_again_without_a_retry(with_context: bool, mode: str) -> None:
    first: list[int] = []

    def plain() -> None:
        interrupted_once(first)

    def asking(context: Any) -> None:
        interrupted_once(first)

    made = workflow(asking if with_context else plain, mode)
    with pytest.raises(KeyboardInterrupt):
        made.execute()
    result = made.execute()
    assert (result.status, result.results["b"], result.state("a").retry_count) == ("succeeded", "after", 0)
    assert result.history("a")[:5] == ["blocked", "ready", "running", "error", "retry_waiting"]
    assert [record.error for record in result.attempts("a")] == ["released: interrupted", None]


def test_a_delay_and_a_step_that_had_not_begun_go_on() -> None:
    first: list[int] = []
    made = workflow(lambda: interrupted_once(first))
    document = made.to_definition()
    document["tasks"] += [{"id": "wait", "kind": "delay", "seconds": 0.05}, {"id": "d", "uses": "after"}]
    document["tasks"].insert(0, document["tasks"].pop(3))  # the delay begins first
    document["edges"].append({"source": "wait", "target": "d"})
    made = WorkflowContext.from_definition(document, made._tasks)
    with pytest.raises(KeyboardInterrupt):
        made.execute()
    result = made.execute()
    assert (result.status, result.results["c"], result.results["d"]) == ("succeeded", "after", "after")
    assert result.history("wait").count("running") == 1


def test_a_workflow_inside_goes_on_where_it_was() -> None:
    first: list[int] = []
    done: list[str] = []
    tasks = {
        "before": TaskWrapper("before", lambda: done.append("before")),
        "body": TaskWrapper("body", lambda: interrupted_once(first)),
    }
    child = {
        "schema": "graflow/1",
        "name": "child",
        "tasks": [{"id": "x", "uses": "before"}, {"id": "y", "uses": "body"}],
        "edges": [{"source": "x", "target": "y"}],
    }
    parent = {"schema": "graflow/1", "name": "p", "tasks": [{"id": "step", "kind": "workflow", "workflow": "child"}]}
    made = WorkflowContext.from_definition(parent, tasks, workflows={"child": child})
    with pytest.raises(KeyboardInterrupt):
        made.execute()
    assert (made.execute().status, done) == ("succeeded", ["before"])
