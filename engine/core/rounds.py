"""Loops of a run: when one is decided, how it goes round, what its end releases."""

from __future__ import annotations

from collections.abc import Collection

from engine.core.cycle import is_close, may_run_again
from engine.core.errors import ExpressionError
from engine.core.fold import Fold
from engine.core.plan import Converge, PlanEdge, PlanLoop
from engine.core.routes import (
    CYCLE_LIMIT,
    ERROR,
    FIRES,
    IGNORED,
    LOOP_FAILED,
    REJECTED,
    arrive,
    count_arrival,
    decide,
    fail_run,
    groups_ahead,
    holds,
    mark_handled,
    settle_planned,
)
from engine.core.scope import edge_value, expression_scope, source_value
from engine.core.state import LoopState, TaskState, TaskStatus

CONVERGED, CONDITION = "converged", "condition"
_PLANNED, _COMPLETED = TaskStatus.PLANNED, TaskStatus.COMPLETED


def decide_next(fold: Fold) -> bool:
    """Decide one quiet loop, the innermost first. False when none is left to decide."""
    quiet = fold.quiet
    while quiet:
        index = quiet.pop() if len(quiet) == 1 else next(index for index in fold.plan.order if index in quiet)
        quiet.discard(index)
        loop, state = fold.plan.loops[index], fold.state.loops[index]
        if not state.ended and not state.live and len(state.sources) == len(loop.edges):
            _decide(fold, loop, state)
            return True
    return False


def _decide(fold: Fold, loop: PlanLoop, state: LoopState) -> None:
    reason = CONDITION
    for index in loop.edges:
        edge = fold.plan.edges[index]
        how = state.sources[str(index)]
        if fold.state.closing is not None or how not in FIRES[edge.on]:
            continue
        if edge.when is not None and not holds(fold, edge):
            continue
        if edge.rules and _has_converged(fold, state, edge):
            reason = CONVERGED
        elif not _may_go_round(fold, edge):
            reason = CYCLE_LIMIT
        else:
            _take(fold, loop, state, edge, how)
            return
    _end(fold, loop, state, reason)


def _may_go_round(fold: Fold, edge: PlanEdge) -> bool:
    tasks, planned = fold.state.tasks, fold.plan.tasks
    return all(may_run_again(planned[name].max_cycle, tasks[name].cycle_count) for name in edge.limited)


def _has_converged(fold: Fold, state: LoopState, edge: PlanEdge) -> bool:
    """Compare this pass with the last one by every rule the loop has; each remembers its value."""
    # Every rule has to see every pass, also when an earlier one has already converged.
    still = [stands_still(fold, state.last, state.steady, key, rule, source) for key, rule, source in edge.rules]
    return any(still)


def stands_still(
    fold: Fold, last: dict[str, object], steady: dict[str, int], key: str, rule: Converge, source: str
) -> bool:
    """Whether the value of `rule` has kept still for its patience. Without a value nothing has converged."""
    try:
        if rule.value is None:
            value = source_value(fold.plan, fold.state, source)
        else:
            value = rule.value.evaluate(expression_scope(fold.state, rule.value.names, fold.plan, source))
    except ExpressionError as error:
        fold.note("convergence_unknown", fold.state.tasks.get(source), {"error": str(error)})
        return False
    close = key in last and is_close(last[key], value, rule.tolerance)
    last[key] = value
    steady[key] = steady.get(key, 0) + 1 if close else 0
    return steady[key] >= rule.patience


def _take(fold: Fold, loop: PlanLoop, state: LoopState, edge: PlanEdge, how: str) -> None:
    """Go round: the heads are ready again, the rest of the body waits in its next life."""
    tasks, plan = fold.state.tasks, fold.plan
    # The source begins a new life: what it says of its failure has to be read before.
    carried = edge_value(plan, fold.state, edge) if how in (ERROR, REJECTED) else None
    if how in (ERROR, REJECTED) and edge.on == how:
        mark_handled(fold, edge.source)
    again, forgets = edge.renews, edge.forgets
    if fold.state.verdicts:
        judge(fold, only=again)
    state.passes += 1
    fold.note(
        "loop_taken",
        tasks[edge.heads[0]],
        {"loop": loop.index, "source": edge.source, "target": edge.target, "passes": state.passes},
    )
    if len(loop.edges) == 1:
        state.sources = {}
    else:
        kept = {index: end for index, end in state.sources.items() if plan.edges[int(index)].source not in again}
        state.sources = kept
    if len(plan.loops) > 1:
        _reopen_others(fold, loop, edge)
    for group_id in edge.again_groups:
        _reset_group(fold, group_id, again)
    for task_id in edge.again:
        task = tasks[task_id]
        task.fired = tuple([index for index in task.fired if index not in forgets])
        if task.dead:
            task.dead = tuple([index for index in task.dead if index not in forgets])
        fold.changed.add(task_id)
        if task_id in edge.heads:
            continue
        if task_id in edge.resets or task.iterates:
            task.cycle_count, task.iterates = 0, False
        if task.status is not TaskStatus.BLOCKED:
            fold.new_life(task)
    for head in edge.heads:
        _start_again(fold, tasks[head], edge, carried)


