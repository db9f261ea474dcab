"""What is foreseen comes, in that order, if everything works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given

from engine.core import news as n
from engine.core.foresight import foreseen
from engine.core.machine import advance
from engine.core.plan import Plan
from engine.core.state import RunState, TaskStatus

from .test_machine_properties import SETTINGS, compiled, documents


def started(plan: Plan) -> RunState:
    state = RunState.for_plan(plan)
    advance(plan, state, n.RunStarted(0.0))
    return state


def drawn(keys: str, edges: list[Any], **more: Any) -> Plan:
    pairs = [dict(zip(("source", "target"), edge, strict=True)) if isinstance(edge, str) else edge for edge in edges]
    tasks = [{"id": key, "uses": "do"} for key in keys]
    plan = compiled({"schema": "graflow/1", "name": "Test", "tasks": tasks, "edges": pairs, **more})
    assert plan is not None
    return plan


@SETTINGS
@given(documents())
def test_what_is_foreseen_comes_in_that_order(document: dict[str, Any]) -> None:
    plan = compiled(document)
    assume(plan is not None)
    assert plan is not None
    state = started(plan)
    for _ in range(40):
        begun = [task.task_id for task in state.tasks.values() if task.status is TaskStatus.READY]
        if not begun or state.is_final():
            return
        for key in begun:
            advance(plan, state, n.TaskStarted(key, 0.0))
        coming = foreseen(plan, state, begun, 20)
        for key in begun:
            advance(plan, state, n.TaskFinished(key, 0.0, 1))
        for key in coming:
            assert state.tasks[key].status is TaskStatus.READY, (begun, coming, key)
            advance(plan, state, n.TaskStarted(key, 0.0))
            advance(plan, state, n.TaskFinished(key, 0.0, 1))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (drawn("abcd", ["ab", "bc", "cd"]), "bcd"),
        (drawn("abcd", ["ab", "ac", "bd", "cd"]), "bcd"),
        (drawn("abcd", ["ab", {"source": "b", "target": "c", "on": "error"}, "bd"]), ""),
        (drawn("abcd", ["ab", {"source": "b", "target": "c", "when": "true"}, "cd"]), ""),
        (drawn("abcd", ["ab", "bc", {"source": "c", "target": "b", "loop": True}, "cd"]), ""),
        (drawn("abcd", ["ab", "ac", {"source": "g", "target": "d"}], groups=[{"id": "g", "members": ["b", "c"]}]), ""),
    ],
    ids=["chain", "diamond", "failure", "condition", "loop", "group"],
)
def test_only_what_nothing_but_a_failure_can_change_is_foreseen(plan: Plan, expected: str) -> None:
    state = started(plan)
    advance(plan, state, n.TaskStarted("a", 0.0))
    assert "".join(foreseen(plan, state, ["a"], 20)) == expected
    assert "".join(foreseen(plan, state, ["a"], 2)) == expected[:2]
    advance(plan, state, n.StopRequested(0.0))
    assert foreseen(plan, state, ["a"], 20) == []
