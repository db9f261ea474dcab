"""The heart: fold one piece of news into a run, and say what changed and what to do next.

Deterministic and pure but for the state its caller owns. News that no longer apply (a late result, a second
answer) change nothing and ask for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.core import news as n
from engine.core.closing import close_rest, conclude, end_unattended
from engine.core.cycle import may_run_again
from engine.core.errors import ExpressionError, UnknownTask
from engine.core.fold import Decision, Fold
from engine.core.graph import reachable
from engine.core.plan import PlainTask, Plan, PlanTask
from engine.core.retry import LOSS_BUDGET, delay_before
from engine.core.rounds import CONVERGED, decide_next, fail_planned, judge, stands_still
from engine.core.routes import (
    CYCLE_LIMIT,
    ERROR,
    FIRES,
    HUMAN_SKIP,
    IGNORED,
    REJECTED,
    SUCCESS,
    UNREACHED,
    arrive,
    child_ended,
    decide_group,
    evaluate_condition,
    finish_parent,
    route,
    settle_planned,
    skip,
)
from engine.core.state import RunState, TaskState, TaskStatus

_READY, _RUNNING, _PLANNED, _SUCCESS = TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.PLANNED, TaskStatus.SUCCESS
_ERROR, _COMPLETED, _SKIPPED = TaskStatus.ERROR, TaskStatus.COMPLETED, TaskStatus.SKIPPED
_ASKING, _REJECTED, _RETRY = TaskStatus.FEEDBACK_REQUIRED, TaskStatus.REJECTED, TaskStatus.RETRY_WAITING
FEEDBACK_DRIFT, STEP_LIMIT = "feedback_drift", "step_limit"


def advance(plan: Plan, state: RunState, event: n.News) -> Decision:
    """Fold `event` into `state`, which the caller owns; return what changed and what to do next.

    A durable caller keeps the returned entries, the changed tasks and `state.counters()` in one transaction,
    and carries the commands out after it.
    """
    fold = Fold(plan, state, event.at)
    if not state.is_final():
        _HANDLERS[type(event)](fold, event)
        _settle(fold)
    return fold.decision()


def after_plain(plan: Plan, state: RunState, task: TaskState, plain: PlainTask) -> Decision:
    """What follows when `plain.finish` asks: complete groups and quiet loops are decided, and a run without
    work is over.
    """
    fold = Fold(plan, state, task.at)
    if plain.loops:
        fold.quiet.update(plain.loops)
        if state.loops[plain.loops[0]].ended:
            settle_planned(fold, task)
    for group_id in plain.groups:
        group = state.groups[group_id]
        if group.outcome is None and group.arrived >= group.size:
            decide_group(fold, plan.groups[group_id])
    _settle(fold)
    return fold.decision()


def _settle(fold: Fold) -> None:
    """Follow every end to where it leads, until nothing moves by itself; then see where the run stands."""
    state = fold.state
    while True:
        while fold.queue:
            route(fold, *fold.queue.popleft())
        if fold.quiet and decide_next(fold):
            continue
        if state.verdicts:
            judge(fold)
        if not fold.queue and not fold.quiet:
            break
    if state.closing is not None and state.open:
        close_rest(fold)
    if not state.live:
        conclude(fold)
    elif state.status in ("pending", "waiting"):
        fold.run_status("running")


# -- the run ----------------------------------------------------------------------------------------------------


def _run_started(fold: Fold, event: n.RunStarted) -> None:
    state, plan = fold.state, fold.plan
    if state.status != "pending":
        return
    fold.run_status("running")
    if event.start_node is None:
        for task_id in plan.starts:
            fold.ready(state.tasks[task_id])
        return
    if event.start_node not in plan.tasks:
        raise UnknownTask(event.start_node, list(plan.tasks))
    state.partial = True
    follows: dict[str, list[str]] = {}
    for edge in plan.edges:
        follows.setdefault(edge.source, []).extend(edge.heads or [edge.target])
    for group in plan.groups.values():
        for member in group.members:
            follows.setdefault(member, []).append(group.id)
    within = reachable([event.start_node], follows)
    for edge in plan.edges:
        if edge.loop is None and edge.source not in within and edge.target in within:
            target = state.tasks[edge.target]
            target.dead = (*target.dead, edge.index)
            fold.changed.add(edge.target)
    for task_id in plan.tasks:
        if task_id not in within:
            task = state.tasks[task_id]
            fold.move(task, _SKIPPED)
            task.outcome = "skipped"
            fold.move(task, _COMPLETED, {"outcome": "skipped"})
    for group in plan.groups.values():
        for member in group.members if group.id in within else ():
            if member not in within:  # nobody waits for it: as with edges, what follows goes by those that run
                state.tasks[member].how = UNREACHED
                arrive(fold, group, member, UNREACHED)
    fold.ready(state.tasks[event.start_node])


def _stop_requested(fold: Fold, event: n.StopRequested) -> None:
    state = fold.state
    if state.closing == "stopped":
        return
    state.closing, state.reason = "stopped", event.reason
    fold.run_status("stopping", {"reason": event.reason} if event.reason else None)
    for task in state.tasks.unfinished():
        if task.status is _RUNNING:
            fold.commands.append(n.CancelTask(task.task_id))


def _run_failed(fold: Fold, event: n.RunFailed) -> None:
    state = fold.state
    if state.closing is not None:
        return
    state.closing, state.reason = "failed", event.reason
    state.failure = state.failure or event.detail or event.reason
    for task in state.tasks.unfinished():
        if task.status is _RUNNING:
            fold.commands.append(n.CancelTask(task.task_id))


def _pause_requested(fold: Fold, event: n.PauseRequested) -> None:
    if fold.state.closing is None and not fold.state.paused:
        fold.state.paused = True
        fold.run_status("paused")


def _resume_requested(fold: Fold, event: n.ResumeRequested) -> None:
    if fold.state.paused:
        fold.state.paused = False
        fold.run_status("running")


# -- executions -------------------------------------------------------------------------------------------------


def _task_started(fold: Fold, event: n.TaskStarted) -> None:
    state = fold.state
    task = state.tasks[event.task_id]
    if task.status is not _READY or state.closing is not None or state.paused:
        return
    if task.attempt == 1 and not task.resumed:
        if state.max_steps is not None and state.steps >= state.max_steps:
            _run_failed(fold, n.RunFailed(event.at, STEP_LIMIT, f"The run has used all {state.max_steps} steps."))
            return
        state.steps += 1
    task.resumed = False
    task.error = None
    fold.move(task, _RUNNING, {"worker": event.worker} if event.worker else None)


def _task_finished(fold: Fold, event: n.TaskFinished) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _RUNNING:
        return
    before = task.result
    task.result = event.value
    plan_task = fold.task(task)
    if plan_task.out and (text := _bad_condition(fold, task, plan_task)):
        task.result = before
        _task_failed(fold, n.TaskFailed(task_id=task.task_id, at=event.at, error=text, kind="invalid", retryable=False))
        return
    task.error, task.how, task.reject = None, SUCCESS, None
    task.cycle_count += 1
    wishes = event.wishes
    if wishes is not None:
        if fold.state.closing is None:
            for spawn in wishes.spawn:
                _spawn(fold, task, spawn)
            if plan_task.kind == "map":
                task.args = {"children": [spawn.task_id for spawn in wishes.spawn]}
            for notice in wishes.notices:
                fold.note("notified", task, {"to": list(notice.to), "webhook": notice.webhook})
                fold.commands.append(n.Notify(notice))
        if wishes.iterate:
            _iterate(fold, task, plan_task, wishes)
            return
    if plan_task.loops:
        fold.move(task, _PLANNED)
        if not task.children:
            _worked(fold, task)
        return
    fold.move(task, _SUCCESS)
    if task.child_error is not None and not task.children:
        finish_parent(fold, task)
    elif not task.children:
        task.outcome = "success"
        fold.move(task, _COMPLETED, _OUTCOME_SUCCESS)
        _ended(fold, task, SUCCESS)


_OUTCOME_SUCCESS: dict[str, Any] = {"outcome": "success"}


def _worked(fold: Fold, task: TaskState) -> None:
    """A planned task without open children: its execution is over, its cycle may go on."""
    if task.child_error is not None:
        finish_parent(fold, task)
        return
    _ended(fold, task, SUCCESS)
    settle_planned(fold, task)


def _ended(fold: Fold, task: TaskState, how: str) -> None:
    """An execution is over for good: follow its edges."""
    fold.queue.append((task.task_id, how))
    if task.joined:
        child_ended(fold, task)


def _bad_condition(fold: Fold, task: TaskState, plan_task: PlanTask) -> str | None:
    """Evaluate the conditions a success will ask for, while the task can still fail over them."""
    known, task.how = task.how, SUCCESS
    try:
        for index in plan_task.out:
            edge = fold.plan.edges[index]
            if edge.when is not None and not edge.leaves and SUCCESS in FIRES[edge.on]:
                try:
                    fold.whens[index] = evaluate_condition(fold, edge)
                except ExpressionError as error:
                    return f"condition of the edge {edge.source!r} → {edge.target!r}: {error}"
        return None
    finally:
        task.how = known


def _spawn(fold: Fold, parent: TaskState, spawn: n.Spawn) -> None:
    if spawn.task_id in fold.state.tasks:
        return
    child = TaskState(
        spawn.task_id,
        uses=spawn.uses,
        args=dict(spawn.args),
        parent=parent.task_id,
        joined=spawn.join,
        settings=dict(spawn.settings) or None,
        at=fold.now,
    )
    fold.state.tasks[spawn.task_id] = child
    fold.state.open += 1
    if spawn.join:
        parent.children += 1
    data = {"parent": parent.task_id, "uses": spawn.uses, "join": spawn.join}
    fold.log.append(("task_created", child.task_id, None, "blocked", 1, 1, fold.now, data))
    fold.ready(child)


def _iterate(fold: Fold, task: TaskState, plan_task: PlanTask, wishes: n.Wishes) -> None:
    """The body asked to run again: granted within its limit and until it has converged."""
    task.iterates = True
    fold.move(task, _PLANNED)
    reason = None
    if fold.state.closing is not None:
        reason = fold.state.closing
    elif plan_task.converge is not None and _own_value_stands_still(fold, task, plan_task):
        reason = CONVERGED
    elif not may_run_again(plan_task.max_cycle, task.cycle_count):
        reason = CYCLE_LIMIT
        fold.note("iteration_refused", task, {"limit": plan_task.max_cycle})
    if reason is None:
        uses = wishes.iterate_uses or task.uses
        children, child_error = task.children, task.child_error
        fold.begin_iteration(task)
        task.children, task.child_error = children, child_error  # what follows waits for these as well
        task.args, task.uses = dict(wishes.iterate_args), uses
        fold.ready(task)
        return
    task.reason = reason if reason in (CONVERGED, CYCLE_LIMIT) else task.reason
    if reason == CYCLE_LIMIT and plan_task.on_max_cycle == "fail":
        fail_planned(fold, task, f"The task has used all {plan_task.max_cycle} iterations.", CYCLE_LIMIT)
        _ended(fold, task, ERROR)
        return
    if not task.children:
        _worked(fold, task)


def _own_value_stands_still(fold: Fold, task: TaskState, plan_task: PlanTask) -> bool:
    assert plan_task.converge is not None
    memory = task.memory if task.memory is not None else {"last": {}, "steady": {}}
    task.memory = memory
    return stands_still(fold, memory["last"], memory["steady"], "own", plan_task.converge, task.task_id)


def _task_failed(fold: Fold, event: n.TaskFailed) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _RUNNING:
        return
    plan_task = fold.task(task)
    task.error = event.error if event.kind in ("error", "invalid") else f"{event.kind}: {event.error}"
    data: dict[str, Any] = {"error": task.error, "kind": event.kind}
    if event.traceback:
        data["traceback"] = event.traceback
    fold.move(task, _ERROR, data)
    delay = _retry_delay(fold, task, plan_task, event)
    if delay is not None:
        task.attempt += 1
        due = fold.now + delay
        fold.move(task, _RETRY, {"due": due, "delay": delay})
        fold.commands.append(n.ArmTimer(task.task_id, due))
        return
    closing = fold.state.closing
    task.cycle_count += 1
    task.outcome = "cancelled" if closing == "stopped" else "error"
    ignored = plan_task.on_error == "ignore"
    task.how = IGNORED if ignored else ERROR
    if ignored:
        task.result = None
    fold.move(task, _COMPLETED, {"outcome": task.outcome})
    if closing is None:
        if not ignored:
            fold.state.verdicts.append(task.task_id)
        _ended(fold, task, task.how)


def _retry_delay(fold: Fold, task: TaskState, plan_task: PlanTask, event: n.TaskFailed) -> float | None:
    """Seconds until the next try, counted against its budget; None when there is none."""
    if fold.state.closing is not None:
        return None
    if event.kind == "released":
        return event.delay or 0.0
    if event.kind == "worker_lost":
        task.lost_count += 1
        return 0.0 if task.lost_count <= LOSS_BUDGET else None
    if not event.retryable or task.retry_count >= plan_task.max_retries:
        return None
    task.retry_count += 1
    if event.delay is not None:
        return event.delay
    return delay_before(
        task.retry_count, retry_delay=plan_task.retry_delay, backoff=plan_task.backoff, jitter=event.jitter
    )


def _task_delayed(fold: Fold, event: n.TaskDelayed) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _RUNNING:
        return
    if fold.state.closing is not None:
        end_unattended(fold, task)
        return
    task.args = {"value": event.value}
    fold.changed.add(task.task_id)
    fold.note("delay_started", task, {"due": event.due})
    fold.commands.append(n.ArmTimer(task.task_id, event.due))


def _task_delegated(fold: Fold, event: n.TaskDelegated) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _RUNNING:
        return
    if fold.state.closing is not None:
        end_unattended(fold, task)
        return
    fold.note("workflow_started", task, {"workflow": event.workflow, "version": event.version})
    fold.commands.append(
        n.StartChild(
            task_id=task.task_id, iteration=task.iteration, attempt=task.attempt, workflow=event.workflow,
            version=event.version, inputs=event.inputs,
        )
    )  # fmt: skip


def _timer_rang(fold: Fold, event: n.TimerRang) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is _RETRY:
        fold.ready(task)
    elif task.status is _RUNNING and fold.task(task).kind == "delay" and task.args is not None:
        value, task.args = task.args["value"], None
        _task_finished(fold, n.TaskFinished(task.task_id, event.at, value))


# -- people -----------------------------------------------------------------------------------------------------


def _task_suspended(fold: Fold, event: n.TaskSuspended) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _RUNNING:
        return
    if fold.state.closing is not None:
        _task_failed(fold, n.TaskFailed(task_id=task.task_id, at=event.at, error="the run was closed", retryable=False))
        return
    task.reason = FEEDBACK_DRIFT if event.drift else None
    fold.move(task, _ASKING, {"reason": FEEDBACK_DRIFT} if event.drift else None)
    for request in event.requests:
        fold.note(
            "feedback_requested", task, {"kind": request.kind.value, "key": request.key, "prompt": request.prompt}
        )


def _answered(fold: Fold, event: n.Answered) -> None:
    task = fold.state.tasks[event.task_id]
    if task.status is not _ASKING:
        return
    data: dict[str, Any] = {"decision": event.decision, "feedback_id": event.feedback_id}
    if event.actor:
        data["actor"] = event.actor
    if event.reason:
        data["reason"] = event.reason
    fold.note("feedback_answered", task, data)
    if event.decision == "reject" and not event.reraise:
        task.result = event.data
        _rejected(fold, task, event.reason)
    elif event.decision == "skip":
        task.result = None
        task.cycle_count += 1
        fold.commands.append(n.WithdrawRequests(task.task_id))
        task.reason = event.reason
        skip(fold, task, how=HUMAN_SKIP)
    else:
        task.reason = None
        task.resumed = True
        fold.ready(task)


def _rejected(fold: Fold, task: TaskState, reason: str | None) -> None:
    task.reason, task.outcome, task.how = reason, "rejected", REJECTED
    task.cycle_count += 1
    fold.move(task, _REJECTED, {"reason": reason} if reason else None)
    fold.move(task, _COMPLETED, {"outcome": "rejected", **({"reason": reason} if reason else {})})
    fold.commands.append(n.WithdrawRequests(task.task_id))
    fold.state.verdicts.append(task.task_id)
    _ended(fold, task, REJECTED)


_HANDLERS: dict[type, Callable[[Fold, Any], None]] = {
    n.RunStarted: _run_started,
    n.TaskStarted: _task_started,
    n.TaskFinished: _task_finished,
    n.TaskFailed: _task_failed,
    n.TaskSuspended: _task_suspended,
    n.Answered: _answered,
    n.TaskDelayed: _task_delayed,
    n.TaskDelegated: _task_delegated,
    n.TimerRang: _timer_rang,
    n.StopRequested: _stop_requested,
    n.RunFailed: _run_failed,
    n.PauseRequested: _pause_requested,
    n.ResumeRequested: _resume_requested,
}
