"""The common case in one step: a task outside every loop worked, and its edges simply fire.

The same rules as `machine`, without its detours, for local runs of many small tasks. Nothing is left out of
the history: its entries are in a short form that `history.number` writes out. A property test holds both
ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.history import DONE_IN_SHORT, READY_IN_SHORT
from engine.core.plan import PlainTask, PlanEdge, PlanGroup, PlanTask
from engine.core.state import RunState, TaskState, TaskStatus

_BLOCKED, _READY, _COMPLETED = TaskStatus.BLOCKED, TaskStatus.READY, TaskStatus.COMPLETED


def plain_tasks(
    tasks: Mapping[str, PlanTask], edges: Sequence[PlanEdge], groups: Mapping[str, PlanGroup]
) -> dict[str, PlainTask]:
    """The tasks `finish` may be used for: no loop around them, only unconditional success edges, joins that
    wait for everything.
    """
    found: dict[str, PlainTask] = {}
    for task in tasks.values():
        own = [edges[index] for index in task.out]
        simple = (
            task.kind == "task" and not task.loops and not task.closes and not task.converge
            and all(edge.on == "success" and edge.when is None and not edge.leaves for edge in own)
            and all(tasks[edge.target].join in ("all_done", "all") and not tasks[edge.target].loops for edge in own)
            and all(not groups[group_id].leaves for group_id in task.groups)
        )  # fmt: skip
        if simple:
            out = tuple((edge.index, edge.target, len(tasks[edge.target].inputs)) for edge in own)
            found[task.id] = PlainTask(task.id, out, task.groups)
    return found


def finish(
    state: RunState, task: TaskState, plain: PlainTask, started: float, ended: float, value: object, ready: list[str]
) -> bool:
    """ready → running → success → completed for the first attempt of a plain task; appends to `ready` the
    tasks that may start now. False when nothing is left to run or a group is complete: then the machine has
    to look (`machine.after_plain`).
    """
    log, tasks = state.log, state.tasks
    task.result = value
    task.how = task.outcome = "success"
    task.cycle_count = 1
    task.at = ended
    task.status = _COMPLETED
    log.append((DONE_IN_SHORT, task.task_id, started, ended))  # type: ignore[arg-type]
    state.steps += 1
    state.open -= 1
    live = state.live - 1
    for index, target_id, needed in plain.out:
        target = tasks[target_id]
        if target.status is not _BLOCKED:
            target.dead = (*target.dead, index)
            continue
        if needed == 1:
            target.fired = (index,)
        else:
            target.fired = fired = (*target.fired, index)
            if len(fired) + len(target.dead) < needed:
                continue
        target.status = _READY
        target.at = ended
        log.append((READY_IN_SHORT, target_id, ended))  # type: ignore[arg-type]
        live += 1
        ready.append(target_id)
    state.live = live
    if not plain.groups:
        return live > 0
    return _arrive(state, task, plain.groups) and live > 0


def _arrive(state: RunState, task: TaskState, groups: tuple[str, ...]) -> bool:
    """Count the arrival at each group that still waits; False when one is complete."""
    waits = True
    for group_id in groups:
        group = state.groups[group_id]
        if group.outcome is not None or group_id in task.arrived:
            continue
        task.arrived = (*task.arrived, group_id)
        group.arrived += 1
        group.worked += 1
        waits = waits and group.arrived < group.size
    return waits
