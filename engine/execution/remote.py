"""What travels between a run and a body in another process, and how the far end carries the body out.

A job and its report are dictionaries of plain values, so that they fit a pipe and JSON alike. While the body
runs it may ask the run for answers, remembered steps and channel values over a line that the transport brings.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Protocol

from engine.core.arguments import Sources
from engine.core.channel import ChannelStore, Write
from engine.core.context import Execution
from engine.core.errors import EngineError, WorkflowStateError
from engine.core.feedback import FeedbackAnswer, FeedbackRequest, FeedbackType
from engine.core.news import FailureKind, Spawn, TaskFailed, TaskFinished, TaskSuspended, Wishes
from engine.core.task import TaskWrapper
from engine.execution.attempt import Call, Outcome, carry_out
from engine.execution.references import anonymous

Ask = Callable[[str, list[Any]], Any]
"""(question, arguments) -> what the run answers."""
Find = Callable[[str], Callable[..., Any]]
"""The function behind a job's `function`."""
Name = Callable[[str, Callable[..., Any]], str]
"""(task id, function) -> how the other side finds it. Raises NotPicklable."""


class JobFailed(Exception):
    """The transport, not the body, ended a job. `kind` is `worker_lost`, `timeout` or `invalid`."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for another process. `payload` holds plain values; `timeout` is in seconds."""

    task_id: str
    function: str
    payload: dict[str, Any]
    timeout: float | None = None
    answer: Ask | None = None


# -- the run's side -------------------------------------------------------------------------------------------


def body_job(call: Call, function: str) -> Job:
    """A task's body with everything it needs; `function` is the name the far end finds it by."""
    e, s = call.execution, call.sources
    execution = {name: getattr(e, name) for name in _FACTS} | {"inputs": dict(e.inputs)}
    sources = {name: dict(getattr(s, name)) for name in _SOURCES}
    return Job(
        task_id=e.task_id,
        function=function,
        payload={"form": "body", "execution": execution, "sources": sources},
        timeout=call.timeout,
        answer=functools.partial(answer_for, e),
    )


_FACTS = ("run_id", "task_id", "iteration", "attempt", "cycle_count", "max_cycle")
_SOURCES = ("params", "given", "inputs", "by_name", "main")


def plain_job(task_id: str, function: str, args: Iterable[Any], kwargs: dict[str, Any]) -> Job:
    """A function with its arguments, outside every run."""
    payload = {"form": "plain", "task_id": task_id, "args": list(args), "kwargs": dict(kwargs)}
    return Job(task_id=task_id, function=function, payload=payload)


def answer_for(execution: Execution, question: str, arguments: list[Any]) -> Any:
    """Answer what a body asks through its line, from the ports of its execution."""
    if question == "channel":
        return execution.channels.read(*arguments)
    if question == "channel_keys":
        return execution.channels.keys(*arguments)
    if question == "step":
        return execution.steps.load(*arguments)
    if question == "step_done":
        execution.steps.save(*arguments)
        return None
    if question == "feedback":
        feedback_id, answer, drift = execution.feedback.lookup(request_from(arguments[0]))
        return [feedback_id, None if answer is None else _values(answer), drift]
    raise WorkflowStateError(f"A body asked {question!r}, which this version does not know; restart the worker.")


def outcome_from(report: dict[str, Any], call: Call, *, at: float, jitter: float) -> Outcome:
    """The outcome that a report stands for, stamped with the time of the run."""
    task_id = call.execution.task_id
    if report["kind"] == "finished":
        news = TaskFinished(task_id, at, report["value"], _wishes_from(report["wishes"]))
        return Outcome(news, tuple(Write(*write) for write in report["writes"]))
    if report["kind"] == "suspended":
        requests = tuple(request_from(values) for values in report["requests"])
        return Outcome(TaskSuspended(task_id=task_id, at=at, requests=requests, drift=report["drift"]))
    retryable = report["retryable"] and _worth_retrying(call.task, report["raised"])
    failed = TaskFailed(
        task_id=task_id, at=at, error=report["error"], kind=report["failure"], retryable=retryable, jitter=jitter,
        delay=report["delay"], traceback=report["traceback"],
    )  # fmt: skip
    return Outcome(failed)


