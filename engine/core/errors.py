"""Every error Graflow raises on purpose, with a stable `code` and the way out in its message.

EngineError
├── DefinitionError          a workflow that cannot run: all its problems at once
├── IllegalTransition        a status move the state machine does not know
├── UnknownTask              an id that this run or workflow does not have
├── ArgumentError            a parameter of a task that nothing fills
├── ExpressionError          an expression that cannot be compiled or evaluated
├── ChannelError             a value of a channel that a change does not fit
├── WorkflowStateError       a builder used in a way that has no meaning
├── TaskFailure              a failed phase of a ParallelGroupExecutor
├── NotPicklable             work that cannot leave this process
├── RetryAfter               raised by a body: try again, but not before so many seconds
├── TerminalError            raised by a body: do not try again
├── FeedbackTimeoutError     nobody answered in time
├── FeedbackRejectedException    a person said no
└── RequestError             what the doors answer: NotFound, Forbidden, Conflict, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class EngineError(Exception):
    """Base of all deliberate errors."""

    code = "engine_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a definition. `path` names the offending key, as in `edges[3].target`."""

    code: str
    message: str
    path: str

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "path": self.path}


class DefinitionError(EngineError):
    """A definition that cannot run. `problems` lists all of them, in document order."""

    code = "definition_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {p.path or '(document)'}: {p.message}" for p in self.problems)
        count = len(self.problems)
        super().__init__(f"The workflow cannot run: {count} problem{'s' if count != 1 else ''}.\n{lines}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class IllegalTransition(EngineError):
    """A move the state machine does not know; nothing was changed."""

    code = "illegal_transition"

    def __init__(self, task_id: str, from_status: str, to_status: str) -> None:
        self.task_id, self.from_status, self.to_status = task_id, from_status, to_status
        super().__init__(
            f"Task {task_id!r} cannot go from {from_status!r} to {to_status!r}. "
            "TaskState.transition_to accepts only the moves listed in LEGAL_MOVES."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task_id, self.from_status, self.to_status)


class UnknownTask(EngineError, KeyError):
    """An id that this run or workflow does not have."""

    code = "unknown_task"

    def __init__(self, task_id: str, known: Sequence[str] = ()) -> None:
        self.task_id, self.known = task_id, list(known)
        names = ", ".join(repr(name) for name in self.known[:10]) or "none"
        super().__init__(f"There is no task {task_id!r} here. Known tasks: {names}.")

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task_id, self.known)


class ArgumentError(EngineError):
    """A required parameter that nothing fills; the task fails before it starts."""

    code = "argument_missing"

    def __init__(self, task_id: str, parameter: str, available: Sequence[str]) -> None:
        self.task_id, self.parameter, self.available = task_id, parameter, list(available)
        offered = ", ".join(self.available) or "nothing"
        super().__init__(
            f"Task {task_id!r}: nothing fills its parameter {parameter!r}. Available: {offered}. "
            "Name the parameter like an upstream task, an input or a key of the upstream result, "
            "set it in the node's params, or give it a default."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task_id, self.parameter, self.available)


class ExpressionError(EngineError):
    """An expression that cannot be compiled or evaluated."""

    code = "expression_error"

    def __init__(self, source: str, detail: str) -> None:
        self.source, self.detail = source, detail
        super().__init__(f"Expression {source[:120]!r}: {detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.detail)


class ChannelError(EngineError, TypeError):
    """A change that does not fit the value a channel has under that key."""

    code = "channel_value"


class WorkflowStateError(EngineError):
    """A workflow, run or service used in a way that has no meaning in its present state."""

    code = "workflow_state"


class TaskFailure(EngineError):
    """Tasks of one phase failed. `errors` maps task ids to messages."""

    code = "task_failed"

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        listed = "; ".join(f"{task}: {text}" for task, text in self.errors.items())
        super().__init__(f"{len(self.errors)} task(s) failed: {listed}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors,)


class NotPicklable(EngineError):
    """Work that cannot be sent to another process."""

    code = "not_picklable"

    def __init__(self, task_id: str, detail: str) -> None:
        self.task_id, self.detail = task_id, detail
        super().__init__(
            f"Task {task_id!r} cannot run in another process: {detail}. "
            "Move it to a module so that it can be imported by name, or use CoordinationBackend.MEMORY."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task_id, self.detail)


class RetryAfter(EngineError):
    """Raised by a body that knows when trying again makes sense; `seconds` replaces the computed delay."""

    code = "retry_after"

    def __init__(self, seconds: float, message: str = "") -> None:
        self.seconds, self.message = seconds, message
        self.retry_after = seconds
        super().__init__(message or f"Try again in {seconds:g} s.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds, self.message)


class TerminalError(EngineError):
    """Raised by a body for a failure that no further try can mend: it uses up no retries."""

    code = "terminal_error"
    terminal = True


class FeedbackTimeoutError(EngineError):
    """Nobody answered a request before its deadline, and its `on_timeout` is "error"."""

    code = "feedback_timeout"


class FeedbackRejectedException(EngineError):  # the name is public and older than our habit of ...Error
    """A person rejected the request, which was made with `on_reject="raise"`."""

    code = "feedback_rejected"

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason or "The request was rejected.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class RequestError(EngineError):
    """What a door answers when it cannot do what was asked. `status` is the HTTP status it stands for.

    `details` are extra fields for the caller: the winner of a race, the current revision, field errors.
    """

    code = "request_refused"
    status = 400

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        self.message, self.details = message, details
        if code is not None:
            self.code = code
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_request_error, (type(self), self.message, self.code, self.details)


def _rebuild_request_error(cls: type[RequestError], message: str, code: str, details: dict[str, Any]) -> RequestError:
    return cls(message, code=code, **details)


class NotFound(RequestError):
    code, status = "not_found", 404


class Forbidden(RequestError):
    code, status = "forbidden", 403


class Conflict(RequestError):
    code, status = "conflict", 409


class Gone(RequestError):
    code, status = "gone", 410


class StaleDraft(RequestError):
    code, status = "stale_draft", 412


class InvalidInput(RequestError):
    """`details["errors"]` is a list of `{"path", "message"}` where single fields are at fault."""

    code, status = "invalid_input", 422


class LimitExceeded(RequestError):
    """Not now: `details["retry_after"]` says in how many seconds."""

    code, status = "limit_exceeded", 429


class OutOfSpace(LimitExceeded):
    """The disk is nearly full."""

    code, status = "disk_full", 503