def _reset_group(fold: Fold, group_id: str, again: frozenset[str]) -> None:
    """A new pass of a group: members outside the body have arrived already and do not come again."""
    group, state = fold.plan.groups[group_id], fold.state.groups[group_id]
    state.arrived, state.worked, state.failed, state.outcome = 0, 0, [], None
    for member in group.members:
        task = fold.state.tasks[member]
        if member not in again and group_id in task.arrived and task.how is not None:
            count_arrival(state, member, task.how)


def _start_again(fold: Fold, head: TaskState, edge: PlanEdge, carried: object) -> None:
    head.fired = (*head.fired, edge.index)
    if head.status is _PLANNED:
        fold.begin_iteration(head)
    elif head.status is not TaskStatus.BLOCKED:
        fold.new_life(head)
    head.carried = carried
    fold.ready(head)


def _reopen_others(fold: Fold, taken: PlanLoop, over: PlanEdge) -> None:
    """Loops with a source in the new pass are decided anew; those it enters at their head begin from scratch."""
    again = frozenset(over.again + over.again_groups)
    for other in fold.plan.loops:
        if other.index == taken.index:
            continue
        touched = [index for index in other.edges if fold.plan.edges[index].source in again]
        state = fold.state.loops[other.index]
        if touched:
            for index in touched:
                state.sources.pop(str(index), None)
            state.ended, state.reason = False, None
        if (touched and other.body <= taken.body) or any(head in over.resets for head in other.heads):
            state.last, state.steady, state.passes = {}, {}, 0


def _end(fold: Fold, loop: PlanLoop, state: LoopState, reason: str) -> None:
    """The loop is over: its exits are decided, and what was planned in its body is done."""
    plan, tasks = fold.plan, fold.state.tasks
    state.ended, state.reason = True, reason
    fold.note("loop_ended", tasks[loop.heads[0]], {"loop": loop.index, "reason": reason, "passes": state.passes})
    failed = _failed_at_limit(fold, loop) if reason == CYCLE_LIMIT else ()
    if reason != CONDITION:
        _mark_ends(fold, loop, reason, failed)

    def end(node_id: str) -> str | None:
        how = end_of(fold, node_id)
        return LOOP_FAILED if failed and how in FIRES["success"] else how  # what only worked in it has not either

    for index in loop.exits:
        edge = plan.edges[index]
        how = end(edge.source)
        target = tasks[edge.target]
        if edge.index in target.fired or edge.index in target.dead:
            continue  # decided when a loop that overlaps with this one let it pass
        if how is not None and all(fold.state.loops[other].ended for other in edge.leaves):
            decide(fold, edge, how)
    for member, group_id in loop.members:
        how = end(member)
        group = plan.groups[group_id]
        if how is not None and all(fold.state.loops[other].ended for other in group.leaves[member]):
            arrive(fold, group, member, how)
    for task_id in sorted(loop.body & plan.tasks.keys()):
        settle_planned(fold, tasks[task_id])


def _failed_at_limit(fold: Fold, loop: PlanLoop) -> tuple[str, ...]:
    """Whose failure it is that a limit was reached: the tasks that have used their executions and count that as an
    error. Where they have ended otherwise (ignored, skipped by a person), it is that of the tasks that led back.
    """
    tasks, plan = fold.state.tasks, fold.plan
    used = [
        head
        for head in _limited(fold, loop)
        if plan.tasks[head].on_max_cycle == "fail"
        and not may_run_again(plan.tasks[head].max_cycle, tasks[head].cycle_count)
    ]
    failed = [head for head in used if tasks[head].status is _PLANNED or tasks[head].how in (ERROR, REJECTED)]
    if used and not failed:
        sources = (member for index in loop.edges for member in plan.members_of(plan.edges[index].source))
        failed = [source for source in sources if tasks[source].status is _PLANNED]
    return tuple(failed)