def _worth_retrying(task: TaskWrapper, raised: list[str] | None) -> bool:
    """`retry_on` by the names of the exception's classes: the classes themselves stay where they are."""
    if raised is None:
        return True
    wanted = task.retry_on if isinstance(task.retry_on, tuple) else (task.retry_on,)
    return any(_class_name(kind) in raised for kind in wanted)


def failed_outcome(task_id: str, kind: FailureKind, error: str, *, at: float, jitter: float) -> Outcome:
    retryable = kind in ("worker_lost", "timeout")
    return Outcome(TaskFailed(task_id=task_id, at=at, error=error, kind=kind, retryable=retryable, jitter=jitter))


def value_from(report: dict[str, Any]) -> Any:
    """The value of a plain job. Raises RemoteFailure with the body's error text."""
    if report["kind"] == "finished":
        return report["value"]
    raise RemoteFailure(report["error"])


class RemoteFailure(Exception):
    """A plain job raised; the text is the error as the far end saw it."""


# -- the far end ----------------------------------------------------------------------------------------------


def perform(
    payload: dict[str, Any], function: str, *, find: Find, name: Name, ask: Ask, channels: ChannelStore | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Carry a job out and report. What the body raises, SystemExit included, becomes part of the report."""
    raised: list[BaseException] = []
    task_id = payload["task_id"] if payload["form"] == "plain" else payload["execution"]["task_id"]
    try:
        func = find(function)
        body = _remembering(func.func if isinstance(func, TaskWrapper) else func, raised)
        if payload["form"] == "plain":
            return _finished(body(*payload["args"], **payload["kwargs"]))
        return _carry_out_body(payload, function, body, raised, name, ask, channels, timeout)
    except (Exception, SystemExit) as error:  # a task's failure becomes a recorded event
        kind = "error" if raised else "invalid"
        text = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        return failure_report(
            kind, f"{text}" if raised else f"Task {task_id!r}: {text}", traceback=trace, retryable=bool(raised)
        )


def _carry_out_body(
    payload: dict[str, Any], function: str, body: Callable[..., Any], raised: list[BaseException], name: Name, ask: Ask,
    channels: ChannelStore | None, timeout: float | None,
) -> dict[str, Any]:  # fmt: skip
    functions: dict[str, Callable[..., Any]] = {}
    execution = Execution(
        **payload["execution"], channels=channels or _AskedChannels(ask), feedback=_AskedFeedback(ask),
        steps=_AskedSteps(ask), functions=functions,
    )  # fmt: skip
    sources = Sources(**payload["sources"])
    call = Call(task=anonymous(function, body), execution=execution, sources=sources, timeout=timeout)
    outcome = carry_out(call, clock=time.time)
    return _report(outcome, execution.task_id, raised, functions, name)


def _remembering(func: Callable[..., Any], raised: list[BaseException]) -> Callable[..., Any]:
    """`func`, noting what it raises: the run needs the classes to decide about a retry."""

    @functools.wraps(func)
    def body(*args: Any, **kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except (Exception, SystemExit) as error:
            raised.append(error)
            raise

    return body


def _report(
    outcome: Outcome, task_id: str, raised: list[BaseException], functions: dict[str, Callable[..., Any]], name: Name
) -> dict[str, Any]:
    news = outcome.news
    if isinstance(news, TaskSuspended):
        return {"kind": "suspended", "requests": [request_values(r) for r in news.requests], "drift": news.drift}
    if isinstance(news, TaskFailed):
        classes = [_class_name(kind) for kind in type(raised[-1]).__mro__] if raised and news.kind == "error" else None
        return failure_report(
            news.kind, news.error, traceback=news.traceback, retryable=news.retryable, raised=classes, delay=news.delay
        )
    report = _finished(news.value)
    report["writes"] = [list(write) for write in outcome.writes]
    report["wishes"] = None if news.wishes is None else _wishes_values(news.wishes, task_id, functions, name)
    return report


def _finished(value: Any) -> dict[str, Any]:
    return {"kind": "finished", "value": value, "wishes": None, "writes": []}


def failure_report(
    kind: str, error: str, *, traceback: str = "", retryable: bool = False, raised: list[str] | None = None,
    delay: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "kind": "failed", "failure": kind, "error": error, "traceback": traceback, "retryable": retryable,
        "raised": raised, "delay": delay,
    }  # fmt: skip


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _wishes_values(
    wishes: Wishes, task_id: str, functions: dict[str, Callable[..., Any]], name: Name
) -> dict[str, Any]:
    """Wishes as plain values. Functions get the name by which the run finds them."""
    names = {uses: name(task_id, func) for uses, func in functions.items()}
    spawn = [_values(wish) | {"uses": names.get(wish.uses, wish.uses)} for wish in wishes.spawn]
    uses = wishes.iterate_uses
    iterate = [names.get(uses, uses) if uses else None, wishes.iterate_args] if wishes.iterate else None
    return {"iterate": iterate, "spawn": spawn, "functions": sorted(set(names.values()))}


def _wishes_from(values: dict[str, Any] | None) -> Wishes | None:
    if values is None:
        return None
    uses, args = values["iterate"] or (None, {})
    return Wishes(
        iterate=values["iterate"] is not None, iterate_uses=uses, iterate_args=args,
        spawn=tuple(Spawn(**wish) for wish in values["spawn"]),
    )  # fmt: skip


def _values(of: FeedbackAnswer | FeedbackRequest | Spawn) -> dict[str, Any]:
    # Not dataclasses.asdict, which would also take apart what an author put into them.
    return {field.name: getattr(of, field.name) for field in fields(of)}


def request_values(request: FeedbackRequest) -> dict[str, Any]:
    return _values(request) | {"kind": request.kind.value, "options": list(request.options)}


def request_from(values: dict[str, Any]) -> FeedbackRequest:
    return FeedbackRequest(**values | {"kind": FeedbackType(values["kind"]), "options": tuple(values["options"])})


class _AskedChannels:
    """Committed channel values, read through the line. Writes travel with the report."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def read(self, channel: str, key: str) -> tuple[bool, Any]:
        found, value = self._ask("channel", [channel, key])
        return bool(found), value

    def keys(self, channel: str) -> list[str]:
        return list(self._ask("channel_keys", [channel]))

    def commit(self, writes: Iterable[Write]) -> None:
        raise WorkflowStateError("A body's channel writes are committed by its run.")


class _AskedFeedback:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def lookup(self, request: FeedbackRequest) -> tuple[str, FeedbackAnswer | None, bool]:
        feedback_id, answer, drift = self._ask("feedback", [request_values(request)])
        return feedback_id, None if answer is None else FeedbackAnswer(**answer), drift


class _AskedSteps:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def load(self, key: str) -> tuple[bool, Any]:
        found, value = self._ask("step", [key])
        return bool(found), value

    def save(self, key: str, value: Any) -> None:
        self._ask("step_done", [key, value])


class JobPool(Protocol):
    """Carries jobs out in other processes."""

    name: str
    width: int
    """How many jobs it carries out side by side."""

    def submit(self, job: Job) -> Any:
        """A Future of the report; JobFailed where the transport ended the job."""

    def recall(self) -> None:
        """Take back what has not begun: such jobs end as `released`."""

    def close(self, *, now: bool = False) -> None:
        """Let running jobs end, or give them up `now`, and leave nothing behind."""
