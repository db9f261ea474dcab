"""The rows a run consists of: columns, constraints and questions about one row.

What touches two tables is a function of this room. All times are the database's; all JSON is kept as text.

Tasks, attempts and events are written for every step of every run, by the ledger alone and under their run's lock.
The database is not asked to check with each of them that the run exists and that counts are not negative (ADR 8);
`invariants` does.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from engine.core.state import FINAL_RUN_STATUSES
from engine.runs import outgoing  # noqa: F401  tables of the same app, in a module of their own
from engine.runs.automatic import WorkflowSchedule as WorkflowSchedule
from engine.runs.automatic import WorkflowTrigger as WorkflowTrigger
from engine.runs.fields import JsonText
from engine.runs.totals import Total as Total
from engine.runs.totals import WorkflowTotal as WorkflowTotal

CASCADE, PROTECT, SET_NULL = models.CASCADE, models.PROTECT, models.SET_NULL


class Immutable(Exception):
    """A published version was about to be changed."""


class WorkflowDefinition(models.Model):
    """A workflow and its draft. `draft_revision` grows with every save, so that nobody overwrites unseen work."""

    workflow_path: ClassVar = ""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    slug = models.SlugField(max_length=120, unique=True)
    name = models.CharField(max_length=100)
    draft = JsonText()
    draft_revision = models.PositiveIntegerField(default=1)
    latest_version = models.PositiveIntegerField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    allowed_groups = models.ManyToManyField(Group, blank=True, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["-created_at", "-id"], name="engine_workflow_newest")]

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(models.Model):
    """A published version. Frozen from its first save on; the database refuses changes too."""

    workflow_path: ClassVar = "definition"

    definition = models.ForeignKey(WorkflowDefinition, on_delete=PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    spec = JsonText()
    spec_sha256 = models.CharField(max_length=64)
    engine_abi = models.PositiveSmallIntegerField(default=1)
    note = models.TextField(blank=True, default="")
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    published_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["definition", "number"], name="engine_version_number"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Immutable(f"Version {self.number} is published and cannot be changed; publish a new one.")
        super().save(*args, **kwargs)


class Blob(models.Model):
    """A value too large for its row, stored once under its hash."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=100, default="application/json")
    content = models.BinaryField()
    created_at = models.DateTimeField()
    unreferenced_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.media_type}, {self.size} bytes"


