"""A worker that is done with a run goes on with what waits for room on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from engine import sql
from engine.runs import api, hooks, leases, ledger
from engine.runs.attempts import Taker
from engine.runs.models import Attempt
from engine.workers import execute as executing
from engine.workers.execute import execute
from tests.runs.driver import WORKER, Driver, Run, at_once, document, task

from . import bodies  # noqa: F401  registers the functions that the documents name

ONE = document([task("a")], [])


def waiting(driver: Driver, count: int, body: dict[str, Any] = ONE) -> list[Run]:
    """Runs whose work was left to the engine process."""
    workflow = driver.publish(body)
    runs = [Run(driver.boss, api.start(driver.boss, workflow=workflow)) for _ in range(count)]
    Attempt.objects.update(publish_after=timezone.now() - timedelta(seconds=1))
    return runs


def carried_out(run: Run, worker: str = WORKER) -> bool:
    attempt = run.open()[0]
    return execute(attempt.pk, attempt.nonce, worker)


def statuses(runs: list[Run]) -> list[str]:
    return [run.status for run in runs]


def test_one_message_brings_all_that_waits(driver: Driver) -> None:
    runs = waiting(driver, 6)
    first = runs[0].open()[0]
    assert carried_out(runs[0])
    assert statuses(runs) == ["succeeded"] * 6
    kept = Attempt.objects.all()
    assert {(attempt.state, attempt.job, attempt.publish_count) for attempt in kept} == {("ok", first.pk, 0)}


def test_the_more_urgent_goes_first(driver: Driver) -> None:
    waiting(driver, 8, document([task("late", priority=5)], []))
    (urgent,) = waiting(driver, 1, document([task("soon", priority=1)], []))
    (first,) = waiting(driver, 1)
    order: list[str] = []
    real = leases._claimed

    def claimed(*given: Any) -> Any:
        taken = real(*given)
        order.append(taken.task.id)
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "_claimed", claimed)
        patch.setattr(leases, "_FIRST_FEW", 1)
        leases._next.cache_clear()
        assert carried_out(first)
    leases._next.cache_clear()
    assert order == ["a", "soon", *["late"] * 8]
    assert urgent.status == "succeeded"


def test_what_is_on_the_wire_or_not_to_be_done_here_is_left(driver: Driver) -> None:
    first, published, handed, paused = waiting(driver, 4)
    (elsewhere,) = waiting(driver, 1, document([task("a", queue="gpu")], []))
    Attempt.objects.filter(run=published.row).update(published_at=timezone.now())
    Attempt.objects.filter(run=handed.row).update(publish_after=timezone.now() + timedelta(seconds=5))
    api.pause_run(driver.boss, paused.id)
    assert carried_out(first)
    assert first.status == "succeeded"
    assert [len(run.open()) for run in (published, handed, paused, elsewhere)] == [1] * 4


def test_after_a_while_the_wire_has_its_turn_and_the_next_that_waits_is_on_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[hooks.DispatchMessage] = []
    monkeypatch.setattr(hooks, "dispatch", sent.extend)
    monkeypatch.setattr(executing, "PULL_SECONDS", 0.0)
    first, second, third = waiting(driver, 3)
    sent.clear()
    assert carried_out(first)
    (message,) = sent
    (attempt,) = second.open()
    assert (message.attempt_id, message.nonce) == (attempt.pk, attempt.nonce)
    assert attempt.publish_after > timezone.now()  # nobody else sends it meanwhile
    assert execute(message.attempt_id, message.nonce, WORKER)
    assert [message.attempt_id for message in sent[1:]] == [third.open()[0].pk]


def test_workers_that_pull_at_once_do_everything_once(driver: Driver) -> None:
    runs = waiting(driver, 24)
    firsts = [run.open()[0] for run in runs[:4]]
    Attempt.objects.filter(pk__in=[attempt.pk for attempt in firsts]).update(published_at=timezone.now())
    done = at_once(4, lambda place: execute(firsts[place].pk, firsts[place].nonce, WORKER[:-1] + str(place)))
    assert done == [True] * 4
    assert statuses(runs) == ["succeeded"] * 24
    assert Attempt.objects.count() == 24


def test_what_is_pulled_belongs_to_the_job_that_brought_the_worker(driver: Driver) -> None:
    (run,) = waiting(driver, 1)
    claim = leases.pull(WORKER, 1, "default", taker_for, float("inf"))
    assert claim is not None
    assert (claim.job, claim.run.public_id.hex) == (1, run.id.replace("-", ""))
    assert leases.pull(WORKER, 1, "default", taker_for, float("inf")) is None
    api.stop_run(driver.boss, run.id)


def taker_for(queue: str | None) -> Taker:
    return Taker(worker=WORKER, job=1, can=lambda task: True, is_short=lambda task: False)


def test_a_database_that_goes_away_after_the_work_is_no_failure_of_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*given: Any) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(leases, "pull", gone)
    first, second = waiting(driver, 2)
    assert carried_out(first)
    assert (first.status, len(second.open())) == ("succeeded", 1)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_the_most_urgent_are_found_by_their_index_however_few_there_are(driver: Driver) -> None:
    text = sql.numbered(leases._next(ledger.sight(), True)).decode()
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.connection.execute(f"PREPARE looking AS {text}")
        found = cursor.connection.execute("EXPLAIN EXECUTE looking('default')").fetchall()
        cursor.connection.execute("DEALLOCATE looking")
        cursor.execute("RESET plan_cache_mode")
    plan = "\n".join(line for (line,) in found)
    assert "Index Scan using engine_attempt_outbox" in plan
    assert "Seq Scan on engine_attempt" not in plan
