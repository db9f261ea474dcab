"""What arrives from outside a run: a body finished, a person answered, a timer rang.

News are facts without a verdict. `machine.advance` folds them into the state, or ignores those that came
too late. Every one carries `at`, the time in seconds since the epoch, so that the core needs no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from engine.core.feedback import Decided, FeedbackRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """A task asked for by `next_task` or `map`. `uses` names the function, `args` are its arguments."""

    task_id: str
    uses: str
    args: dict[str, Any]
    join: bool = False
    settings: dict[str, Any] = field(default_factory=dict)  # retries, timeout, … of the function's task


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell people or another system. `to` holds mail addresses, user names and `group:NAME`;
    `webhook` is the name of a configured target.
    """

    task_id: str
    iteration: int
    subject: str
    message: str
    to: tuple[str, ...] = ()
    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a body asked the engine for; granted only when the body succeeds."""

    iterate: bool = False
    iterate_args: dict[str, Any] = field(default_factory=dict)
    iterate_uses: str | None = None
    spawn: tuple[Spawn, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStarted:
    at: float
    start_node: str | None = None


@dataclass(slots=True)
class TaskStarted:
    """Somebody began an execution: ready → running."""

    task_id: str
    at: float
    worker: str = ""


@dataclass(slots=True)
class TaskFinished:
    task_id: str
    at: float
    value: Any = None
    wishes: Wishes | None = None


FailureKind = Literal["error", "timeout", "worker_lost", "invalid", "released"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """`kind` is where the failure came from; `jitter` a number in [0.5, 1.5] that the caller drew."""

    task_id: str
    at: float
    error: str
    kind: FailureKind = "error"
    retryable: bool = True
    jitter: float = 1.0
    delay: float | None = None  # the body asked for this delay in seconds
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSuspended:
    """The body waits for a person: running → feedback_required.

    `requests` are all the questions the body has raised in this execution, the awaited one last;
    `drift` says that it asked something else than what was answered before.
    """

    task_id: str
    at: float
    requests: tuple[FeedbackRequest, ...]
    drift: bool = False


BodyReport = TaskFinished | TaskFailed | TaskSuspended
"""How one try of a function went."""


@dataclass(frozen=True, slots=True)
class TaskDelayed:
    """A step of kind delay stays running until `due` (seconds since the epoch) and then gives `value`."""

    task_id: str
    at: float
    due: float
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDelegated:
    """A step of kind workflow stays running until the run of another workflow has ended. `version` None: the
    latest published one at the time it starts.
    """

    task_id: str
    at: float
    workflow: str
    version: int | None = None
    inputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request was decided. `reraise`: a rejection is to be raised in the body instead of ending it;
    `data`: what was shown to the person.
    """

    task_id: str
    at: float
    decision: Decided
    feedback_id: str = ""
    reason: str | None = None
    reraise: bool = False
    data: Any = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class TimerRang:
    """What the task waited for has come: retry_waiting → ready, or the end of a delay."""

    task_id: str
    at: float


@dataclass(frozen=True, slots=True)
class StopRequested:
    at: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run cannot go on for a reason of its own: a deadline, a limit, an internal fault."""

    at: float
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PauseRequested:
    at: float


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    at: float


News = (
    RunStarted | TaskStarted | TaskFinished | TaskFailed | TaskSuspended | TaskDelayed | TaskDelegated | Answered
    | TimerRang | StopRequested | RunFailed | PauseRequested | ResumeRequested
)  # fmt: skip


# What the machine asks for in return. Whoever holds the run carries these out after the change is kept.


@dataclass(slots=True)
class RunTask:
    """The task is ready: have it carried out."""

    task_id: str


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Send `TimerRang` when `due` (seconds since the epoch) has come."""

    task_id: str
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StartChild:
    """Run another workflow for a step; tell `TaskFinished` or `TaskFailed` when that run has ended."""

    task_id: str
    iteration: int
    attempt: int
    workflow: str
    version: int | None
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notify:
    notice: Notice


@dataclass(frozen=True, slots=True)
class CancelTask:
    """The body or run of another workflow that runs now is no longer wanted; its result will be refused."""

    task_id: str


@dataclass(frozen=True, slots=True)
class WithdrawRequests:
    """Close the open requests of one task, or of the whole run when `task_id` is None."""

    task_id: str | None


@dataclass(frozen=True, slots=True)
class RunEnded:
    status: str


Command = RunTask | ArmTimer | StartChild | Notify | CancelTask | WithdrawRequests | RunEnded
