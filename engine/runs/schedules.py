"""Workflows that start by the clock: kept by operators, fired by the engine process.

Any number of engine processes may fire: each time is taken by one conditional UPDATE of `next_at`, and its run
carries a business key made of the schedule and the time. A run is started in the name and with the rights of
whoever made the schedule.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.access import Actor, audit
from engine.core.errors import Conflict, EngineError, Forbidden, InvalidInput, LimitExceeded, NotFound
from engine.runs import cron, data, database, idempotency, starting
from engine.runs.models import Run, WorkflowSchedule
from engine.runs.plans import plan_of
from engine.runs.workflows import as_uuid, find

log = logging.getLogger(__name__)

ACTION = "automation.edit"
MISSED = (WorkflowSchedule.SKIP, WorkflowSchedule.ONCE)
MOST = 100
SHOWN = 5
BATCH = 100
ON_TIME = timedelta(seconds=60)
"""A start that comes later than this was missed."""


def list_schedules(actor: Actor, workflow: str) -> list[data.Schedule]:
    definition = find(actor, "workflow.view", workflow)
    now = database.now()
    return [_schedule(row, now) for row in _rows().filter(definition=definition)]


def create_schedule(
    actor: Actor, workflow: str, *, cron: str, zone: str = "UTC", inputs: dict[str, Any] | None = None,
    missed: str = WorkflowSchedule.ONCE, enabled: bool = True, idempotency_key: str | None = None,
) -> data.Schedule:  # fmt: skip
    """Start a workflow by the clock. Raises InvalidInput naming the value at fault, with an example."""
    definition = find(actor, ACTION, workflow)
    if definition.archived_at is not None:
        raise Conflict(f"Workflow {definition.name!r} is archived and cannot be started.", code="archived")
    given: dict[str, Any] = {"cron": cron, "zone": zone, "inputs": inputs or {}, "missed": missed, "enabled": enabled}
    _check(given)
    starting.checked_inputs(plan_of(starting.version_of(definition, None).pk), given["inputs"])
    if WorkflowSchedule.objects.filter(definition=definition).count() >= MOST:
        raise Conflict(f"Workflow {definition.name!r} has {MOST} schedules already; delete one first.", code="too_many")

    def make() -> str:
        now = database.now()
        row = WorkflowSchedule(definition=definition, created_by_id=actor.pk, created_at=now, **given)
        _plan_next(row, now)
        row.save(force_insert=True)
        audit.write(
            actor, "schedule.create", "schedule", row.public_id, {"workflow": str(definition.public_id), **given}
        )
        return str(row.public_id)

    def once() -> str:
        with database.writing():
            request = [str(definition.public_id), given]
            return idempotency.once(actor, "create_schedule", idempotency_key, request, make)

    return get_schedule(actor, workflow, database.retried(once))


def get_schedule(actor: Actor, workflow: str, schedule: str) -> data.Schedule:
    return _schedule(_find(actor, "workflow.view", workflow, schedule), database.now())


def change_schedule(actor: Actor, workflow: str, schedule: str, **changes: Any) -> data.Schedule:
    """Change `cron`, `zone`, `inputs`, `missed` or `enabled`. The next time is planned anew from now."""
    found = _find(actor, ACTION, workflow, schedule)

    def once() -> None:
        with database.writing():
            row = WorkflowSchedule.objects.select_for_update().get(pk=found.pk)
            for name, value in changes.items():
                setattr(row, name, value)
            given = {name: getattr(row, name) for name in ("cron", "zone", "inputs", "missed", "enabled")}
            _check(given)
            if "inputs" in changes:
                starting.checked_inputs(plan_of(starting.version_of(found.definition, None).pk), given["inputs"])
            row.problem = ""
            _plan_next(row, database.now())
            row.save()
            audit.write(actor, "schedule.change", "schedule", row.public_id, changes)

    database.retried(once)
    return get_schedule(actor, workflow, schedule)


def delete_schedule(actor: Actor, workflow: str, schedule: str) -> None:
    """Its runs stay."""
    found = _find(actor, ACTION, workflow, schedule)

    def once() -> None:
        with database.writing():
            WorkflowSchedule.objects.filter(pk=found.pk).delete()
            audit.write(actor, "schedule.delete", "schedule", found.public_id, {"cron": found.cron, "zone": found.zone})

    database.retried(once)


# -- by the clock -----------------------------------------------------------------------------------------------


def due() -> list[int]:
    """Schedules whose time has come."""
    rows = WorkflowSchedule.objects.filter(
        enabled=True, next_at__lte=database.in_seconds(0), definition__archived_at=None
    )
    return list(rows.order_by("next_at").values_list("pk", flat=True)[:BATCH])


def fire(schedule_id: int) -> int:
    """Start the run of one schedule's time, or plan the next where that time was missed; 0 when there is nothing to do.

    Several times that passed while nobody looked count as one.
    """

    def once() -> int:
        with database.writing():
            row = _rows().filter(pk=schedule_id, enabled=True).first()
            now = database.now()
            if row is None or row.next_at is None or row.next_at > now:
                return 0
            time = cron.latest(row.cron, row.zone, row.next_at, now)
            following = cron.next_after(row.cron, row.zone, now)
            mine = WorkflowSchedule.objects.filter(pk=row.pk, next_at=row.next_at, enabled=True)
            if mine.update(next_at=following) != 1:
                return 0  # another engine process was quicker
            if now - time > ON_TIME and row.missed == WorkflowSchedule.SKIP:
                log.info("schedules: %s missed its time %s, which is skipped", row.public_id, time)
                return 1
            _start(row, time)
            return 1

    try:
        return database.retried(once)
    except LimitExceeded as full:
        log.info("schedules: %d waits: %s", schedule_id, full)
        return 0


def _start(row: WorkflowSchedule, time: datetime) -> None:
    """Start the run of `time`. What refuses it for good is kept where people look."""
    key = f"schedule:{row.public_id}:{time.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    changes: dict[str, Any] = {"last_at": time, "problem": ""}
    try:
        if row.created_by is None:
            raise Forbidden("The account that made this schedule is gone; delete it and make a new one.")
        with audit.acting_via("schedule"):
            run = starting.start(
                row.created_by, workflow=str(row.definition.public_id), inputs=row.inputs, business_key=key
            )
        changes["last_run"] = Run.objects.get(public_id=run)
    except LimitExceeded:
        raise
    except EngineError as refused:
        log.warning("schedules: %s could not start its run: %s", row.public_id, refused)
        changes["problem"] = str(refused)
    WorkflowSchedule.objects.filter(pk=row.pk).update(**changes)


def _plan_next(row: WorkflowSchedule, now: datetime) -> None:
    row.next_at = cron.next_after(row.cron, row.zone, now) if row.enabled else None


def _check(given: dict[str, Any]) -> None:
    cron.check(given["cron"], given["zone"])
    if given["missed"] not in MISSED:
        message = f"missed={given['missed']!r} is unknown; use one of: {', '.join(MISSED)}."
        raise InvalidInput(message, errors=[{"path": "missed", "message": message}])


def _rows() -> Any:
    return WorkflowSchedule.objects.select_related("definition", "created_by", "last_run").defer(
        "definition__draft", "last_run__counters", "last_run__inputs"
    )


def _find(actor: Actor, action: str, workflow: str, schedule: str) -> WorkflowSchedule:
    definition = find(actor, action, workflow)
    public_id = as_uuid(schedule)
    row: WorkflowSchedule | None = _rows().filter(definition=definition, public_id=public_id).first()
    if row is None:
        raise NotFound(f"Workflow {definition.name!r} has no schedule {schedule[:80]!r}.")
    return row


def _schedule(row: WorkflowSchedule, now: datetime) -> data.Schedule:
    return data.Schedule(
        id=str(row.public_id), workflow=str(row.definition.public_id), cron=row.cron, zone=row.zone, inputs=row.inputs,
        enabled=row.enabled, missed=row.missed, next_at=row.next_at,
        upcoming=tuple(cron.upcoming(row.cron, row.zone, now, SHOWN)), last_at=row.last_at,
        last_run=str(row.last_run.public_id) if row.last_run else None, problem=row.problem,
        created_by=row.created_by.get_username() if row.created_by else "", created_at=row.created_at,
    )  # fmt: skip
