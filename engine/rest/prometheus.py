"""`/metrics`: the engine's figures as Prometheus reads them. The number of series does not grow with the data:
no label holds a workflow, a task, a run or a person, and queues beyond the first few are one series together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from rest_framework.request import Request

from engine.rest.base import ApiView
from engine.runs import api

MAX_QUEUES = 20
OTHER = "other"


class _Figures:
    """What one scrape sees; collected once, of values read before."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.now, self.totals = found["now"], found["totals"]

    def collect(self) -> Iterator[Metric]:
        yield self._counter("graflow_runs_ended", "Runs that have ended.", "runs", "status")
        yield self._counter("graflow_tasks_ended", "Tasks of ended runs.", "tasks", "outcome")
        yield self._summary(
            "graflow_task_executions",
            "Seconds of task bodies of ended runs.",
            "executions",
            "execution_seconds",
            "state",
        )
        failures = CounterMetricFamily("graflow_task_failures", "Executions that failed or were lost, of ended runs.")
        failed = self.totals.get("executions", {})
        failures.add_metric([], failed.get("error", 0.0) + failed.get("lost", 0.0))
        yield failures
        iterations = CounterMetricFamily("graflow_iterations", "Iterations of tasks of ended runs.")
        iterations.add_metric([], self.totals.get("iterations", {}).get("", 0.0))
        yield iterations
        yield self._counter("graflow_loops_ended", "Loops of ended runs, by what ended them.", "loops", "reason")
        yield self._summary(
            "graflow_human_wait_seconds", "Seconds people took to decide.", "decisions", "human_wait_seconds", "state"
        )
        yield _gauge("graflow_runs_active", "Runs that go on.", self.now["runs"], "status")
        yield _gauge("graflow_queue_depth", "Attempts nobody has begun.", _few(self.now["queues"]), "queue")
        for name, words in _SINGLE.items():
            yield GaugeMetricFamily(f"graflow_{name}", words, value=self.now[name])

    def _counter(self, name: str, words: str, total: str, label: str) -> Metric:
        family = CounterMetricFamily(name, words, labels=[label])
        for value, count in sorted(self.totals.get(total, {}).items()):
            family.add_metric([value], count)
        return family

    def _summary(self, name: str, words: str, counts: str, sums: str, label: str) -> Metric:
        family = SummaryMetricFamily(name, words, labels=[label])
        for value, count in sorted(self.totals.get(counts, {}).items()):
            family.add_metric([value], count_value=int(count), sum_value=self.totals.get(sums, {}).get(value, 0.0))
        return family


_SINGLE = {
    "tasks_running": "Attempts that are being carried out.",
    "workers": "Living workers.",
    "worker_slots": "Bodies the living workers can carry out at once.",
    "engines": "Living engine processes.",
    "open_requests": "Questions that wait for people.",
    "outbox_age_seconds": "How long the oldest attempt has waited to be begun.",
    "disk_free_ratio": "The free part of the fullest disk this site writes to.",
    "timer_lag_seconds": "How long the most overdue timer has been due.",
}


def _gauge(name: str, words: str, values: dict[str, float], label: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _few(queues: dict[str, float]) -> dict[str, float]:
    """The deepest queues by name, all others together."""
    deepest = sorted(queues.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(deepest[:MAX_QUEUES])
    if rest := sum(depth for _, depth in deepest[MAX_QUEUES:]):
        kept[OTHER] = kept.get(OTHER, 0.0) + rest
    return kept


class Prometheus(ApiView):
    """For a scraper with the token of somebody who may read the monitoring."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(api.figures(request.user)))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
