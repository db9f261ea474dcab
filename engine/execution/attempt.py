"""One try of one task's body: fill its arguments, call it, say what happened.

Used by local runs and by durable workers alike; what the outcome means is decided by the core.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.arguments import Sources, fill
from engine.core.channel import Write
from engine.core.context import Execution, Suspended, TaskExecutionContext
from engine.core.errors import ArgumentError, EngineError, FeedbackRejectedException, FeedbackTimeoutError
from engine.core.news import BodyReport, TaskFailed, TaskFinished, TaskSuspended
from engine.core.task import TaskWrapper

MAX_TRACEBACK = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Everything one try needs. `timeout` in seconds is kept by this process when it is set."""

    task: TaskWrapper
    execution: Execution
    sources: Sources
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """News for the machine, and the channel writes that go with a success."""

    news: BodyReport
    writes: tuple[Write, ...] = ()


def carry_out(call: Call, *, clock: Callable[[], float], jitter: float = 1.0) -> Outcome:
    """Run the body once. Never raises for what the body does; KeyboardInterrupt and SystemExit pass."""
    task, execution = call.task, call.execution
    context = TaskExecutionContext(execution)
    recorded = context.recorded
    try:
        positional, keywords = fill(
            task.signature, call.sources, task_id=execution.task_id, context=context, pulls=task.pulls,
            pull=lambda channel, key: context.get_channel(channel).get(key),
        )  # fmt: skip
        value = _with_timeout(call.timeout, task.func, positional, keywords)
        for channel, key in task.pushes:
            context.get_channel(channel).set(key, value)
    except Suspended as suspended:
        requests = (*(r for r in recorded.requests if r.key != suspended.request.key), suspended.request)
        return Outcome(TaskSuspended(task_id=execution.task_id, at=clock(), requests=requests, drift=recorded.drift))
    except _TimedOut as error:
        return Outcome(
            TaskFailed(task_id=execution.task_id, at=clock(), error=str(error), kind="timeout", jitter=jitter)
        )
    except Exception as error:  # a task's failure becomes a recorded event
        return Outcome(failure_of(call, error, clock(), jitter))
    return Outcome(TaskFinished(execution.task_id, clock(), value, recorded.wishes()), tuple(recorded.writes))


def failure_of(call: Call, error: Exception, at: float, jitter: float) -> TaskFailed:
    """The news of a body that raised `error`."""
    final = isinstance(error, (ArgumentError, FeedbackRejectedException, FeedbackTimeoutError))
    retryable = not final and not getattr(error, "terminal", False) and isinstance(error, call.task.retry_on)
    text = _readable(str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}")
    return TaskFailed(
        task_id=call.execution.task_id, at=at, error=text, retryable=retryable, jitter=jitter,
        delay=getattr(error, "retry_after", None), kind="invalid" if isinstance(error, ArgumentError) else "error",
        traceback=_readable("".join(traceback.format_exception(error))[-MAX_TRACEBACK:]),
    )  # fmt: skip


def _readable(text: str) -> str:
    """The text without what no database keeps: NUL and halves of characters."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


class _TimedOut(Exception):
    pass


def _with_timeout(
    seconds: float | None, func: Callable[..., Any], positional: list[Any], keywords: Mapping[str, Any]
) -> Any:
    """Call `func`, at most for `seconds`. A body that overruns goes on in its thread; its result is dropped."""
    if not seconds:
        return func(*positional, **keywords)
    done: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(func(*positional, **keywords))
        except BaseException as error:  # handed to the waiting thread, which raises it again
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True, name="graflow-body")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise _TimedOut(f"did not end within {seconds:g} s")
    return done[0]
