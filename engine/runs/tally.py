"""Running totals for monitoring: what runs did is added up once, when they have ended.

Totals only grow, also when histories are trimmed, and cost nothing while a run works: the engine process adds up what
has ended since it last looked. A run is counted in the transaction that marks it as counted, so that no process and no
crash counts it twice.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Sum

from engine.runs import database
from engine.runs.models import Attempt, FeedbackRequest, Run, RunEvent, RunTask, Total

BATCH = 100
LOOP_ENDS = ("condition", "converged", "cycle_limit")
OTHER = "other"

RUNS, EXECUTIONS, EXECUTION_SECONDS = "runs", "executions", "execution_seconds"
ITERATIONS, TASKS, LOOPS = "iterations", "tasks", "loops"
DECISIONS, WAIT_SECONDS = "decisions", "human_wait_seconds"

_Sums = defaultdict[tuple[str, str], float]
_OVER = (Attempt.OK, Attempt.ERROR, Attempt.LOST, Attempt.RELEASED, Attempt.SUSPENDED, Attempt.CANCELLED)


def due(limit: int = BATCH) -> list[int]:
    """Runs that have ended and are not counted."""
    return list(_uncounted().order_by("pk").values_list("pk", flat=True)[:limit])


def count(run_ids: list[int]) -> int:
    """Add these runs to the totals; how many were still to be added."""

    def once() -> int:
        with database.writing():
            rows = _uncounted().filter(pk__in=run_ids).order_by("pk")
            if database.on_postgresql():
                rows = rows.select_for_update(skip_locked=True)
            ids = list(rows.values_list("pk", flat=True))
            if ids:
                _add(_sums(ids))
                Run.objects.filter(pk__in=ids).update(counted=True)
            return len(ids)

    return database.retried(once) if run_ids else 0


def totals() -> dict[str, dict[str, float]]:
    """name → label → value."""
    found: dict[str, dict[str, float]] = {}
    for name, label, value in Total.objects.values_list("name", "label", "value"):
        found.setdefault(name, {})[label] = value
    return found


def _uncounted() -> Any:
    return Run.objects.filter(ended_at__isnull=False, counted=False)


def _sums(ids: list[int]) -> _Sums:
    sums: _Sums = defaultdict(float)
    for status in Run.objects.filter(pk__in=ids).values_list("status", flat=True):
        sums[RUNS, status] += 1
    _sum_attempts(sums, ids)
    tasks: Any = RunTask.objects.filter(run__in=ids).values("outcome").annotate(n=Count("pk"), rounds=Sum("iteration"))
    for row in tasks.order_by("outcome"):
        sums[TASKS, row["outcome"] or OTHER] += row["n"]
        sums[ITERATIONS, ""] += row["rounds"]
    for details in RunEvent.objects.filter(run__in=ids, type="loop_ended").values_list("data", flat=True):
        reason = (details or {}).get("reason")
        sums[LOOPS, reason if reason in LOOP_ENDS else OTHER] += 1
    decided = FeedbackRequest.objects.filter(run__in=ids, decision__isnull=False, closed_at__isnull=False)
    for state, asked, closed in decided.values_list("state", "created_at", "closed_at"):
        sums[DECISIONS, state] += 1
        sums[WAIT_SECONDS, state] += max(0.0, (closed - asked).total_seconds()) if closed else 0.0
    return sums


def _sum_attempts(sums: _Sums, ids: list[int]) -> None:
    took = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    over: Any = Attempt.objects.filter(run__in=ids, started_at__isnull=False, state__in=_OVER)
    for row in over.values("state").annotate(n=Count("pk"), took=Sum(took)).order_by("state"):
        sums[EXECUTIONS, row["state"]] += row["n"]
        sums[EXECUTION_SECONDS, row["state"]] += row["took"].total_seconds() if row["took"] else 0.0


def _add(sums: _Sums) -> None:
    # Always in the same order: two processes that add at once must not wait for each other in a circle.
    for (name, label), value in sorted(sums.items()):
        mine = Total.objects.filter(name=name, label=label)
        if not mine.update(value=F("value") + value):
            Total.objects.bulk_create([Total(name=name, label=label, value=0.0)], ignore_conflicts=True)
            mine.update(value=F("value") + value)
