"""A paused run holds the runs below it too; what was paused with it goes on with it.

Whoever pauses a run passes that on at once; the engine process makes up for what a crash or a new child has left out.
Each step is one guarded change of one run, so it may be taken any number of times by anybody.
"""

from __future__ import annotations

from django.db.models import Q, QuerySet

from engine.core import news as n
from engine.core.state import FINAL_RUN_STATUSES
from engine.runs import database
from engine.runs.ledger import Locked, Refused, Unit, change
from engine.runs.models import Attempt, Run

BATCH = 100


def resume(unit: Unit) -> bool:
    """Go on with a run inside its change; whether it was paused."""
    if unit.state.is_final() or not unit.tell(n.ResumeRequested(unit.at)):
        return False
    unit.resume_inline()
    Attempt.objects.filter(run_id=unit.run.pk, state=Attempt.DISPATCHED).update(
        published_at=None, publish_after=database.in_seconds(0)
    )
    return True


def pass_on(parent: int) -> None:
    """Have the runs below follow a pause or its end, as many as one request should wait for."""
    for pk in _astray().filter(parent_id=parent).values_list("pk", flat=True)[:BATCH]:
        if follow(pk):
            pass_on(pk)


def astray() -> list[int]:
    """Runs that do not follow the one above them."""
    return list(_astray().order_by("pk").values_list("pk", flat=True)[:BATCH])


def _astray() -> QuerySet[Run]:
    live = Run.objects.filter(parent__isnull=False).exclude(status__in=FINAL_RUN_STATUSES)
    above = live.exclude(parent__status__in=FINAL_RUN_STATUSES)
    return above.filter(Q(parent__paused=True, paused=False) | Q(parent__paused=False, paused_with_parent=True))


def follow(pk: int) -> bool:
    """Pause a run, or let it go on, as the run above it; whether that changed anything."""

    def step(unit: Unit) -> bool:
        held = Run.objects.filter(children=unit.run.pk, paused=True).exists()
        if held == unit.state.paused and held == unit.run.paused_with_parent:
            raise Refused
        if held and not unit.tell(n.PauseRequested(unit.at)):
            raise Refused
        if not held and unit.run.paused_with_parent:
            resume(unit)
        Run.objects.filter(pk=pk).update(paused_with_parent=held)
        return True

    try:
        return change(pk, step, skip_locked=True)
    except (Locked, Refused):
        return False
