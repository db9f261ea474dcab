"""What only time brings: due retries, questions nobody answered, attempts that still wait for the wire.

The engine process calls these again and again. Each may run in several processes at once and may die anywhere:
candidates are found without locks, and every change has its own guard.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from django.db.models import F, Q, QuerySet

from engine.core import news as n
from engine.runs import database, deadlines
from engine.runs.ledger import Locked, Refused, Unit, change, may_ring, token_of
from engine.runs.models import Attempt, FeedbackRequest, Timer

BATCH = 200
HANDED_SECONDS = 5.0
"""How long a chosen attempt is left to the process that is about to publish it."""
RESEND_SECONDS = 10.0
"""Patience with a published attempt, doubled each time. Workers take no job before they can claim it, so what is
neither claimed nor in the queue by then went down with somebody.
"""
RESEND_CEILING = 600.0


class Waiting(NamedTuple):
    """An attempt that is to be published."""

    id: int
    nonce: str
    queue: str
    lost_count: int
    """How often its task was lost with a worker."""


class DueTimers(NamedTuple):
    """The timers of one run that are due: (row id, task, token) each. The run's deadline names no task."""

    run_id: int
    timers: list[tuple[int, str, str]]


def due_timers() -> list[DueTimers]:
    """Timers that are due, by run."""
    due = Timer.objects.filter(fired_at=None, due_at__lte=database.in_seconds(0)).order_by("due_at")
    rows = sorted(due.values_list("run_id", "pk", "key", "token")[:BATCH], key=lambda row: row[0])
    return [
        DueTimers(run_id, [(pk, key or "", token) for _, pk, key, token in timers])
        for run_id, timers in groupby(rows, key=lambda row: row[0])
    ]


def fire(due: DueTimers) -> int:
    """Ring the timers of one run in one transaction; how many were still to ring."""

    def step(unit: Unit) -> int:
        fired = 0
        for pk, key, token in due.timers:
            if Timer.objects.filter(pk=pk, fired_at=None).update(fired_at=unit.moment) != 1:
                continue
            fired += 1
            if not key:
                deadlines.ring(unit)
            elif may_ring(unit.plan, unit.state, key) and token_of(unit.state, key) == token:
                unit.tell(n.TimerRang(key, unit.at))
        return fired

    try:
        return change(due.run_id, step, keys=tuple(key for _, key, _ in due.timers if key), skip_locked=True)
    except (Locked, Refused):
        return 0


def overdue_feedback() -> list[int]:
    """Open questions whose deadline has passed."""
    due = FeedbackRequest.objects.filter(state=FeedbackRequest.OPEN, due_at__lte=database.in_seconds(0))
    return list(due.order_by("due_at").values_list("pk", flat=True)[:BATCH])


def on_the_wire(queues: Iterable[str] | None = None) -> int:
    """Attempts that were published and that nobody has claimed; in these queues, or in all."""
    return Attempt.objects.filter(_in(queues), state=Attempt.DISPATCHED, published_at__isnull=False).count()


def is_waiting(queues: Iterable[str] | None = None) -> bool:
    """Whether an attempt waits to be published now."""
    return _due(_in(queues) & Q(published_at__isnull=True)).exists()


def stale_queues() -> list[str]:
    """Queues with published attempts that nobody has claimed for long."""
    return sorted(set(_due(Q(published_at__isnull=False)).values_list("queue", flat=True)))


def take_unpublished(limit: int, queues: Iterable[str] | None = None) -> list[Waiting]:
    """Up to `limit` attempts to publish now, the most urgent first. They are the caller's for some seconds."""
    return _take(_in(queues) & Q(published_at__isnull=True), limit) if limit > 0 else []


def take_stale(limit: int) -> list[Waiting]:
    """Published attempts that nobody has claimed for long: their message may be lost."""
    return _take(Q(published_at__isnull=False), limit)


def _in(queues: Iterable[str] | None) -> Q:
    return Q() if queues is None else Q(queue__in=list(queues))


def _due(which: Q) -> QuerySet[Attempt]:
    return Attempt.objects.filter(
        which, state=Attempt.DISPATCHED, held=False, publish_after__lte=database.in_seconds(0), run__paused=False
    )


def _take(which: Q, limit: int) -> list[Waiting]:
    with database.writing():
        rows = _due(which).order_by("priority", "pk")
        if database.on_postgresql():
            rows = rows.select_for_update(skip_locked=True, of=("self",))
        taken = [Waiting(*row) for row in rows.values_list("pk", "nonce", "queue", "task__lost_count")[:limit]]
        Attempt.objects.filter(pk__in=[item.id for item in taken]).update(
            publish_after=database.in_seconds(HANDED_SECONDS)
        )
    return taken


def mark_published(ids: Iterable[int]) -> None:
    """Note that these were handed to the wire, where nobody has claimed them meanwhile."""
    waiting = Attempt.objects.filter(pk__in=list(ids), state=Attempt.DISPATCHED)
    left = list(waiting.values_list("pk", "publish_count"))
    if not left:
        return
    with database.writing():
        for count, rows in groupby(sorted(left, key=lambda row: row[1]), key=lambda row: row[1]):
            patience = min(RESEND_CEILING, RESEND_SECONDS * 2**count)
            waiting.filter(pk__in=[pk for pk, _ in rows]).update(
                published_at=database.in_seconds(0), publish_count=F("publish_count") + 1,
                publish_after=database.in_seconds(patience),
            )  # fmt: skip


def forget_published(attempt_id: int | None = None) -> int:
    """Everything unclaimed, or one attempt, has to be published again: its message is lost. How much that is."""
    unclaimed = Attempt.objects.filter(state=Attempt.DISPATCHED)
    if attempt_id is not None:
        unclaimed = unclaimed.filter(pk=attempt_id)
    with database.writing():
        return unclaimed.update(published_at=None, publish_after=database.in_seconds(0))
