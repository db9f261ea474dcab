"""The values that leave this room: frozen, complete, free of Django.

`as_dict()` gives exactly the JSON that REST and pages show; times become UTC ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """`value` as JSON data: times as text, values as their dictionaries."""
    if isinstance(value, Value):
        return value.as_dict()
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


class Value:
    """Base of the values; `as_dict` follows the field names."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        return {item.name: plain(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` asks for what follows, None at the end."""

    results: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow(Value):
    """A workflow with its draft. `latest_version` is None until something was published."""

    id: str
    name: str
    slug: str
    document: dict[str, Any]
    draft_revision: int
    latest_version: int | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Value):
    """A published version; `workflow` is the workflow's id."""

    workflow: str
    number: int
    note: str
    document: dict[str, Any]
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Value):
    """One task of a run as the graph shows it. `kind`, `label` and `uses` come from the definition.

    `max_cycle` is the limit in force (0: none; None: made while running) and `max_cycle_from` who set it: `task`,
    `code`, `workflow` or `engine`. `cycle_count` counts against it. `item` is the place, from 1, of what a map step
    made for one of its items.
    """

    id: str
    kind: str
    label: str
    uses: str | None
    parent: str | None
    status: str
    outcome: str | None
    reason: str | None
    error: str | None
    iteration: int
    attempt: int
    max_cycle: int | None
    max_cycle_from: str | None
    cycle_count: int
    item: int | None
    version: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Child(Value):
    """A run that a step of kind workflow has started; `workflow` is the slug it was started by."""

    task_id: str
    iteration: int
    attempt: int
    workflow: str
    run: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Value):
    """A run. `workflow` is the workflow's id, `parent` the run whose step `parent_task` waits for this one.
    In lists `tasks` and `children` are empty and `definition` None.
    """

    id: str
    workflow: str
    workflow_name: str
    workflow_slug: str
    version: int
    status: str
    reason: str | None
    mode: str
    seq: int
    inputs: dict[str, Any]
    open_feedback: int
    retry_of: str | None
    parent: str | None
    parent_task: str | None
    started_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None = None
    business_key: str | None = None
    min_seq: int = 1
    tasks: tuple[Task, ...] = ()
    children: tuple[Child, ...] = ()
    definition: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Value):
    """A workflow that starts by the clock. `upcoming` are its next times, also while it is not enabled."""

    id: str
    workflow: str
    cron: str
    zone: str
    inputs: dict[str, Any]
    enabled: bool
    missed: str
    next_at: datetime | None
    upcoming: tuple[datetime, ...]
    last_at: datetime | None
    last_run: str | None
    problem: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(Value):
    """An address that starts a workflow. Only the answer that made it holds the `secret`."""

    id: str
    workflow: str
    name: str
    signed: bool
    prefix: str
    path: str
    enabled: bool
    last_used_at: datetime | None
    created_by: str
    created_at: datetime
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus(Value):
    """The short form: `tasks` counts tasks by status."""

    id: str
    workflow: str
    status: str
    reason: str | None
    seq: int
    started_at: datetime | None
    ended_at: datetime | None
    tasks: Mapping[str, int]
    tasks_completed: int
    tasks_pending: int
    open_feedback: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Value):
    """One line of a run's history."""

    seq: int
    type: str
    task_id: str | None
    from_: str | None
    to: str | None
    iteration: int
    attempt: int
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "seq": self.seq, "type": self.type, "task_id": self.task_id, "from": self.from_, "to": self.to,
            "iteration": self.iteration, "attempt": self.attempt, "at": iso(self.at), "data": self.data,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class EventPage(Value):
    """Consecutive events; `last_seq` is the run's newest, which may lie beyond this page, `min_seq` the oldest that
    is still here. `reload`: what follows the asked one is gone, so fetch the run and go on from its `seq`.
    """

    results: tuple[Event, ...]
    last_seq: int
    min_seq: int = 1
    reload: bool = False

    def as_dict(self) -> dict[str, Any]:
        shown = {"results": plain(self.results), "last_seq": self.last_seq}
        return shown | ({"min_seq": self.min_seq, "reload": True} if self.reload else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Value):
    """One try. `number` counts within its iteration; `token` grows over the whole task and fences late results."""

    iteration: int
    number: int
    token: int
    state: str
    worker: str | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    inputs: Any
    result: Any
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Value):
    """What somebody decided, or a deadline did (`by` is then "system")."""

    decision: str
    by: str
    at: datetime
    via: str
    reason: str | None
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackItem(Value):
    """A question to people. `state`: open answered rejected skipped expired withdrawn superseded."""

    id: str
    run: str
    workflow: str
    workflow_name: str
    workflow_version: int
    task_id: str
    label: str
    iteration: int
    kind: str
    prompt: str
    data: Any
    payload_hash: str
    version: int
    state: str
    options: tuple[str, ...]
    schema: dict[str, Any] | None
    editable: bool
    assignees: dict[str, list[str]]
    requested_by: str
    on_timeout: str
    created_at: datetime
    due_at: datetime | None
    closed_at: datetime | None
    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetail(Value):
    """A task of a run with every try and every question, oldest first."""

    id: str
    run: str
    kind: str
    label: str
    uses: str | None
    parent: str | None
    status: str
    outcome: str | None
    reason: str | None
    error: str | None
    iteration: int
    attempt: int
    max_cycle: int | None
    max_cycle_from: str | None
    cycle_count: int
    item: int | None
    version: int
    started_at: datetime | None
    ended_at: datetime | None
    result: Any
    attempts: tuple[Attempt, ...]
    feedback: tuple[FeedbackItem, ...]
    children: tuple[Child, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent(Value):
    """A mail or a call of a webhook that was given up. `kind` is `mail` or `webhook`, `workflow` a name."""

    id: int
    kind: str
    recipient: str
    subject: str
    tries: int
    error: str
    created_at: datetime
    run: str
    task: str
    workflow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditItem(Value):
    id: int
    at: datetime
    actor: str
    action: str
    obj_type: str
    obj_id: str
    via: str
    data: dict[str, Any]
