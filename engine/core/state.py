"""What a run knows of its tasks: statuses, legal moves, counters.

Pure values. Who moves a task, and when, is the business of `machine`; this module only refuses moves
that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.core.errors import IllegalTransition, UnknownTask

if TYPE_CHECKING:
    from engine.core.history import Entry
    from engine.core.plan import Plan


class TaskStatus(StrEnum):
    """The eleven statuses of a task. They compare equal to their names."""

    BLOCKED = "blocked"  # waits for its inputs
    READY = "ready"
    RUNNING = "running"
    PLANNED = "planned"  # worked, and its cycle may go on
    FEEDBACK_REQUIRED = "feedback_required"
    REJECTED = "rejected"
    SUCCESS = "success"
    ERROR = "error"
    RETRY_WAITING = "retry_waiting"
    SKIPPED = "skipped"
    COMPLETED = "completed"  # final; `outcome` says how


_S = TaskStatus
LEGAL_MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    _S.BLOCKED: frozenset({_S.READY, _S.SKIPPED}),
    _S.READY: frozenset({_S.RUNNING, _S.SKIPPED}),
    _S.RUNNING: frozenset({_S.PLANNED, _S.SUCCESS, _S.ERROR, _S.FEEDBACK_REQUIRED}),
    _S.PLANNED: frozenset({_S.SUCCESS, _S.READY, _S.ERROR}),
    _S.FEEDBACK_REQUIRED: frozenset({_S.READY, _S.REJECTED, _S.SKIPPED}),
    _S.ERROR: frozenset({_S.RETRY_WAITING, _S.COMPLETED}),
    _S.RETRY_WAITING: frozenset({_S.READY}),
    _S.SUCCESS: frozenset({_S.READY, _S.COMPLETED}),
    _S.REJECTED: frozenset({_S.COMPLETED}),
    _S.SKIPPED: frozenset({_S.COMPLETED}),
    _S.COMPLETED: frozenset(),
}
ACTIVE = frozenset({_S.READY, _S.RUNNING, _S.RETRY_WAITING})
"""Statuses of a task that somebody is about to move without a person's help."""

FINAL_RUN_STATUSES = frozenset({"succeeded", "failed", "rejected", "stopped"})
RUN_STATUSES = ("pending", "running", "waiting", "paused", "stopping", *sorted(FINAL_RUN_STATUSES))
OUTCOMES = ("success", "error", "rejected", "skipped", "cancelled")


