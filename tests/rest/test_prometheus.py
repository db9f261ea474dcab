"""`/metrics`: what a scraper reads, who may, and that its size does not grow with the data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from engine.core import news as n
from engine.rest import prometheus
from engine.runs import api, retention, tally
from engine.runs.models import Attempt, FeedbackRequest, RunEvent, Total
from engine.runs.models import Run as RunRow
from tests.runs import tasks_here  # noqa: F401  registers the functions
from tests.runs.driver import Run, at_once, document, finish, task

pytestmark = pytest.mark.both_databases


def scraped(caller) -> dict[tuple[str, ...], float]:
    answer = caller.get("/metrics")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def started(boss):
    def start(tasks, edges=()) -> Run:
        made = api.create_workflow(boss.user, name="Counted", document=document(tasks, list(edges)))
        api.publish(boss.user, made.id)
        return Run(boss.user, api.start_run(boss.user, workflow=made.id).id)

    return start


def test_how_things_stand(boss, run, started):
    started([task("a"), task("b", queue="gpu")])
    found = scraped(boss)
    assert found["graflow_runs_active", "status=running"] == 1
    assert found["graflow_runs_active", "status=waiting"] == 1
    assert found["graflow_open_requests",] == 1
    assert found["graflow_queue_depth", "queue=default"] == found["graflow_queue_depth", "queue=gpu"] == 1
    assert found["graflow_workers",] == found["graflow_engines",] == 0
    Attempt.objects.update(created_at=timezone.now() - timedelta(seconds=90))
    assert 90 <= scraped(boss)["graflow_outbox_age_seconds",] < 100


def test_what_ended_runs_did_is_counted_once(boss, run, started):
    worked = started([task("a", max_retries=1), task("z")], ["a>z"])
    claim = worked.claim("a")
    finish(claim, n.TaskFailed(task_id="a", at=0.0, error="boom", delay=0.0))
    worked.work("a", "z")
    FeedbackRequest.objects.update(created_at=timezone.now() - timedelta(seconds=60))
    boss.post(
        f"feedback/{boss.get('feedback/', run=run['id']).json()['results'][0]['id']}/answer/", {"decision": "approve"}
    )
    assert scraped(boss).get(("graflow_runs_ended_total", "status=succeeded")) is None
    assert tally.count(tally.due()) == 2
    assert tally.due() == []
    found = scraped(boss)
    assert found["graflow_runs_ended_total", "status=succeeded"] == 2
    assert found["graflow_task_executions_count", "state=ok"] == 2
    assert found["graflow_task_executions_count", "state=error"] == found["graflow_task_failures_total",] == 1
    assert found["graflow_iterations_total",] == 5
    assert found["graflow_human_wait_seconds_count", "state=answered"] == 1
    assert 60 <= found["graflow_human_wait_seconds_sum", "state=answered"] < 70


def test_what_ended_a_loop_is_counted(boss, started):
    loop = [task("a", max_cycle=2), task("b")]
    back = {"source": "b", "target": "a", "loop": True}
    run = started(loop, ["a>b", back])
    run.work("a", "b", "a", "b")
    assert run.status == "succeeded"
    tally.count(tally.due())
    ends = RunEvent.objects.filter(type="loop_ended").count()
    assert scraped(boss)["graflow_loops_ended_total", "reason=cycle_limit"] == ends == 1


@pytest.mark.django_db(transaction=True)
def test_processes_that_count_at_once_count_each_run_once(boss, started):
    for _ in range(3):
        started([{"id": "t", "kind": "transform", "value": 1}])
    ids = tally.due()
    done = at_once(4, lambda _: tally.count(ids))
    assert sum(done) == 3, done
    assert tally.totals()["runs"] == {"succeeded": 3.0}


def test_totals_do_not_shrink_when_histories_go(boss, started, settings, tmp_path):
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path
    started([task("a")]).work("a")
    retention.trim(RunRow.objects.get().pk)
    assert scraped(boss)["graflow_task_executions_count", "state=ok"] == 1
    assert tally.due() == []


def test_the_number_of_series_does_not_grow_with_queues_or_workflows(boss, started, monkeypatch):
    monkeypatch.setattr(prometheus, "MAX_QUEUES", 3)
    for place in range(6):
        started([task("a", queue=f"q{place}")])
    found = {key: value for key, value in scraped(boss).items() if key[0] == "graflow_queue_depth"}
    assert len(found) == 4
    assert found["graflow_queue_depth", "queue=other"] == 3
    tally.count(tally.due())
    assert not any(
        "Counted" in label or "counted" in label for row in Total.objects.all() for label in (row.name, row.label)
    )


@pytest.mark.parametrize(("role", "status"), [("operator", 200), ("admin", 200), ("viewer", 403), ("designer", 403)])
def test_the_figures_are_for_those_who_may_read_the_monitoring(caller, role, status):
    assert caller(role).get("/metrics").status_code == status


def test_a_stranger_reads_nothing(client):
    assert client.get("/metrics").status_code == 401
