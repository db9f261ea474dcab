"""Starts on PostgreSQL: one query, one statement, and a transaction wherever that does not do."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from engine.access import audit
from engine.access.models import AuditEntry, AuditHead
from engine.runs import api, birth, starting
from engine.runs.models import Attempt, Run, RunEvent, Timer

from .driver import Driver, at_once, document, task
from .driver import Run as Started

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has its one writer's lock anyway")

TWO = document([task("a"), task("b"), task("c")], ["a>c", "b>c"])


def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is sent to the database from now on."""
    sent: list[str] = []
    real = psycopg.Cursor.execute  # Django's cursors are made of it, too

    def execute(self: Any, query: Any, *more: Any, **options: Any) -> Any:
        sent.append(query.decode() if isinstance(query, bytes) else str(query))
        return real(self, query, *more, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    return sent


def by_transaction(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are begun under a transaction from now on."""
    begun: list[str] = []
    real = starting.begin
    monkeypatch.setattr(starting, "begin", lambda run, *more: (begun.append(str(run.public_id)), real(run, *more))[1])
    return begun


def entries() -> Counter[str]:
    return Counter(AuditEntry.objects.filter(action="run.start").values_list("obj_id", flat=True))


def test_a_plain_start_is_one_query_and_one_statement(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = driver.publish(TWO)
    api.start(driver.boss, workflow=workflow)  # what this process looks up once
    sent = trips(monkeypatch)
    run = Started(driver.boss, api.start(driver.boss, workflow=workflow, inputs={"n": 1}))
    looked, groups, written = sent
    assert (looked.split()[0], written.split()[0]) == ("SELECT", "WITH")
    assert "allowed_groups" in groups  # asked for a person, not for the system
    monkeypatch.undo()
    assert [(a.key, a.task.key, a.state) for a in run.open()] == [(k, k, "dispatched") for k in "ab"]
    assert [e.seq for e in run.events()] == list(range(1, run.row.seq + 1))
    assert (run.row.inputs, run.row.status, run.task("c").status) == ({"n": 1}, "running", "blocked")
    assert (entries()[run.id], audit.verify()) == (1, [])
    run.work("a", "b", "c")
    assert run.status == "succeeded"


def test_both_ways_write_the_same(driver: Driver) -> None:
    workflow = driver.publish(TWO)

    def rows(**more: Any) -> list[Any]:
        run = Run.objects.get(public_id=api.start(driver.boss, workflow=workflow, **more))
        own = {
            "id",
            "public_id",
            "run_id",
            "task_id",
            "nonce",
            "created_at",
            "started_at",
            "last_at",
            "at",
            "publish_after",
        }
        found: list[Any] = [run, *run.tasks.order_by("key"), *Attempt.objects.filter(run=run).order_by("key")]
        found += RunEvent.objects.filter(run=run).order_by("seq")
        return [{name: value for name, value in vars(row).items() if name not in own | {"_state"}} for row in found]

    assert rows() == rows(idempotency_key="by a transaction")


def test_the_first_entry_of_the_audit_log_may_be_a_start(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, begun = driver.publish(TWO), by_transaction(monkeypatch)
    AuditEntry.objects.all().delete()
    AuditHead.objects.all().delete()
    run = api.start(driver.boss, workflow=workflow)
    assert begun == [run]
    assert [str(row.public_id) for row in Run.objects.all()] == [run]
    assert (entries(), audit.verify()) == (Counter([run]), [])


def test_many_starts_at_once_are_all_kept_and_audited(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow, begun = driver.publish(TWO), by_transaction(monkeypatch)
    started = at_once(8, lambda place: [api.start(driver.boss, workflow=workflow) for _ in range(5)])
    runs = [run for some in started for run in some]
    assert begun == []
    assert Counter(str(row.public_id) for row in Run.objects.all()) == Counter(runs) == entries()
    assert audit.verify() == []


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_connection_that_breaks_while_it_starts_makes_one_run(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    workflow, real, begun = driver.publish(TWO), birth._Birth.send, by_transaction(monkeypatch)

    def send(self: Any, expected: int | None = None) -> Any:
        if is_kept:
            real(self, expected)
        raise OperationalError("the answer was lost")

    monkeypatch.setattr(birth._Birth, "send", send)
    run = api.start(driver.boss, workflow=workflow)
    assert begun == ([] if is_kept else [run])
    assert [str(row.public_id) for row in Run.objects.all()] == [run]
    assert (entries(), audit.verify()) == (Counter([run]), [])


STEPS: dict[str, dict[str, Any]] = {
    "asks": {"id": "s", "kind": "approval", "prompt": "Go?"},
    "waits": {"id": "s", "kind": "delay", "seconds": 60},
    "tells": {"id": "s", "kind": "notify", "to": ["boss"], "message": "Hello."},
}


@pytest.mark.parametrize("step", STEPS)
def test_a_start_that_writes_more_is_a_transaction(driver: Driver, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    begun = by_transaction(monkeypatch)
    run = driver.start(document([STEPS[step]], []))
    assert begun == [run.id]
    assert run.task("s").status == {"asks": "feedback_required", "waits": "running", "tells": "completed"}[step]


def test_a_run_without_work_ends_with_its_start(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = by_transaction(monkeypatch)
    run = driver.start(document([{"id": "s", "kind": "transform", "value": {"$": "inputs.n + 1"}}], []), n=1)
    assert (begun, run.status, run.task("s").result) == ([], "succeeded", 2)
    assert run.row.ended_at is not None


def test_a_start_with_a_deadline_keeps_its_timer(driver: Driver) -> None:
    row = Run.objects.get(public_id=api.start(driver.boss, workflow=driver.publish(TWO), deadline=60))
    assert [timer.due_at for timer in Timer.objects.filter(run=row)] == [row.created_at + timedelta(seconds=60)]
