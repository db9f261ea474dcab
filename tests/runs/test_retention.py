"""What is forgotten: only what ended long ago, only after it was written down, in steps that may die anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from engine.access.models import AuditEntry
from engine.runs import api, database, retention, values
from engine.runs.invariants import check_all
from engine.runs.models import Attempt, Blob, FeedbackRequest, IdempotencyKey, RunEvent, RunTask, Timer
from engine.runs.models import Run as RunRow
from engine.runs.outgoing import OutboxItem

from .driver import Driver, Run, at_once, document, task

TWO = document([task("a"), {"id": "ask", "kind": "approval"}, task("b")], ["a>ask", "ask>b"])
LARGE = "x" * (values.INLINE_BYTES + 1)


@pytest.fixture(autouse=True)
def archive(settings: Any, tmp_path: Path) -> Path:
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path / "archive"
    return tmp_path / "archive"


def ended(driver: Driver, days: float = 31, value: Any = "done") -> Run:
    run = driver.start(TWO)
    run.work("a", value=value)
    run.answer("approve")
    run.work("b")
    RunRow.objects.filter(public_id=run.id).update(ended_at=timezone.now() - timedelta(days=days))
    return run


def trim() -> int:
    return sum(retention.trim(run_id) for run_id in retention.due())


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in retention.archive_of(run.row).read_text().splitlines()]


def test_only_runs_that_ended_long_ago_are_due(driver: Driver, settings: Any) -> None:
    old, _young = ended(driver), ended(driver, days=29)
    driver.start(TWO)
    assert retention.due() == [old.row.pk]
    assert len(retention.due(days=7)) == 2
    settings.GRAFLOW_RETENTION_DAYS = 0
    assert retention.due() == []


def test_a_trimmed_run_is_written_down_whole_and_keeps_what_people_need(driver: Driver) -> None:
    run = ended(driver, value=LARGE)
    audited, seq = AuditEntry.objects.count(), run.row.seq
    assert trim() > 0
    written = lines(run)
    assert [line["kind"] for line in written] == ["run"] + ["event"] * seq + ["attempt"] * 2
    assert [line["seq"] for line in written if line["kind"] == "event"] == list(range(1, seq + 1))
    assert [line["result"] for line in written if line["kind"] == "attempt"] == [LARGE, "done"]
    assert not RunEvent.objects.exists()
    assert not Attempt.objects.exists()
    assert (run.row.min_seq, run.row.seq) == (seq + 1, seq)
    assert api.task_detail(driver.boss, run.id, "a").result == LARGE
    assert FeedbackRequest.objects.get().decision == "approve"
    assert AuditEntry.objects.count() == audited
    assert retention.due() == []
    assert not list(check_all())


def test_a_reader_of_a_trimmed_history_is_told_to_fetch_the_run(driver: Driver) -> None:
    run = ended(driver)
    trim()
    seq = run.row.seq
    behind = api.events_after(driver.boss, run.id, 3)
    assert (behind.reload, behind.results, behind.last_seq, behind.min_seq) == (True, (), seq, seq + 1)
    assert api.get_run(driver.boss, run.id).min_seq == seq + 1
    level = api.events_after(driver.boss, run.id, seq)
    assert (level.reload, level.results) == (False, ())


def test_a_history_half_deleted_is_gapless_and_its_file_stays_whole(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(driver)
    seq = run.row.seq
    monkeypatch.setattr(retention, "BATCH", 2)
    retention._archive(run.row)
    retention._delete_events(run.row.pk)  # and then the process died
    assert run.row.min_seq == 3
    assert not list(check_all())
    assert api.events_after(driver.boss, run.id, 1).reload
    assert [event.seq for event in api.events_after(driver.boss, run.id, 2).results] == list(range(3, seq + 1))
    assert retention.due() == [run.row.pk]
    trim()
    assert len([line for line in lines(run) if line["kind"] == "event"]) == seq


def test_a_file_that_cannot_be_written_keeps_everything(driver: Driver, archive: Path) -> None:
    ended(driver)
    events = RunEvent.objects.count()
    archive.write_text("in the way")
    with pytest.raises(OSError, match="archive"):
        trim()
    assert RunEvent.objects.count() == events


def test_many_processes_may_trim_one_run(driver: Driver) -> None:
    run = ended(driver)
    seq = run.row.seq
    done = at_once(4, lambda _: retention.trim(run.row.pk))
    assert all(isinstance(count, int) for count in done), done
    assert len([line for line in lines(run) if line["kind"] == "event"]) == seq
    assert run.row.min_seq == seq + 1
    assert list(retention.archive_of(run.row).parent.iterdir()) == [retention.archive_of(run.row)]


@pytest.fixture
def another_host() -> Iterator[Any]:
    """A connection of somebody else, who is trimming until it is closed."""
    other = connection.copy()
    with other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [database.RETENTION])
        assert cursor.fetchone() == (True,)
    yield other
    other.close()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one host")
def test_of_several_hosts_one_trims(driver: Driver, another_host: Any) -> None:
    run = ended(driver, value=LARGE)
    forget_results()
    workflow = driver.publish({**TWO, "name": "Other"})
    api.start_run(driver.boss, workflow=workflow, idempotency_key="old")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert (trim(), retention.sweep()) == (0, 0)
    assert (run.row.min_seq, Blob.objects.get().unreferenced_at) == (1, None)
    assert not retention.archive_of(run.row).exists()
    with pytest.raises(CommandError, match="Another process is trimming"):
        call_command("trim_runs", stdout=StringIO())
    another_host.rollback()
    assert (trim() > 0, retention.sweep()) == (True, 1)
    assert run.row.min_seq == run.row.seq + 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one host")
def test_a_trim_gives_the_lock_back_with_its_transaction(driver: Driver, request: pytest.FixtureRequest) -> None:
    ended(driver)
    trim()
    retention.sweep()
    request.getfixturevalue("another_host")  # whose lock is free, although this connection stays open


def test_a_run_that_goes_on_is_never_trimmed(driver: Driver) -> None:
    run = driver.start(TWO)
    assert retention.trim(run.row.pk) == 0
    assert run.row.min_seq == 1
    assert not retention.archive_of(run.row).exists()


def test_a_trimmed_run_can_be_tried_again(driver: Driver) -> None:
    run = ended(driver)
    trim()
    again = Run(driver.boss, api.retry_run(driver.boss, run.id, from_="b").id)
    assert (again.task("a").result, again.task("b").status) == ("done", "ready")


def test_timers_of_a_trimmed_run_go_too(driver: Driver) -> None:
    run = driver.start({**TWO, "defaults": {"deadline": 60}})
    api.stop_run(driver.boss, run.id)
    RunRow.objects.update(ended_at=timezone.now() - timedelta(days=31))
    trim()
    assert not Timer.objects.exists()


def test_sent_notices_of_a_trimmed_run_are_written_down_and_go(driver: Driver) -> None:
    run = ended(driver)
    for state in (OutboxItem.SENT, OutboxItem.WAITING):
        OutboxItem.objects.create(
            run=run.row, key="tell", iteration=1, kind=OutboxItem.MAIL, recipient="ann@example.org", subject="Done",
            message="It is done.", dedupe_key=state, state=state, next_try_at=timezone.now(), created_at=timezone.now(),
        )  # fmt: skip
    trim()
    assert [line["state"] for line in lines(run) if line["kind"] == "notice"] == ["sent", "waiting"]
    assert OutboxItem.objects.get().state == OutboxItem.WAITING


# -- blobs and keys -----------------------------------------------------------------------------------------------


def a_week_passes() -> None:
    Blob.objects.filter(unreferenced_at__isnull=False).update(
        unreferenced_at=timezone.now() - retention.BLOB_KEPT - timedelta(minutes=1)
    )


def forget_results() -> None:
    RunTask.objects.update(result_blob=None)
    Attempt.objects.update(result_blob=None)


def test_a_blob_goes_a_week_after_the_last_reference_to_it(driver: Driver) -> None:
    ended(driver, value=LARGE)
    retention.sweep()
    assert Blob.objects.get().unreferenced_at is None
    forget_results()
    assert retention.sweep() == 0
    assert Blob.objects.get().unreferenced_at is not None
    a_week_passes()
    assert retention.sweep() == 1
    assert not Blob.objects.exists()


def test_a_blob_that_is_used_again_stays(driver: Driver) -> None:
    ended(driver, value=LARGE)
    forget_results()
    retention.sweep()
    a_week_passes()
    ended(driver, value=LARGE)
    assert Blob.objects.get().unreferenced_at is None
    retention.sweep()
    assert Blob.objects.count() == 1


def test_a_blob_with_a_reference_is_not_deleted_whatever_its_mark_says(driver: Driver) -> None:
    ended(driver, value=LARGE)
    Blob.objects.update(unreferenced_at=timezone.now() - timedelta(days=30))
    assert retention._delete_blobs() == 0
    assert Blob.objects.count() == 1


def test_old_idempotency_keys_go(driver: Driver) -> None:
    workflow = driver.publish(TWO)
    for key in ("old", "new"):
        api.start_run(driver.boss, workflow=workflow, idempotency_key=key)
    IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - timedelta(hours=25))
    assert retention.sweep() == 1
    assert IdempotencyKey.objects.get().key == "new"


# -- the command --------------------------------------------------------------------------------------------------


def test_the_command_says_first_and_then_does(driver: Driver) -> None:
    run = ended(driver, days=10)
    for arguments, said in (((), "0 runs"), (("--days", "7", "--dry-run"), run.id)):
        out = StringIO()
        call_command("trim_runs", *arguments, stdout=out)
        assert said in out.getvalue()
    assert RunEvent.objects.exists()
    call_command("trim_runs", "--days", "7", stdout=StringIO())
    assert not RunEvent.objects.exists()
    with pytest.raises(CommandError, match="expected 1 or more"):
        call_command("trim_runs", "--days", "0")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_what_is_due_is_found_by_its_index(driver: Driver, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1) as asked:
        retention.due()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN " + asked[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "engine_run_untrimmed" in plan
