"""Random graphs with loops, groups, joins, failures and human steps, played in random order."""

from __future__ import annotations

import os
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core import news as n
from engine.core.compile import compile as compile_document
from engine.core.errors import DefinitionError
from engine.core.feedback import build_request
from engine.core.history import Event, number
from engine.core.machine import advance
from engine.core.plan import Plan
from engine.core.state import LEGAL_MOVES, RunState, TaskStatus
from engine.core.task import TaskWrapper

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "400"))
TASK = {"do": TaskWrapper("do", lambda: None)}
MAX_NEWS = 20_000


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A definition of up to 10 tasks: forward edges along an order, loop edges against it, groups, joins."""
    size = draw(st.integers(1, 10))
    ids = [f"t{i}" for i in range(size)]
    joins = st.sampled_from(["all_done", "all_done", "all", "any", 2])
    tasks = [
        {
            "id": task_id, "kind": "task", "uses": "do", "join": draw(joins),
            "max_cycle": draw(st.integers(1, 3)), "max_retries": draw(st.integers(0, 1)),
            "on_error": draw(st.sampled_from(["fail", "fail", "fail", "ignore"])),
            "on_max_cycle": draw(st.sampled_from(["stop", "stop", "stop", "fail"])),
        }
        for task_id in ids
    ]  # fmt: skip
    edges: dict[tuple[str, str, str], dict[str, Any]] = {}
    kinds = st.sampled_from(["success", "success", "success", "error", "rejected", "skipped", "always"])
    for _ in range(draw(st.integers(0, 14))):
        first, second = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        edge = {"source": ids[first], "target": ids[second], "on": draw(kinds)}
        edges[(edge["source"], edge["target"], edge["on"])] = edge
    groups = []
    if size >= 4 and draw(st.booleans()):
        members = draw(st.lists(st.sampled_from(ids), min_size=2, max_size=3, unique=True))
        policy = draw(st.sampled_from(["strict", "best_effort", {"at_least": 1}, {"critical": members[:1]}]))
        groups.append({"id": "g", "members": members, "policy": policy})
        outside = [task_id for task_id in ids if task_id not in members]
        if outside:
            target = draw(st.sampled_from(outside))
            edges[("g", target, "success")] = {"source": "g", "target": target}
    return {
        "schema": "graflow/1", "name": "random", "tasks": tasks, "edges": list(edges.values()), "groups": groups,
        "defaults": {"on_error": draw(st.sampled_from(["continue", "continue", "stop"]))},
    }  # fmt: skip


def play(plan: Plan, fate: int, order: int, *, stop_after: int | None = None) -> tuple[RunState, list[Event]]:
    """Play a run to its end. `fate` decides what bodies and people do (by task and iteration, whatever the
    order), `order` which ready task goes next.
    """
    state = RunState.for_plan(plan)
    rng = Random(order)
    now = 0.0
    told = 0

    def tell(news: n.News) -> None:
        nonlocal told
        advance(plan, state, news)
        told += 1
        assert told < MAX_NEWS, "the run does not end"

    tell(n.RunStarted(now))
    while not state.is_final():
        now += 1.0
        if stop_after is not None and told >= stop_after:
            tell(n.StopRequested(now))
            stop_after = None
            continue
        live = [
            task for task in state.tasks.values()
            if task.status in (TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.RETRY_WAITING, TaskStatus.FEEDBACK_REQUIRED)
        ]  # fmt: skip
        assert live, f"status {state.status} and nothing can move"
        task = rng.choice(live)
        luck = Random(f"{fate}/{task.task_id}/{task.iteration}/{task.attempt}/{task.resumed}")
        if task.status is TaskStatus.READY:
            tell(n.TaskStarted(task.task_id, now))
        elif task.status is TaskStatus.RETRY_WAITING:
            tell(n.TimerRang(task.task_id, now))
        elif task.status is TaskStatus.FEEDBACK_REQUIRED:
            decision: Any = luck.choice(["approve", "approve", "reject", "skip"])
            tell(n.Answered(task_id=task.task_id, at=now, decision=decision, reason="because"))
        else:
            tell(_end_of_body(task.task_id, luck, now, asked=_asked(state, task.task_id, task.iteration)))
    return state, list(number(state.log))


def _asked(state: RunState, task_id: str, iteration: int) -> bool:
    return any(
        entry[0] == "feedback_requested" and entry[1] == task_id and entry[4] == iteration for entry in state.log
    )


def _end_of_body(task_id: str, luck: Random, now: float, *, asked: bool) -> n.News:
    roll = luck.random()
    if roll < 0.15:
        return n.TaskFailed(task_id=task_id, at=now, error="broken", retryable=luck.random() < 0.5)
    if roll < 0.3 and not asked:
        request = build_request(task_id, 1, "#1", None)
        return n.TaskSuspended(task_id=task_id, at=now, requests=(request,))
    wishes = None
    if roll > 0.9:
        child = n.Spawn(task_id=f"{task_id}_{luck.getrandbits(32):08x}", uses="do", args={}, join=luck.random() < 0.5)
        wishes = n.Wishes(spawn=(child,) if len(task_id) < 20 else (), iterate=roll > 0.97)
    elif roll > 0.8:
        wishes = n.Wishes(iterate=True)
    return n.TaskFinished(task_id, now, luck.randint(0, 3), wishes)


def compiled(document: dict[str, Any]) -> Plan | None:
    try:
        return compile_document(document, tasks=TASK)
    except DefinitionError:
        return None


SETTINGS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)


@SETTINGS
@given(documents(), st.integers(0, 2**16), st.integers(0, 2**16), st.none() | st.integers(1, 30))
def test_every_run_ends_and_keeps_the_rules(
    document: dict[str, Any], fate: int, order: int, stop_after: int | None
) -> None:
    plan = compiled(document)
    if plan is None:
        return
    state, events = play(plan, fate, order, stop_after=stop_after)
    assert state.reason != "stalled", state.failure
    assert all(task.status is TaskStatus.COMPLETED for task in state.tasks.values())
    assert (state.open, state.live, state.asking) == (0, 0, 0)
    assert all(loop.live == 0 for loop in state.loops)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    check_moves(events)
    check_joins(plan, events, stopped=stop_after is not None)
    check_limits(plan, state)
    assert fold_statuses(plan, events) == {task.task_id: task.status.value for task in state.tasks.values()}


def check_moves(events: list[Event]) -> None:
    """Every recorded pair of statuses is a legal move, continuous with the one before."""
    present: dict[str, str] = {}
    for event in events:
        if event.type == "task_created":
            present[event.task_id or ""] = "blocked"
        if event.type != "task_status":
            continue
        assert event.task_id is not None and event.from_ is not None and event.to is not None
        assert present.get(event.task_id, "blocked") == event.from_, event
        assert TaskStatus(event.to) in LEGAL_MOVES[TaskStatus(event.from_)], event
        present[event.task_id] = event.to


def check_joins(plan: Plan, events: list[Event], *, stopped: bool) -> None:
    """A task with the default join starts only after every forward predecessor has an end in this round."""
    ended: set[str] = set()
    for event in events:
        if event.type == "task_created" and event.data is None and event.task_id is not None:
            ended.discard(event.task_id)
        if event.type != "task_status" or event.task_id is None:
            continue
        if event.to in ("planned", "completed", "success"):
            ended.add(event.task_id)
        if event.from_ == "planned" and event.to == "ready":
            ended.discard(event.task_id)
        if event.from_ == "blocked" and event.to == "ready" and (task := plan.tasks.get(event.task_id)):
            heads = {head for loop in plan.loops for index in loop.edges for head in plan.edges[index].heads}
            if task.join != "all_done" or event.task_id in heads:
                continue
            for index in task.inputs:
                missing = set(plan.members_of(plan.edges[index].source)) - ended
                assert not missing, f"{event.task_id} started before {missing}"


def check_limits(plan: Plan, state: RunState) -> None:
    heads = {head for loop in plan.loops for head in loop.heads}
    for task_id, task in plan.tasks.items():
        assert state.tasks[task_id].retry_count <= task.max_retries
        if task_id in heads or not task.loops:
            assert state.tasks[task_id].cycle_count <= task.max_cycle
        assert state.tasks[task_id].cycle_count <= max(task.max_cycle, 3) * 30


def fold_statuses(plan: Plan, events: list[Event]) -> dict[str, str]:
    present = dict.fromkeys(plan.tasks, "blocked")
    for event in events:
        if event.type in ("task_status", "task_created") and event.task_id is not None:
            present[event.task_id] = str(event.to)
    return present


@SETTINGS
@given(documents(), st.integers(0, 2**16), st.integers(0, 2**16), st.integers(0, 2**16))
def test_the_result_does_not_depend_on_the_order_of_parallel_tasks(
    document: dict[str, Any], fate: int, one: int, other: int
) -> None:
    if document["defaults"]["on_error"] == "stop" or any(task["join"] in ("any", 2) for task in document["tasks"]):
        return  # "stop" and racing joins depend on the order by their meaning
    plan = compiled(document)
    if plan is None:
        return
    assert outcome(play(plan, fate, one)[0]) == outcome(play(plan, fate, other)[0])


def outcome(state: RunState) -> Any:
    tasks = {t.task_id: (t.outcome, t.iteration, t.result, t.reason) for t in state.tasks.values()}
    return state.status, sorted(tasks.items())