class Run(models.Model):
    """One execution of a version. Its row is the lock under which everything of the run changes.

    `seq` is the number of its newest event, `min_seq` of the oldest that is still here; `counters` is what the core remembers beside the tasks.
    """

    workflow_path: ClassVar = "definition"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    definition = models.ForeignKey(WorkflowDefinition, on_delete=PROTECT, related_name="runs", db_index=False)
    version = models.ForeignKey(WorkflowVersion, on_delete=PROTECT, related_name="runs", db_index=False)
    status = models.CharField(max_length=12, default="pending")
    reason = models.TextField(null=True, blank=True)
    mode = models.CharField(max_length=8, default="live")
    seq = models.BigIntegerField(default=0)
    min_seq = models.BigIntegerField(default=1, db_default=1)
    inputs = JsonText()
    counters = JsonText()
    paused = models.BooleanField(default=False)
    paused_with_parent = models.BooleanField(default=False, db_default=False)
    open_feedback = models.IntegerField(default=0)
    priority = models.IntegerField(default=0)
    last_at = models.FloatField(default=0.0, help_text="Time of the newest event; times of one run never go back.")
    engine_abi = models.SmallIntegerField(default=1)
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=SET_NULL, db_index=False, related_name="retries"
    )
    # Without a constraint: checking it would wait for the parent's lock, and the parent for what its child holds.
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=SET_NULL, db_constraint=False, db_index=False, related_name="children"
    )
    parent_task = models.CharField(max_length=200, null=True, blank=True)
    depth = models.SmallIntegerField(default=0, db_default=0)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=SET_NULL, db_index=False, related_name="+"
    )
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    business_key = models.CharField(max_length=200, null=True, blank=True)
    counted = models.BooleanField(default=False, db_default=False, help_text="Whether the totals hold it.")
    trimmed = models.BooleanField(default=False, db_default=False, help_text="Whether its history is archived.")

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["definition", "business_key"], name="engine_run_business_key")
        ]
        # No index, and no condition of one, may name what changes with every task (seq, counters, last_at): PostgreSQL
        # would write all of them anew each time.
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="engine_run_newest"),
            models.Index(fields=["definition", "-created_at", "-id"], name="engine_run_of_workflow"),
            models.Index(
                fields=["status", "id"], name="engine_run_live", condition=~Q(status__in=sorted(FINAL_RUN_STATUSES))
            ),
            models.Index(
                fields=["id"], name="engine_run_uncounted", condition=Q(ended_at__isnull=False, counted=False)
            ),
            models.Index(
                fields=["ended_at"], name="engine_run_untrimmed", condition=Q(ended_at__isnull=False, trimmed=False)
            ),
            models.Index(fields=["parent"], name="engine_run_children", condition=Q(parent__isnull=False)),
            models.Index(fields=["retry_of"], name="engine_run_retries", condition=Q(retry_of__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.public_id} ({self.status})"

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_RUN_STATUSES


class RunTask(models.Model):
    """The state of one task of one run. `memory` holds what only the core reads; `attempt_no` numbers its
    attempts over all iterations and is the fencing token.
    """

    workflow_path: ClassVar = "run__definition"

    run = models.ForeignKey(Run, on_delete=CASCADE, db_constraint=False, related_name="tasks", db_index=False)
    key = models.CharField(max_length=200)
    status = models.CharField(max_length=20)
    outcome = models.CharField(max_length=12, null=True)
    reason = models.TextField(null=True)
    error = models.TextField(null=True)
    iteration = models.IntegerField(default=1)
    attempt = models.IntegerField(default=1)
    retry_count = models.IntegerField(default=0)
    lost_count = models.IntegerField(default=0)
    cycle_count = models.IntegerField(default=0)
    version = models.IntegerField(default=1)
    attempt_no = models.IntegerField(default=0)
    result = JsonText(null=True)
    result_blob = models.ForeignKey(Blob, null=True, on_delete=PROTECT, related_name="+", db_index=False)
    parent = models.CharField(max_length=200, null=True)
    uses = models.CharField(max_length=200, null=True)
    memory = JsonText(null=True)
    at = models.FloatField(default=0.0)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "engine_runtask"
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "key"], name="engine_task_key")]
        indexes: ClassVar = [
            models.Index(fields=["result_blob"], name="engine_task_blob", condition=Q(result_blob__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"


class Attempt(models.Model):
    """One try of a task, and the outbox: a row in state `dispatched` is work that somebody has to publish.

    `number` is the fencing token, `nonce` what a claimant must show. The right to finish belongs to the worker
    that claimed it, as long as the lease lasts.

    `reserved` are those their `job`'s worker may carry out after what it has claimed; their tasks are still blocked.
    """

    workflow_path: ClassVar = "run__definition"

    DISPATCHED, CLAIMED, OK, ERROR = "dispatched", "claimed", "ok", "error"
    SUSPENDED, LOST, RELEASED, CANCELLED = "suspended", "lost", "released", "cancelled"
    RESERVED = "reserved"
    OPEN: ClassVar = (DISPATCHED, CLAIMED)

    run = models.ForeignKey(Run, on_delete=CASCADE, db_constraint=False, related_name="attempts", db_index=False)
    task = models.ForeignKey(RunTask, on_delete=CASCADE, db_constraint=False, related_name="attempts", db_index=False)
    key = models.CharField(max_length=200)
    number = models.IntegerField()
    iteration = models.IntegerField()
    attempt = models.IntegerField()
    nonce = models.CharField(max_length=32)
    queue = models.CharField(max_length=60)
    priority = models.IntegerField(default=0)
    state = models.CharField(max_length=12, default=DISPATCHED)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    publish_after = models.DateTimeField()
    held = models.BooleanField(default=False, help_text="Waits for its turn in a run that does one thing at a time.")
    publish_count = models.IntegerField(default=0)
    worker = models.CharField(max_length=36, null=True)
    job = models.BigIntegerField(null=True, help_text="The attempt whose message brought the worker here.")
    lease_until = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    inputs = JsonText(null=True)
    result = JsonText(null=True)
    result_blob = models.ForeignKey(Blob, null=True, on_delete=PROTECT, related_name="+", db_index=False)
    error = models.TextField(null=True)
    traceback = models.TextField(null=True)
    late_result = JsonText(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["task", "number"], name="engine_attempt_number")]
        indexes: ClassVar = [
            models.Index(fields=["run", "id"], name="engine_attempt_of_run"),
            models.Index(fields=["run", "priority", "id"], name="engine_attempt_next", condition=Q(state="dispatched")),
            models.Index(fields=["priority", "id"], name="engine_attempt_outbox", condition=Q(state="dispatched")),
            models.Index(fields=["lease_until"], name="engine_attempt_lease", condition=Q(state="claimed")),
            models.Index(fields=["result_blob"], name="engine_attempt_blob", condition=Q(result_blob__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.number}: {self.state}"


class RunEvent(models.Model):
    """One line of a run's history. `seq` is given under the run's lock: gapless, in the order of the commits."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, on_delete=CASCADE, db_constraint=False, related_name="events", db_index=False)
    seq = models.BigIntegerField()
    type = models.CharField(max_length=32)
    task_id = models.CharField(max_length=200, null=True)
    from_status = models.CharField(max_length=20, null=True)
    to_status = models.CharField(max_length=20, null=True)
    iteration = models.IntegerField(default=0)
    attempt = models.IntegerField(default=0)
    at = models.FloatField()
    data = JsonText(null=True)

    class Meta:
        ordering: ClassVar = ["run_id", "seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.type} {self.task_id or ''}"


class ChannelValue(models.Model):
    run = models.ForeignKey(Run, on_delete=CASCADE, related_name="channels", db_index=False)
    channel = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    value = JsonText(null=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "channel", "key"], name="engine_channel_key")]

    def __str__(self) -> str:
        return f"{self.channel}:{self.key}"


class StepCheckpoint(models.Model):
    """The remembered result of `context.step`; the first one stored stays."""

    task = models.ForeignKey(RunTask, on_delete=CASCADE, related_name="checkpoints", db_index=False)
    iteration = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    value = JsonText(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "iteration", "key"], name="engine_checkpoint_key")
        ]

    def __str__(self) -> str:
        return self.key


class FeedbackRequest(models.Model):
    """A question to people. Its identity is (task, iteration, key); `version` grows when the body asks something
    else under the same identity. An answer binds to `payload_hash`.
    """

    OPEN, WITHDRAWN, SUPERSEDED = "open", "withdrawn", "superseded"
    DECIDED: ClassVar = ("answered", "rejected", "skipped", "expired")

    workflow_path: ClassVar = "run__definition"

    public_id = models.UUIDField(unique=True, editable=False)
    run = models.ForeignKey(Run, on_delete=CASCADE, related_name="feedback")
    task = models.ForeignKey(RunTask, on_delete=CASCADE, related_name="feedback", db_index=False)
    task_key = models.CharField(max_length=200)
    iteration = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=20)
    prompt = models.TextField(blank=True)
    data = JsonText(null=True)
    payload_hash = models.CharField(max_length=64)
    options = JsonText()
    schema = JsonText(null=True)
    editable = models.BooleanField(default=False)
    timeout = models.FloatField(null=True)
    on_timeout = models.CharField(max_length=10)
    on_reject = models.CharField(max_length=10)
    assignees = JsonText()
    addressed = models.TextField(default="", help_text="Whom `assignees` names, one per line; empty: every reviewer.")
    state = models.CharField(max_length=12, default=OPEN)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=10, null=True)
    value = JsonText(null=True)
    decision_reason = models.TextField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=SET_NULL, related_name="+")
    decided_via = models.CharField(max_length=12, default="")

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "iteration", "key", "version"], name="engine_feedback_identity"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="engine_feedback_newest"),
            models.Index(fields=["-created_at", "-id"], name="engine_feedback_open", condition=Q(state="open")),
            models.Index(
                fields=["due_at"], name="engine_feedback_due", condition=Q(state="open", due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.task_key}: {self.state}"


class FeedbackDecision(models.Model):
    """One person's decision. Counted once per person, bound to what was shown."""

    request = models.ForeignKey(FeedbackRequest, on_delete=CASCADE, related_name="decisions", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    decision = models.CharField(max_length=10)
    value = JsonText(null=True)
    reason = models.TextField(null=True)
    payload_hash = models.CharField(max_length=64)
    via = models.CharField(max_length=12)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["request", "user"], name="engine_decision_once")]

    def __str__(self) -> str:
        return self.decision


class Timer(models.Model):
    """Something that is due later. `token` is the version of the task it belongs to; an older one is void.

    A run's deadline belongs to no task.
    """

    RETRY, DEADLINE = "retry", "run_deadline"

    run = models.ForeignKey(Run, on_delete=CASCADE, related_name="timers")
    task = models.ForeignKey(RunTask, null=True, on_delete=CASCADE, related_name="timers", db_index=False)
    key = models.CharField(max_length=200, null=True)
    kind = models.CharField(max_length=20)
    token = models.CharField(max_length=40)
    due_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="engine_timer_due", condition=Q(fired_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.due_at}"


class IdempotencyKey(models.Model):
    """What a repeated request gets: the answer of the first one, if it asked for the same."""

    actor = models.CharField(max_length=40)
    scope = models.CharField(max_length=40)
    key = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64)
    response = JsonText(null=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["actor", "scope", "key"], name="engine_idempotency_key")
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class WorkerInstance(models.Model):
    """A worker since its last start. For people and health only: leases do not depend on this row."""

    boot_id = models.CharField(max_length=36, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    slots = models.PositiveIntegerField(default=1)
    queues = models.TextField(default="", help_text="Separated by commas.")
    started_at = models.DateTimeField()
    last_seen = models.DateTimeField(db_index=True)
    draining = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}"


class SchedulerBeat(models.Model):
    """A running copy of the engine process and when it last went round."""

    boot_id = models.CharField(max_length=36, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    last_seen = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}"
