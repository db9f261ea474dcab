"""Running totals for monitoring: what runs did is added up once, when they have ended.

Totals only grow, also when histories are trimmed, and cost nothing while a run works: the engine process adds up what
has ended since it last looked. A run is counted in the transaction that marks it as counted, so that no process and no
crash counts it twice.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Sum

from engine.core.state import FINAL_RUN_STATUSES, RUN_STATUSES
from engine.runs import database
from engine.runs.models import Attempt, FeedbackRequest, Run, RunEvent, RunTask, Total, WorkflowTotal

BATCH = 100
LOOP_ENDS = ("condition", "converged", "cycle_limit")
OTHER = "other"

RUNS, EXECUTIONS, EXECUTION_SECONDS = "runs", "executions", "execution_seconds"
ITERATIONS, TASKS, LOOPS = "iterations", "tasks", "loops"
DECISIONS, WAIT_SECONDS = "decisions", "human_wait_seconds"

_Sums = defaultdict[tuple[str, str], float]
_ByWorkflow = defaultdict[tuple[int, str, str], float]
_LIVE = sorted(set(RUN_STATUSES) - FINAL_RUN_STATUSES)
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
                worked = _by_workflow({"pk__in": ids})
                _add(Total, _sums(ids, worked))
                _add(WorkflowTotal, worked)
                Run.objects.filter(pk__in=ids).update(counted=True)
            return len(ids)

    return database.retried(once) if run_ids else 0


def totals() -> dict[str, dict[str, float]]:
    """name → label → value."""
    found: dict[str, dict[str, float]] = {}
    for name, label, value in Total.objects.values_list("name", "label", "value"):
        found.setdefault(name, {})[label] = value
    return found


def by_workflow() -> dict[tuple[int, str, str], float]:
    """(workflow, name, label) → value of runs, executions and their seconds, also of runs that are not counted yet.

    Reads the totals and what is open, never the history.
    """
    found = _by_workflow({"status__in": _LIVE})
    _by_workflow({"ended_at__isnull": False, "counted": False}, found)
    for definition, name, label, value in WorkflowTotal.objects.values_list("definition", "name", "label", "value"):
        found[definition, name, label] += value
    return found


def _uncounted() -> Any:
    return Run.objects.filter(ended_at__isnull=False, counted=False)


def _sums(ids: list[int], worked: _ByWorkflow) -> _Sums:
    sums: _Sums = defaultdict(float)
    for (_, name, label), value in worked.items():
        sums[name, label] += value
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


def _by_workflow(runs: dict[str, Any], found: _ByWorkflow | None = None) -> _ByWorkflow:
    """What the runs that fit these conditions did, added to what was `found` so far."""
    found = defaultdict(float) if found is None else found
    made: Any = Run.objects.filter(**runs).order_by().values_list("definition", "status").annotate(n=Count("pk"))
    for definition, status, count in made:
        found[definition, RUNS, status] += count
    took = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    over: Any = Attempt.objects.filter(
        **{f"run__{name}": value for name, value in runs.items()}, started_at__isnull=False, state__in=_OVER
    )
    rows = over.order_by().values_list("run__definition", "state").annotate(n=Count("pk"), took=Sum(took))
    for definition, state, count, seconds in rows:
        found[definition, EXECUTIONS, state] += count
        found[definition, EXECUTION_SECONDS, state] += seconds.total_seconds() if seconds else 0.0
    return found


def _add(rows: Any, sums: dict[tuple[Any, ...], float]) -> None:
    # Always in the same order: two processes that add at once must not wait for each other in a circle.
    for key, value in sorted(sums.items()):
        mine = dict(zip(_KEYS[rows], key, strict=True))
        if not rows.objects.filter(**mine).update(value=F("value") + value):
            rows.objects.bulk_create([rows(**mine)], ignore_conflicts=True)
            rows.objects.filter(**mine).update(value=F("value") + value)


_KEYS: dict[Any, tuple[str, ...]] = {Total: ("name", "label"), WorkflowTotal: ("definition_id", "name", "label")}