def _limited(fold: Fold, loop: PlanLoop) -> list[str]:
    """The tasks whose limits the loop goes by: its heads, then those of the body with a limit of their own."""
    return list(
        dict.fromkeys((*loop.heads, *(name for index in loop.edges for name in fold.plan.edges[index].limited)))
    )


def _mark_ends(fold: Fold, loop: PlanLoop, reason: str, failed: Collection[str]) -> None:
    """Give heads and sources the reason; `failed` ones become errors."""
    plan, tasks = fold.plan, fold.state.tasks
    limited = _limited(fold, loop)
    ends = [*loop.heads, *failed, *(m for index in loop.edges for m in plan.members_of(plan.edges[index].source))]
    for task_id in dict.fromkeys(ends):
        task = tasks[task_id]
        task.reason = task.reason or reason
        fold.changed.add(task_id)
        if task_id in failed and task.status is _PLANNED:
            limit = plan.tasks[task_id if task_id in limited else loop.heads[0]].max_cycle
            fail_planned(fold, task, f"The loop has used all {limit} iterations.", CYCLE_LIMIT)


def fail_planned(fold: Fold, task: TaskState, text: str, reason: str) -> None:
    """planned → error → completed: the cycle of this task failed."""
    task.error, task.outcome, task.how, task.reason = text, "error", ERROR, reason
    fold.move(task, TaskStatus.ERROR, {"error": text, "reason": reason})
    fold.move(task, _COMPLETED, {"outcome": "error", "reason": reason})
    fold.state.verdicts.append(task.task_id)


def end_of(fold: Fold, node_id: str) -> str | None:
    """How a task or group ended in its present life; None while it has not."""
    group = fold.state.groups.get(node_id)
    return group.outcome if group is not None else fold.state.tasks[node_id].how


def judge(fold: Fold, only: frozenset[str] | None = None, *, final: bool = False) -> None:
    """Say of every failed or rejected task whether somebody handled it: with `final` now or never, and so of those
    in `only`.
    """
    kept = []
    for task_id in fold.state.verdicts:
        concerned = only is None or _failed_with(fold, task_id)[-1].task_id in only
        if not concerned or not _is_judged(fold, task_id, final=final or only is not None):
            kept.append(task_id)
    fold.state.verdicts = kept


def _failed_with(fold: Fold, task_id: str) -> list[TaskState]:
    """The task and those it takes with it: a joined child its parent, and so on up."""
    line = [fold.state.tasks[task_id]]
    while line[-1].joined and line[-1].parent is not None:
        line.append(fold.state.tasks[line[-1].parent])
    return line


def _is_open(task: TaskState) -> bool:
    return task.status is not _COMPLETED


def _is_judged(fold: Fold, task_id: str, *, final: bool) -> bool:
    line = _failed_with(fold, task_id)
    task, blamed = line[0], line[-1]
    if any(one.handled or one.tolerated or one.how == IGNORED for one in line):
        return True
    if not final and any(_is_open(one) and fold.task(one).on_error == "ignore" for one in line):
        return False  # ignored once it has ended itself
    how = task.how if blamed is task else ERROR
    planned = fold.plan.tasks.get(blamed.task_id)
    if planned is not None:
        edges, loops = fold.plan.edges, fold.state.loops
        own = [edges[index] for index in (*planned.out, *planned.closes)]
        for group in groups_ahead(fold, blamed.task_id):
            outcome, is_member = fold.state.groups[group.id].outcome, blamed.task_id in group.members
            ends = [edges[index] for index in (*group.out, *group.closes)]
            may_mend = group.policy != "strict" or any(edge.on == "error" for edge in ends)
            if outcome is None and may_mend and not final:
                return False
            if outcome == "success" and group.policy != "strict" and is_member:
                blamed.tolerated = True
                fold.changed.add(blamed.task_id)
                return True
            own += ends
        for edge in own:
            waits = edge.leaves if edge.loop is None else (edge.loop,)
            undecided = _is_open(blamed) or not all(loops[index].ended for index in waits)
            if not final and edge.on == how and undecided:
                return False
    if task.how == REJECTED:
        fold.state.rejection = fold.state.rejection or task.reason or f"{task.task_id} was rejected"
    else:
        fail_run(fold, f"Task {task.task_id!r} failed: {task.error or task.child_error}")
    return True
