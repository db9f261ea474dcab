"""The common case in one step: a task worked, and the edges out of it simply fire.

The same rules as `machine`, without its detours, for local runs of many small tasks. Nothing is left out of
the history: its entries are in a short form that `history.number` writes out. A property test holds both
ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.history import DONE_IN_SHORT, PLANNED_IN_SHORT, READY_IN_SHORT
from engine.core.plan import PlainTask, PlanEdge, PlanGroup, PlanTask
from engine.core.state import RunState, TaskState, TaskStatus

_BLOCKED, _READY, _COMPLETED = TaskStatus.BLOCKED, TaskStatus.READY, TaskStatus.COMPLETED
_PLANNED = TaskStatus.PLANNED


def plain_tasks(
    tasks: Mapping[str, PlanTask], edges: Sequence[PlanEdge], groups: Mapping[str, PlanGroup]
) -> dict[str, PlainTask]:
    """The tasks `finish` may be used for: unconditional success edges into joins that wait for everything.
    Edges out of a loop, and loop edges themselves, are the machine's business when the loop is decided.
    """
    found: dict[str, PlainTask] = {}
    for task in tasks.values():
        own = [edges[index] for index in task.out if not edges[index].leaves]
        simple = (
            task.kind == "task"
            and all(edge.on == "success" and edge.when is None for edge in own)
            and all(_waits_for_everything(tasks[edge.target]) for edge in own)
            and all(not groups[group_id].leaves for group_id in task.groups)
        )
        if simple:
            out = tuple(
                (edge.index, edge.target, len(tasks[edge.target].inputs), tasks[edge.target].loops) for edge in own
            )
            closes = tuple((str(index), loop) for index in task.closes if (loop := edges[index].loop) is not None)
            found[task.id] = PlainTask(task.id, out, task.groups, task.loops, closes)
    return found


def _waits_for_everything(target: PlanTask) -> bool:
    # With "all" a dead edge from before a loop skips the target again in every pass: left to the machine.
    return target.join == "all_done" or (target.join == "all" and not target.loops)


def finish(
    state: RunState, task: TaskState, plain: PlainTask, started: float, ended: float, value: object, ready: list[str]
) -> bool:
    """ready → running → success → completed (in a loop: → planned) for the first attempt of a plain task;
    appends to `ready` the tasks that may start now. False when nothing is left to run, a group is complete or
    a loop is quiet: then the machine has to look (`machine.after_plain`).
    """
    log, tasks = state.log, state.tasks
    task.result = value
    task.how = "success"
    task.cycle_count += 1
    task.at = ended
    if plain.loops:
        task.status = _PLANNED
        log.append((PLANNED_IN_SHORT, plain.id, task.iteration, started, ended))  # type: ignore[arg-type]
    else:
        task.outcome = "success"
        task.status = _COMPLETED
        state.open -= 1
        log.append((DONE_IN_SHORT, plain.id, task.iteration, started, ended))  # type: ignore[arg-type]
    state.steps += 1
    live = state.live - 1
    for index, target_id, needed, loops in plain.out:
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
        log.append((READY_IN_SHORT, target_id, target.iteration, ended))  # type: ignore[arg-type]
        live += 1
        ready.append(target_id)
        for loop in loops:
            state.loops[loop].live += 1
    state.live = live
    goes_on = live > 0
    if plain.loops and _quiet(state, plain):
        goes_on = False
    if plain.groups and not _arrive(state, task, plain.groups):
        goes_on = False
    return goes_on


def _quiet(state: RunState, plain: PlainTask) -> bool:
    """Count the task out of its loops; True when the body of one has nothing left that moves, or it is over."""
    for index, loop in plain.closes:
        state.loops[loop].sources[index] = "success"
    quiet = False
    for loop in plain.loops:
        there = state.loops[loop]
        there.live -= 1
        if not there.live or there.ended:
            quiet = True
    return quiet


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
