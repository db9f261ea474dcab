"""The common case in one step: a task worked, and the edges out of it simply fire.

The same rules as `machine`, without its detours, for local runs of many small tasks. Nothing is left out of
the history: its entries are in a short form that `history.number` writes out. A property test holds both
ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import filterfalse

from engine.core.cycle import may_run_again
from engine.core.history import DONE_IN_SHORT, PLANNED_IN_SHORT, READY_IN_SHORT
from engine.core.plan import PlainLoop, PlainTask, PlanEdge, PlanGroup, PlanLoop, PlanTask
from engine.core.state import RunState, TaskState, TaskStatus, begin_iteration

_BLOCKED, _READY, _COMPLETED = TaskStatus.BLOCKED, TaskStatus.READY, TaskStatus.COMPLETED
_PLANNED = TaskStatus.PLANNED


def plain_tasks(
    tasks: Mapping[str, PlanTask],
    edges: Sequence[PlanEdge],
    groups: Mapping[str, PlanGroup],
    loops: Sequence[PlanLoop],
) -> dict[str, PlainTask]:
    """The tasks `finish` may be used for: unconditional success edges into joins that wait for everything.
    Edges out of a loop, and loop edges themselves, are the machine's business when the loop is decided.
    """
    found: dict[str, PlainTask] = {}
    rounds = {loop.index: _plain_loop(loop, tasks, edges, loops) for loop in loops}
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
            around = rounds[task.loops[0]] if len(task.loops) == 1 else None
            found[task.id] = PlainTask(task.id, out, task.groups, task.loops, closes, around)
    return found


def _waits_for_everything(target: PlanTask) -> bool:
    # With "all" a dead edge makes the difference between starting and skipping: left to the machine.
    return target.join == "all_done"


def _plain_loop(
    loop: PlanLoop, tasks: Mapping[str, PlanTask], edges: Sequence[PlanEdge], loops: Sequence[PlanLoop]
) -> PlainLoop | None:
    """What `go_round` needs, for a loop of one unconditional success edge that nothing but its limit ends, with
    neither groups nor other loops in its body.
    """
    edge = edges[loop.edges[0]]
    is_alone = all(other is loop or not other.body & loop.body for other in loops)
    goes_by_itself = edge.on == "success" and edge.when is None and not edge.rules
    if len(loop.edges) > 1 or not is_alone or not goes_by_itself or edge.again_groups or edge.resets:
        return None
    return PlainLoop(
        loop.index,
        heads=tuple((head, tasks[head].max_cycle) for head in edge.heads),
        members=tuple(task_id for task_id in edge.again if task_id not in edge.heads),
        limits=tuple((task_id, tasks[task_id].max_cycle) for task_id in edge.limited if task_id not in edge.heads),
        fired=edge.index,
        forgets=edge.forgets,
        told={"loop": loop.index, "source": edge.source, "target": edge.target},
    )


def finish(
    state: RunState, task: TaskState, plain: PlainTask, started: float, ended: float, value: object, ready: list[str]
) -> bool:
    """ready → running → success → completed (in a loop: → planned) for the first attempt of a plain task;
    appends to `ready` the tasks that may start now. False when nothing is left to run, a group is complete or
    a loop has to be decided: then the machine has to look (`machine.after_plain`).
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
        goes_on = plain.round is not None and go_round(state, plain.round, ended, ready)
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


def go_round(state: RunState, loop: PlainLoop, at: float, ready: list[str]) -> bool:
    """Take a quiet loop once more, if its whole body has worked in this pass and its heads may run again; appends
    the heads to `ready`. False when the machine has to decide.
    """
    there, tasks, log = state.loops[loop.index], state.tasks, state.log
    if there.live or there.ended or not there.sources or state.verdicts:
        return False
    for task_id, limit in loop.heads:
        task = tasks[task_id]
        if task.status is not _PLANNED or task.iterates or not may_run_again(limit, task.cycle_count):
            return False
    for task_id in loop.members:
        task = tasks[task_id]
        if task.status is not _PLANNED or task.iterates:
            return False
    if not all(may_run_again(limit, tasks[task_id].cycle_count) for task_id, limit in loop.limits):
        return False
    there.passes += 1
    there.sources = {}
    first = tasks[loop.heads[0][0]]
    data = {**loop.told, "passes": there.passes}
    log.append(("loop_taken", first.task_id, None, None, first.iteration, first.attempt, at, data))
    for task_id in loop.members:
        task = tasks[task_id]
        _begin_again(task, loop.forgets)
        task.status, task.at = _BLOCKED, at
        log.append(("task_created", task_id, None, "blocked", task.iteration, 1, at, None))
    for task_id, _ in loop.heads:
        task = tasks[task_id]
        _begin_again(task, loop.forgets, loop.fired)
        task.status, task.at = _READY, at
        log.append(("task_status", task_id, "planned", "ready", task.iteration, 1, at, None))
        ready.append(task_id)
    there.live += len(loop.heads)
    state.live += len(loop.heads)
    return True


def _begin_again(task: TaskState, forgets: frozenset[int], *fired: int) -> None:
    task.fired = (*filterfalse(forgets.__contains__, task.fired), *fired)
    if task.dead:
        task.dead = tuple(filterfalse(forgets.__contains__, task.dead))
    begin_iteration(task)


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
