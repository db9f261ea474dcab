"""How a run that is heading for its end closes what does not run: by legal moves, in the order of the plan."""

from __future__ import annotations

from engine.core.fold import Fold
from engine.core.news import CancelTask, WithdrawRequests
from engine.core.plan import UNATTENDED_KINDS
from engine.core.routes import ERROR, fail_over_child
from engine.core.state import TaskState, TaskStatus

_READY, _RUNNING, _PLANNED, _SUCCESS = TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.PLANNED, TaskStatus.SUCCESS
_ERROR, _COMPLETED, _SKIPPED = TaskStatus.ERROR, TaskStatus.COMPLETED, TaskStatus.SKIPPED
_ASKING, _RETRY = TaskStatus.FEEDBACK_REQUIRED, TaskStatus.RETRY_WAITING


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