class TaskState:
    """One task of one run. `iteration` and `attempt` count from 1; `cycle_count` counts finished executions
    since the task's loop was entered; `at` is the time of the last move in seconds since the epoch.

    Fields keep their defaults on the class, so that a task that has not begun costs next to nothing.
    """

    task_id: str
    status: TaskStatus = TaskStatus.BLOCKED
    result: Any = None
    error: Any = None
    retry_count: int = 0
    version: int = 1
    cycle_count: int = 0
    at: float = 0.0
    iteration: int = 1
    attempt: int = 1
    lost_count: int = 0
    outcome: str | None = None
    reason: str | None = None
    fired: Sequence[int] = ()  # plan edges into it that fired in this life, in order
    dead: Sequence[int] = ()  # plan edges into it that can no longer fire
    arrived: Sequence[str] = ()  # groups it has arrived at in this life
    carried: Any = None  # what a loop edge over an error or a rejection handed to this head
    how: str | None = None  # how its last execution ended, as the edges out of it see it
    handled: bool = False  # an edge took care of its failure or rejection
    tolerated: bool = False  # its group's policy did
    resumed: bool = False  # ready again after an answer: the same execution goes on
    iterates: bool = False  # has used next_iteration since its loop was entered
    memory: dict[str, Any] | None = None  # last values of its own convergence
    settings: dict[str, Any] | None = None  # of a task made while running
    args: dict[str, Any] | None = None  # given by next_task or next_iteration
    uses: str | None = None  # function of a dynamic task, or of an iteration with another function
    parent: str | None = None  # set on tasks made while running
    joined: bool = False  # the parent's successors wait for this one
    children: int = 0  # joined children that have not ended
    child_error: str | None = None
    reject: str | None = None  # "raise": the next execution meets the rejection as an exception

    def __init__(self, task_id: str, status: TaskStatus = TaskStatus.BLOCKED, **fields: Any) -> None:
        self.task_id = task_id
        self.status = status
        if fields:
            for name, value in fields.items():
                if name not in TASK_FIELDS:
                    raise TypeError(f"TaskState has no field {name!r}")
                setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in TASK_FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"TaskState({told})"

    def transition_to(self, new_status: TaskStatus, **kwargs: Any) -> None:
        """Move to `new_status`; keywords `result`, `error`, `increment_retry` and `at` go with the move.

        Raises IllegalTransition, and changes nothing, when the move does not exist.
        """
        try:
            new_status = TaskStatus(new_status)
        except ValueError:
            raise IllegalTransition(self.task_id, self.status.value, str(new_status)) from None
        if new_status not in LEGAL_MOVES[self.status]:
            raise IllegalTransition(self.task_id, self.status.value, new_status.value)
        self.status = new_status
        self.at = kwargs.get("at") or datetime.now(UTC).timestamp()
        if new_status is TaskStatus.RUNNING:
            self.error = None
        elif new_status is TaskStatus.ERROR:
            self.error = kwargs.get("error")
            if kwargs.get("increment_retry", True):
                self.retry_count += 1
        elif new_status is TaskStatus.PLANNED:
            self.cycle_count += 1
            self.result = kwargs.get("result", self.result)
        elif new_status in (TaskStatus.SUCCESS, TaskStatus.COMPLETED) and "result" in kwargs:
            self.result = kwargs["result"]

    @property
    def updated_at(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def to_channel_value(self) -> dict[str, Any]:
        """The state as plain data; the inverse of `from_channel_value`."""
        return {
            "task_id": self.task_id,
            "status": self.status.value,
            "result": self.result,
            "error": str(self.error) if self.error is not None else None,
            "retry_count": self.retry_count,
            "version": self.version,
            "cycle_count": self.cycle_count,
            "iteration": self.iteration,
            "attempt": self.attempt,
            "outcome": self.outcome,
            "reason": self.reason,
            "updated_at": self.updated_at.isoformat(),
        }

    @classmethod
    def from_channel_value(cls, data: dict[str, Any]) -> TaskState:
        updated = data.get("updated_at")
        return cls(
            task_id=data["task_id"],
            status=TaskStatus(data["status"]),
            result=data.get("result"),
            error=data.get("error"),
            retry_count=data.get("retry_count", 0),
            version=data.get("version", 1),
            cycle_count=data.get("cycle_count", 0),
            at=datetime.fromisoformat(updated).timestamp() if updated else 0.0,
            iteration=data.get("iteration", 1),
            attempt=data.get("attempt", 1),
            outcome=data.get("outcome"),
            reason=data.get("reason"),
        )


TASK_FIELDS = tuple(TaskState.__annotations__)


def begin_iteration(task: TaskState) -> None:
    """Reset what belongs to one iteration. The result stays readable until the next one."""
    task.iteration += 1
    task.version += 1
    task.attempt = 1
    task.retry_count = task.lost_count = task.children = 0
    task.handled = task.tolerated = task.resumed = False
    task.outcome = task.reason = task.error = task.how = None
    task.reject = task.args = task.child_error = None
    task.arrived = ()
    if task.parent is None:
        task.uses = None


class TaskTable(dict[str, TaskState]):
    """The tasks of a run by id. A durable store subclasses it and loads rows in `__missing__`."""

    def __missing__(self, task_id: str) -> TaskState:
        raise UnknownTask(task_id, list(self))

    def unfinished(self) -> Iterator[TaskState]:
        """Every task that has not reached its final status."""
        return iter([task for task in self.values() if task.status is not TaskStatus.COMPLETED])


@dataclass(slots=True)
class LoopState:
    """One loop of a run. `live` counts tasks of its body that may still move by themselves or by a person;
    `last` and `steady` remember the last value and how often it stood still, per convergence rule.
    """

    live: int = 0
    ended: bool = False
    reason: str | None = None
    passes: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    steady: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # loop edge (index as text) -> how its source ended

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class GroupState:
    """One group of a run in its present pass: how many members ended, how many worked, which did not."""

    arrived: int = 0
    worked: int = 0
    failed: list[str] = field(default_factory=list)
    outcome: str | None = None  # set when all have ended: success, error or skipped
    size: int = 0  # members

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class RunState:
    """Everything a run remembers. `tasks` may be loaded piece by piece; the rest is small and bounded by
    the size of the plan. `log` receives the history entries of the present change or, in a local run, all.
    """

    status: str = "pending"
    reason: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    tasks: TaskTable = field(default_factory=TaskTable)
    open: int = 0  # tasks that are not completed
    live: int = 0  # tasks ready, running or waiting for a retry
    asking: int = 0  # tasks waiting for a person
    failure: str | None = None  # first failure nobody handled, as text
    rejection: str | None = None  # first rejection nobody handled
    verdicts: list[str] = field(default_factory=list)  # failed or rejected tasks that something may yet handle
    steps: int = 0  # executions begun
    max_steps: int | None = None
    paused: bool = False
    closing: str | None = None  # the final status this run is heading for: nothing starts any more
    partial: bool = False  # started somewhere inside: what the start does not reach stays out
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # read by expressions
    loops: list[LoopState] = field(default_factory=list)
    groups: dict[str, GroupState] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)

    @classmethod
    def for_plan(cls, plan: Plan, *, inputs: dict[str, Any] | None = None, max_steps: int | None = None) -> RunState:
        """A run that has not started: every planned task is blocked."""
        return cls(
            inputs=dict(inputs or {}),
            max_steps=max_steps,
            tasks=TaskTable(zip(plan.tasks, map(TaskState, plan.tasks), strict=True)),
            open=len(plan.tasks),
            loops=[LoopState() for _ in plan.loops],
            groups={group.id: GroupState(size=len(group.members)) for group in plan.groups.values()},
        )

    def is_final(self) -> bool:
        return self.status in FINAL_RUN_STATUSES

    def counters(self) -> dict[str, Any]:
        """All but inputs, tasks, channels and log, as JSON; the inverse of `from_counters`."""
        return {
            **{name: getattr(self, name) for name in _PLAIN_COUNTERS},
            "loops": [loop.as_dict() for loop in self.loops],
            "groups": {group_id: group.as_dict() for group_id, group in self.groups.items()},
        }

    @classmethod
    def from_counters(cls, data: dict[str, Any], *, tasks: TaskTable, inputs: dict[str, Any]) -> RunState:
        return cls(
            **{name: data[name] for name in _PLAIN_COUNTERS},
            tasks=tasks,
            inputs=inputs,
            loops=[LoopState(**loop) for loop in data["loops"]],
            groups={group_id: GroupState(**group) for group_id, group in data["groups"].items()},
        )


_PLAIN_COUNTERS = (
    "status", "reason", "open", "live", "asking", "failure", "rejection", "verdicts", "steps", "max_steps", "paused",
    "closing", "partial",
)  # fmt: skip
