"""The parent of a worker: it answers for its children, and only for those that live."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from billiard.exceptions import WorkerLostError
from celery.worker import state as worker_state
from django.db import connection
from django.utils import timezone

from engine.runs import api, database, leases, sweeps
from engine.runs.attempts import LEASE_SECONDS
from engine.runs.models import Attempt, WorkerInstance
from engine.workers import instance
from engine.workers.clock import ClockGuard
from engine.workers.forks import undisturbed
from tests.runs.driver import Driver, Run, document, reap, task

Child = Callable[[leases.Claim], "subprocess.Popen[bytes]"]
ONE = document([task("a", max_retries=0)], [])


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """`child(claim)`: a process that stands for the one which carries out the attempt."""
    monkeypatch.setattr(worker_state, "active_requests", set())
    processes: list[subprocess.Popen[bytes]] = []

    def start(claim: leases.Claim) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(["sleep", "60"]))
        request = SimpleNamespace(id=str(claim.attempt_id), worker_pid=processes[-1].pid)
        worker_state.active_requests = {*worker_state.active_requests, _Hashable(request)}
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


class _Hashable:
    def __init__(self, request: SimpleNamespace) -> None:
        self.id, self.worker_pid = request.id, request.worker_pid


def claimed(driver: Driver) -> tuple[Run, leases.Claim]:
    run = driver.start(ONE)
    return run, run.claim("a", instance.BOOT_ID)


def old(**columns: timedelta) -> None:
    Attempt.objects.update(**{name: timezone.now() - ago for name, ago in columns.items()})


def test_a_living_child_keeps_its_lease_and_a_dead_one_loses_it(driver: Driver, child: Child) -> None:
    run, claim = claimed(driver)
    process = child(claim)
    old(lease_until=timedelta(seconds=1))
    instance.beat()
    assert reap() == 0
    process.kill()
    process.wait()
    old(lease_until=timedelta(seconds=1))
    instance.beat()
    assert reap() == 1
    run.work("a")


def test_a_body_of_a_stopped_run_is_ended_after_its_grace(driver: Driver, child: Child) -> None:
    run, claim = claimed(driver)
    process = child(claim)
    api.stop_run(driver.boss, run.id)
    instance.beat()
    assert process.poll() is None
    old(cancel_requested_at=timedelta(seconds=instance.CANCEL_GRACE_SECONDS))
    instance.beat()
    assert process.wait(5) == -9
    assert (run.status, run.task("a").outcome) == ("stopped", "cancelled")


def test_a_body_that_no_signal_reaches_is_killed_at_its_deadline(driver: Driver, child: Child) -> None:
    run, claim = claimed(driver)
    process = child(claim)
    old(deadline_at=timedelta(seconds=1))
    instance.beat()
    assert process.wait(5) == -9
    assert (run.status, run.task("a").error.partition(":")[0]) == ("failed", "timeout")


def test_a_clock_that_jumps_ends_no_body_for_one_lease(
    driver: Driver, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump = passed = 0.0
    guard = ClockGuard(lambda: database.now() + timedelta(seconds=jump + passed), lambda: time.monotonic() + passed)
    monkeypatch.setattr(instance, "clock", guard)
    run, claim = claimed(driver)
    process = child(claim)
    instance.beat()
    assert process.poll() is None
    old(deadline_at=timedelta(seconds=1))
    jump = 3600.0
    instance.beat()
    assert process.poll() is None
    assert run.task("a").status == "running"
    passed = LEASE_SECONDS
    instance.beat()
    assert process.wait(5) == -9


def test_what_a_stopping_worker_does_not_finish_is_handed_back(driver: Driver, child: Child) -> None:
    run, claim = claimed(driver)
    process = child(claim)
    instance._hand_back()
    assert process.wait(5) == -9
    assert (run.task("a").status, run.task("a").lost_count) == ("ready", 0)
    run.work("a")
    assert run.status == "succeeded"


def test_a_child_that_died_is_reported_without_waiting_for_the_lease(
    driver: Driver, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, claim = claimed(driver)
    monkeypatch.setattr(instance.parent, "report", lambda order: order())
    for _ in range(2):  # Celery may say it twice
        instance._failed(task_id=str(claim.attempt_id), exception=WorkerLostError("signal 9"))
    assert (run.task("a").status, run.task("a").lost_count) == ("ready", 1)
    run.work("a")


def test_a_message_that_died_with_a_child_before_its_claim_is_published_again(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = driver.start(ONE)
    attempt = run.open()[0]
    sweeps.mark_published([attempt.pk])
    assert sweeps.take_unpublished(10) == []
    monkeypatch.setattr(instance.parent, "report", lambda order: order())
    instance._failed(task_id=str(attempt.pk), exception=WorkerLostError("signal 9"))
    assert [waiting.id for waiting in sweeps.take_unpublished(10)] == [attempt.pk]
    run.work("a")


def test_a_worker_says_that_it_is_there(driver: Driver) -> None:
    instance._register(slots=3, queues=["default"])
    before = WorkerInstance.objects.get()
    instance.beat()
    after = WorkerInstance.objects.get()
    assert (after.boot_id, after.slots) == (instance.BOOT_ID, 3)
    assert after.last_seen > before.last_seen
    assert api.health()["workers"][0] == (connection.vendor == "postgresql")  # on SQLite it has to hold its lock, too
    database.say_alive(f"worker-{instance.BOOT_ID}")
    assert api.health()["workers"][0]


@pytest.mark.both_databases
@pytest.mark.skipif(connection.vendor != "sqlite", reason="only there workers hold locks on files")
def test_the_engine_forgets_workers_that_are_gone_and_none_that_lives_or_begins(driver: Driver) -> None:
    file = str(connection.settings_dict["NAME"])
    gone, living, begun = (Path(f"{file}.worker-{name}") for name in ("gone", "living", "begun"))
    database.say_alive("worker-living")
    for path in (gone, begun):
        path.touch()
    for path in (gone, living):
        os.utime(path, (0, 0))
    with database.only_engine() as is_ours:
        assert is_ours
    assert [path.exists() for path in (gone, living, begun)] == [False, True, True]
    begun.unlink()


def test_no_fork_in_the_middle_of_database_work() -> None:
    entered, order = threading.Event(), []

    def work() -> None:
        with undisturbed():
            entered.set()
            time.sleep(0.2)
            order.append("work")

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    # A child made by fork alone, as the pool makes them.
    subprocess.run(["true"], preexec_fn=lambda: None, check=True)
    order.append("fork")
    thread.join()
    assert order == ["work", "fork"]
