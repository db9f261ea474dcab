"""Kinds of task that need no function: carried out in place by whoever holds the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engine.core.context import FeedbackPort
from engine.core.errors import EngineError, ExpressionError, InvalidInput
from engine.core.expression import resolve
from engine.core.feedback import FeedbackRequest, FeedbackType, build_request
from engine.core.news import (
    BodyReport,
    FailureKind,
    Notice,
    Spawn,
    TaskDelayed,
    TaskDelegated,
    TaskFailed,
    TaskFinished,
    TaskSuspended,
    Wishes,
)
from engine.core.plan import HUMAN_KINDS, INLINE_KINDS, Plan, PlanTask
from engine.core.scope import expression_scope, upstream
from engine.core.state import RunState

Report = BodyReport | TaskDelayed | TaskDelegated
MAX_ITEMS = 1_000
LONGEST_DELAY = 366 * 24 * 3600.0
MAX_DEPTH = 5
"""How deep workflows may start workflows; the run that a person starts has depth 0."""
DEADLINE, PAST_DEADLINE = "deadline", "the run did not end before its deadline"
MAX_SUBJECT, MAX_MESSAGE = 200, 100_000


def is_inline(task: PlanTask) -> bool:
    return task.kind in INLINE_KINDS


def carry_out(plan: Plan, state: RunState, task_id: str, *, feedback: FeedbackPort, at: float) -> Report:
    """What becomes of a running task of an inline kind: a value, a failure or a question."""
    task = plan.tasks[task_id]
    try:
        if task.kind in HUMAN_KINDS:
            return _ask(plan, state, task, feedback, at)
        if task.kind == "delay":
            return TaskDelayed(task_id, at, at + _seconds(plan, state, task), _the_upstream(plan, state, task_id))
        if task.kind == "map":
            return _mapped(plan, state, task, at)
        if task.kind == "workflow":
            return _delegated(plan, state, task, at)
        if task.kind == "notify":
            notices = (_notice(plan, state, task),)
            return TaskFinished(task_id, at, _the_upstream(plan, state, task_id), Wishes(notices=notices))
        return TaskFinished(task_id, at, _value(plan, state, task))
    except EngineError as error:
        kind: FailureKind = "invalid" if isinstance(error, (ExpressionError, InvalidInput)) else "error"
        return TaskFailed(task_id=task_id, at=at, error=str(error), kind=kind, retryable=False)


def _ask(plan: Plan, state: RunState, task: PlanTask, feedback: FeedbackPort, at: float) -> Report:
    request = request_for(plan, state, task)
    _, answer, drift = feedback.lookup(request)
    if answer is None:
        return TaskSuspended(task_id=task.id, at=at, requests=(request,), drift=drift)
    if answer.decision == "reject":
        return TaskFailed(task_id=task.id, at=at, error=answer.reason or "rejected", retryable=False)
    if answer.decision == "expire":
        return TaskFailed(task_id=task.id, at=at, error="nobody answered in time", kind="timeout", retryable=False)
    return TaskFinished(task.id, at, answer.value)


def request_for(plan: Plan, state: RunState, task: PlanTask) -> FeedbackRequest:
    """The question a human step asks now. Raises EngineError when its data cannot be computed."""
    settings = dict(task.settings)
    kind = FeedbackType(task.kind)
    if kind is FeedbackType.CHOICE and settings.pop("multiple", False):
        kind = FeedbackType.MULTI_CHOICE
    iteration = state.tasks[task.id].iteration
    if "data" in settings:
        data = _resolved(plan, state, task.id, settings.pop("data"))
    else:
        data = _the_upstream(plan, state, task.id)
    return build_request(
        task.id, iteration, "#1", data, kind, settings.pop("prompt", None), settings.pop("options", None),
        timeout=task.timeout, **settings,
    )  # fmt: skip


def _seconds(plan: Plan, state: RunState, task: PlanTask) -> float:
    seconds = _resolved(plan, state, task.id, task.settings["seconds"])
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= LONGEST_DELAY:
        raise InvalidInput(f"A delay of {seconds!r} is not possible; give seconds from 0 to {LONGEST_DELAY:.0f}.")
    return float(seconds)


def _mapped(plan: Plan, state: RunState, task: PlanTask, at: float) -> TaskFinished:
    """One joined child per item; their results in item order become the result of the step."""
    items = _resolved(plan, state, task.id, task.settings["items"])
    if not isinstance(items, list):
        raise InvalidInput(f"The items of {task.id!r} are {type(items).__name__}, not a list.")
    if len(items) > MAX_ITEMS:
        raise InvalidInput(f"The items of {task.id!r} are {len(items)}; at most {MAX_ITEMS} are possible.")
    iteration, parameter = state.tasks[task.id].iteration, task.settings["parameter"]
    spawn = tuple(
        Spawn(
            task_id=item_task(task.id, iteration, place),
            uses=task.uses or "",
            args={parameter: item},
            join=True,
            settings=dict(task.settings["each"]),
        )
        for place, item in enumerate(items)
    )
    return TaskFinished(task.id, at, [], Wishes(spawn=spawn))


def item_task(task_id: str, iteration: int, place: int) -> str:
    """The id of the task a map step makes for the item at `place`, counted from 0."""
    digest = hashlib.sha256(f"{task_id}\x1f{iteration}\x1f{place}".encode()).hexdigest()[:8]
    return f"{task_id}_{digest}"


def _delegated(plan: Plan, state: RunState, task: PlanTask, at: float) -> TaskDelegated:
    inputs = _resolved(plan, state, task.id, task.settings.get("inputs", {}))
    if not isinstance(inputs, dict):
        raise InvalidInput(f"The inputs of {task.id!r} are {type(inputs).__name__}, not an object.")
    settings = task.settings
    return TaskDelegated(
        task_id=task.id, at=at, workflow=settings["workflow"], version=settings.get("version"), inputs=inputs
    )


def too_deep(task_id: str) -> TaskFailed:
    """What becomes of a workflow step of a run that itself lies at the greatest depth."""
    text = f"Workflows that start workflows may be {MAX_DEPTH} deep, and this run is that deep already."
    return TaskFailed(task_id=task_id, at=0.0, error=text, kind="invalid", retryable=False)


def child_failed(task_id: str, at: float, run: str, workflow: str, status: str, reason: str | None) -> TaskFailed:
    """The news of a step whose run of another workflow ended otherwise than well."""
    why = f": {reason}" if reason else ""
    text = f"run {run} of workflow {workflow!r} {_ENDED.get(status, status)}{why}"
    return TaskFailed(task_id=task_id, at=at, error=text, retryable=status == "failed")


_ENDED = {"failed": "failed", "rejected": "was rejected", "stopped": "was stopped"}


def end_tasks(plan: Plan) -> list[str]:
    """The tasks without a forward edge out, neither of their own nor of a group of theirs."""
    return [
        task.id for task in plan.tasks.values()
        if not task.out and not any(plan.groups[group_id].out for group_id in task.groups)
    ]  # fmt: skip


def outcome_value(plan: Plan, results: Mapping[str, Any]) -> Any:
    """What a whole run gives: the result of its single end task, or those of all end tasks by id."""
    ends = end_tasks(plan)
    if len(ends) == 1:
        return results.get(ends[0])
    return {task_id: results.get(task_id) for task_id in ends}


def _notice(plan: Plan, state: RunState, task: PlanTask) -> Notice:
    settings = task.settings
    subject = _words(_resolved(plan, state, task.id, settings.get("subject", task.label)))
    message = _words(_resolved(plan, state, task.id, settings["message"]))
    return Notice(
        task_id=task.id, iteration=state.tasks[task.id].iteration, subject=" ".join(subject.split())[:MAX_SUBJECT],
        message=message[:MAX_MESSAGE], to=tuple(settings.get("to", ())), webhook=settings.get("webhook"),
    )  # fmt: skip


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _value(plan: Plan, state: RunState, task: PlanTask) -> Any:
    if "value" in task.settings:
        return _resolved(plan, state, task.id, task.settings["value"])
    return _the_upstream(plan, state, task.id)


def _the_upstream(plan: Plan, state: RunState, task_id: str) -> Any:
    """The one upstream result, or all of them by name."""
    _, main = upstream(plan, state, task_id)
    return next(iter(main.values())) if len(main) == 1 else (main or None)


def _resolved(plan: Plan, state: RunState, task_id: str, value: Any) -> Any:
    return resolve(value, _Scope(plan, state, task_id))


def resolved_params(plan: Plan, state: RunState, task_id: str) -> dict[str, Any]:
    """The explicit params of a task with their expressions evaluated. Raises ExpressionError."""
    task = plan.tasks.get(task_id)
    if task is None or not task.params:
        return {}
    scope = _Scope(plan, state, task_id)
    return {name: resolve(value, scope) for name, value in task.params.items()}


class _Scope(dict[str, Any]):
    """A scope that looks names up when an expression reads them, seen from one task."""

    def __init__(self, plan: Plan, state: RunState, task_id: str) -> None:
        super().__init__()
        self._plan, self._state, self._task_id = plan, state, task_id

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            found = expression_scope(self._state, [str(name)], self._plan)
            if name == "iteration":
                found["iteration"] = self._state.tasks[self._task_id].iteration
            elif name == "result":
                found["result"] = _the_upstream(self._plan, self._state, self._task_id)
            self.update(found)
        return super().__contains__(name)


__all__ = [
    "MAX_DEPTH", "carry_out", "child_failed", "end_tasks", "is_inline", "outcome_value", "request_for",
    "resolved_params", "too_deep",
]  # fmt: skip
