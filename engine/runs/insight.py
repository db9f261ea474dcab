"""How the engine is doing: figures, health, the audit log."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Sum

from engine.access import Actor, policy
from engine.access.models import AuditEntry
from engine.core.state import FINAL_RUN_STATUSES
from engine.runs import database, disk, paging, queues, tally
from engine.runs.data import AuditItem, Page
from engine.runs.models import Attempt, FeedbackRequest, Run, SchedulerBeat, Timer, WorkerInstance, WorkflowDefinition

WORKER_FRESH = timedelta(seconds=20)
SCHEDULER_FRESH = timedelta(seconds=10)
FAILED = (Attempt.ERROR, Attempt.LOST)


def metrics(actor: Actor) -> dict[str, Any]:
    """Executions, queue, workers and runs. Times are in seconds; `uptime` is the engine process's."""
    policy.require(actor, "monitor.view")
    now = database.now()
    slugs = dict(policy.for_user(actor, WorkflowDefinition.objects.all()).values_list("pk", "slug"))
    whole, by_workflow = _Work(), {slug: _Work() for slug in sorted(slugs.values())}
    runs: Counter[str] = Counter()
    for (definition, name, label), value in tally.by_workflow().items():
        if definition not in slugs:
            continue
        if name == tally.RUNS:
            runs[label] += int(value)
        for work in (whole, by_workflow[slugs[definition]]):
            work.add(name, label, value)
    attempts = policy.for_user(actor, Attempt.objects.all())
    fresh = SchedulerBeat.objects.filter(last_seen__gt=now - SCHEDULER_FRESH)
    since = fresh.aggregate(since=Min("started_at"))["since"]
    asked = policy.for_user(actor, FeedbackRequest.objects.filter(state=FeedbackRequest.OPEN))
    return {
        **whole.shown(),
        "uptime": (now - since).total_seconds() if since else 0.0,
        "by_workflow": {slug: work.shown() for slug, work in by_workflow.items() if work.ended},
        "queue_depth": attempts.filter(state=Attempt.DISPATCHED).count(),
        "running": attempts.filter(state=Attempt.CLAIMED).count(),
        "open_requests": asked.count(),
        "disk": _disk(),
        "runs": dict(sorted(runs.items())),
        "workers": [
            {"name": f"{row.host}/{row.pid}", "slots": row.slots, "draining": row.draining}
            for row in WorkerInstance.objects.filter(last_seen__gt=now - WORKER_FRESH).order_by("started_at")
        ],
    }


@dataclass(slots=True)
class _Work:
    """Executions added up: how many ended in any way, worked and failed, and the seconds of the latter two."""

    ended: int = 0
    worked: int = 0
    failed: int = 0
    seconds: float = 0.0

    def add(self, name: str, label: str, value: float) -> None:
        if name == tally.EXECUTIONS:
            self.ended += int(value)
            self.worked += int(value) if label == Attempt.OK else 0
            self.failed += int(value) if label in FAILED else 0
        elif name == tally.EXECUTION_SECONDS and label in (Attempt.OK, *FAILED):
            self.seconds += value

    def shown(self) -> dict[str, Any]:
        average = self.seconds / max(1, self.worked + self.failed)
        return {"tasks_executed": self.worked, "tasks_failed": self.failed, "average_execution_time": average}


def _disk() -> dict[str, Any]:
    enough, words = disk.health()
    return {"ok": enough, "detail": words}


def figures(actor: Actor) -> dict[str, Any]:
    """Totals, and how things stand at this moment; for a monitoring system that looks every few seconds."""
    policy.require(actor, "monitor.view")
    now = database.now()
    active = Run.objects.exclude(status__in=sorted(FINAL_RUN_STATUSES))
    waiting = Attempt.objects.filter(state=Attempt.DISPATCHED)
    workers = queues.fresh_workers().aggregate(n=Count("pk"), slots=Sum("slots"))
    oldest = waiting.filter(held=False, run__paused=False).aggregate(at=Min("created_at"))["at"]
    due = Timer.objects.filter(fired_at=None, due_at__lt=now).aggregate(at=Min("due_at"))["at"]
    free = disk.free_percent()
    at_once: dict[str, Any] = {
        "runs": _counted(active, "status"),
        "queues": _counted(waiting, "queue"),
        "tasks_running": Attempt.objects.filter(state=Attempt.CLAIMED).count(),
        "workers": workers["n"],
        "worker_slots": workers["slots"] or 0,
        "engines": SchedulerBeat.objects.filter(last_seen__gt=now - SCHEDULER_FRESH).count(),
        "open_requests": FeedbackRequest.objects.filter(state=FeedbackRequest.OPEN).count(),
        "outbox_age_seconds": (now - oldest).total_seconds() if oldest else 0.0,
        "timer_lag_seconds": (now - due).total_seconds() if due else 0.0,
        "disk_free_ratio": math.nan if free is None else free / 100,
    }
    return {"now": at_once, "totals": tally.totals()}


def _counted(rows: Any, column: str) -> dict[str, float]:
    return dict(rows.order_by(column).values_list(column).annotate(Count("pk")))


def health() -> dict[str, tuple[bool, str]]:
    """What a run needs beside the broker, by name: is it there, and in a word how.

    Signs of life outlive a killed process for some seconds; where the system knows better, it is asked.
    """
    now = database.now()
    fresh = queues.fresh_workers().values_list("boot_id", flat=True)
    alive = sum(not database.is_gone(f"worker-{boot_id}") for boot_id in fresh)
    missing = queues.complaints()
    seen = SchedulerBeat.objects.aggregate(seen=Max("last_seen"))["seen"]
    beats = seen is not None and seen > now - SCHEDULER_FRESH and not database.is_gone("engine")
    return {
        "database": (True, connection.vendor),
        "workers": (alive > 0, "; ".join([f"{alive} running" if alive else "none is running", *missing])),
        "scheduler": (beats, "" if beats else "has not gone round lately"),
    }


def audit(
    reader: Actor,
    /,
    *,
    action: str | None = None,
    actor: str | None = None,
    obj_type: str | None = None,
    obj_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditItem]:
    """Who did what, newest first. `actor` is a user's name."""
    policy.require(reader, "audit.view")
    given = {"action": action, "actor_name": actor, "obj_type": obj_type, "obj_id": obj_id}
    rows = AuditEntry.objects.filter(**{name: value for name, value in given.items() if value})
    return paging.number_page(rows, "id", limit, cursor, _entry)


def _entry(row: AuditEntry) -> AuditItem:
    return AuditItem(
        id=row.id, at=row.at, actor=row.actor_name, action=row.action, obj_type=row.obj_type, obj_id=row.obj_id,
        via=row.via, data=row.data,
    )  # fmt: skip
