"""How a run ends, and closes what does not run: by legal moves, in the order of the plan."""

from __future__ import annotations

from engine.core.fold import Fold
from engine.core.news import CancelTask, RunEnded, WithdrawRequests
from engine.core.plan import UNATTENDED_KINDS
from engine.core.rounds import judge
from engine.core.routes import ERROR, fail_over_child
from engine.core.state import TaskState, TaskStatus

_READY, _RUNNING, _PLANNED, _SUCCESS = TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.PLANNED, TaskStatus.SUCCESS
_ERROR, _COMPLETED, _SKIPPED = TaskStatus.ERROR, TaskStatus.COMPLETED, TaskStatus.SKIPPED
_ASKING, _RETRY = TaskStatus.FEEDBACK_REQUIRED, TaskStatus.RETRY_WAITING
STALLED = "stalled"


def conclude(fold: Fold) -> None:
    """Nothing can move by itself: the run waits for a person, or it is over."""
    state = fold.state
    if state.status == "pending" and not fold.log:
        return
    if state.asking and state.closing is None:
        if not state.paused:
            fold.run_status("waiting")
        return
    if state.verdicts and state.closing is None:
        judge(fold, final=True)
        if state.closing is not None:
            close_rest(fold)
    if state.open and state.closing is None:
        if state.partial or state.failure or state.rejection:
            _close(fold, "failed" if state.failure else "rejected" if state.rejection else "succeeded")
        else:
            blocked = sorted(task.task_id for task in state.tasks.unfinished())
            state.failure = f"nothing can go on, and these tasks still wait: {', '.join(blocked[:20])}"
            state.reason = STALLED
            _close(fold, "failed")
    if state.closing is not None:
        final = state.closing
    else:
        final = "failed" if state.failure else "rejected" if state.rejection else "succeeded"
    state.reason = state.reason or (
        state.failure if final == "failed" else state.rejection if final == "rejected" else None
    )
    fold.run_status(final, {"reason": state.reason} if state.reason else None)
    fold.commands.append(WithdrawRequests(None))
    fold.commands.append(RunEnded(final))


def _close(fold: Fold, final: str) -> None:
    fold.state.closing = fold.state.closing or final
    close_rest(fold)


def close_rest(fold: Fold) -> None:
    """Close everything that does not run, by legal moves. Running bodies end by themselves or are cancelled."""
    outcome = "cancelled" if fold.state.closing == "stopped" else "skipped"
    places = {task_id: place for place, task_id in enumerate(fold.plan.tasks)}
    # In the order of the plan, wherever the tasks were loaded from: histories do not depend on the store.
    for task in sorted(
        fold.state.tasks.unfinished(), key=lambda task: (places.get(task.task_id, len(places)), task.task_id)
    ):
        status = task.status
        if status is _RUNNING and fold.task(task).kind in UNATTENDED_KINDS:
            end_unattended(fold, task)
            continue
        if status is _RUNNING or status is _COMPLETED:
            continue
        if status is _ASKING:
            fold.commands.append(WithdrawRequests(task.task_id))
        if status is _PLANNED or status is _SUCCESS:
            if task.child_error is not None:
                fail_over_child(fold, task)
                continue
            task.outcome = "success"
            if status is _PLANNED:
                fold.move(task, _SUCCESS)
            fold.move(task, _COMPLETED, {"outcome": "success"})
            continue
        if status is _RETRY:
            fold.move(task, _READY)
        fold.move(task, _SKIPPED)
        task.outcome = outcome
        fold.move(task, _COMPLETED, {"outcome": outcome})
    fold.queue.clear()
    fold.quiet.clear()


def end_unattended(fold: Fold, task: TaskState) -> None:
    """A delay or a workflow of a run that is closing: nobody works on it here, so it ends now."""
    fold.commands.append(CancelTask(task.task_id))
    fold.move(task, _ERROR, {"error": "the run was closed", "kind": "error"})
    task.error, task.how = "the run was closed", ERROR
    task.outcome = "cancelled" if fold.state.closing == "stopped" else "skipped"
    fold.move(task, _COMPLETED, {"outcome": task.outcome})
