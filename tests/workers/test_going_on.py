"""Work first: a worker that has recorded something goes on with the same run, as long as it may."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from engine import sql
from engine.core import news as n
from engine.core.feedback import build_request
from engine.runs import api, leases, ledger, statements, stretch
from engine.runs.attempts import Taker
from engine.runs.models import Attempt, FeedbackRequest
from engine.runs.prepared import Columns
from engine.workers import execute as executing
from engine.workers.execute import execute
from tests.runs.driver import WORKER, Driver, Run, document, task

from . import bodies  # noqa: F401  registers the functions that the documents name

CHAIN = document([task("a"), task("b"), task("c")], ["a>b", "b>c"])
WIDE = document([task("first"), *(task(f"m{place}") for place in range(6))], [f"first>m{place}" for place in range(6)])
ONE_AT_A_TIME = {**WIDE, "defaults": {"execution_mode": "sequential"}}


def taker(claim: leases.Claim, most: int = 1) -> Taker:
    return Taker(worker=WORKER, job=claim.attempt_id, can=lambda task: True, is_short=lambda task: True, most=most)


def go_on(claim: leases.Claim, value: Any = 1, *, most: int = 1) -> list[leases.Claim]:
    done = [(claim, leases.Report(news=n.TaskFinished(claim.task.id, 0.0, value)))]
    return stretch.finish(done, taker(claim, most))[1]


def keys(claims: list[leases.Claim]) -> list[str]:
    return [claim.task.id for claim in claims]


def carried_out(run: Run) -> None:
    attempt = run.open()[0]
    assert execute(attempt.pk, attempt.nonce, WORKER)


def test_one_message_is_enough_for_a_chain(driver: Driver) -> None:
    run = driver.start(CHAIN)
    carried_out(run)
    assert run.status == "succeeded"
    first, *others = Attempt.objects.order_by("pk")
    assert [(a.state, a.job, a.publish_count) for a in others] == [("ok", first.pk, 0)] * 2
    assert [e.seq for e in run.events()] == list(range(1, run.row.seq + 1))


@pytest.mark.skipif(os.environ.get("TEST_DATABASE_URL", "").startswith("sqlite"), reason="SQLite locks the whole file")
def test_a_chain_costs_one_statement_per_task(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver.start(document([task(f"t{place}") for place in range(20)], [f"t{i}>t{i + 1}" for i in range(19)]))
    strokes: list[str] = []
    real = ledger._at_a_stroke
    monkeypatch.setattr(ledger, "_at_a_stroke", lambda known, *more: (strokes.append("one"), real(known, *more))[1])
    monkeypatch.setattr(executing, "AHEAD", 0)
    locked: list[str] = []
    opened = ledger._open
    monkeypatch.setattr(ledger, "_open", lambda *more: (locked.append("lock"), opened(*more))[1])
    carried_out(run)
    assert run.status == "succeeded"
    assert (len(strokes), len(locked)) == (21, 0)  # the first is the claim's


def test_a_run_changed_by_somebody_else_meanwhile_is_read_anew(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b"), task("c")], ["a>c", "b>c"]))
    held = run.claim("a")
    run.work("b", value="theirs")
    (then,) = go_on(held, "mine")
    assert then.task.id == "c"
    assert {key: then.state.tasks[key].result for key in ("a", "b")} == {"a": "mine", "b": "theirs"}
    assert go_on(then) == []
    assert run.status == "succeeded"


def test_nobody_goes_on_with_a_run_that_is_paused_or_stopped(driver: Driver) -> None:
    run = driver.start(CHAIN)
    held = run.claim("a")
    api.pause_run(driver.boss, run.id)
    assert go_on(held) == []
    assert [a.key for a in run.open()] == ["b"]
    api.resume_run(driver.boss, run.id)
    held = run.claim("b")
    api.stop_run(driver.boss, run.id)
    assert go_on(held) == []
    assert run.status == "stopped"


def test_short_work_is_taken_together_and_recorded_together(driver: Driver) -> None:
    run = driver.start(WIDE)
    together = go_on(run.claim("first"), most=4)
    assert keys(together) == ["m0", "m1", "m2", "m3"]
    done = [(claim, leases.Report(news=n.TaskFinished(claim.task.id, 0.0, 1))) for claim in together]
    counted, rest = stretch.finish(done, taker(together[0], 4))
    assert (counted, keys(rest)) == (4, ["m4", "m5"])
    for claim in rest:
        go_on(claim)
    assert run.status == "succeeded"


def test_of_work_recorded_together_what_is_late_does_not_count_and_the_rest_does(driver: Driver) -> None:
    run = driver.start(WIDE)
    together = go_on(run.claim("first"), most=2)
    assert leases.lost(together[0].attempt_id)
    done = [(claim, leases.Report(news=n.TaskFinished(claim.task.id, 0.0, "mine"))) for claim in together]
    assert stretch.finish(done, taker(together[0]))[0] == 1
    assert (run.task("m0").status, run.task("m1").result) == ("ready", "mine")
    assert Attempt.objects.get(pk=together[0].attempt_id).late_result == ["mine"]
    api.stop_run(driver.boss, run.id)


def test_a_second_try_is_never_taken_together_with_others(driver: Driver) -> None:
    run = driver.start(WIDE)
    together = go_on(run.claim("first"), most=2)
    assert leases.lost_with(together[0].attempt_id, WORKER, "it died") == 0  # their job is the first attempt
    job = Attempt.objects.get(pk=together[0].attempt_id).job
    assert job is not None
    assert leases.lost_with(job, WORKER, "it died") == 2
    assert {run.task(key).lost_count for key in ("m0", "m1")} == {1}
    held, order = run.claim("m2"), []
    for _ in range(3):
        claims = go_on(held, most=8)
        order.append(keys(claims))
        held = claims[0]
    assert order == [["m0"], ["m1"], ["m3", "m4", "m5"]]  # and what was lost has waited once already
    api.stop_run(driver.boss, run.id)


def test_a_run_that_does_one_thing_at_a_time_still_does(driver: Driver) -> None:
    run = driver.start(ONE_AT_A_TIME)
    claims, order = [run.claim("first")], []
    while claims:
        (claim,) = claims
        order.append(claim.task.id)
        assert run.open() == [] or all(attempt.held for attempt in run.open())
        claims = go_on(claim, most=8)
    assert order == ["first", *(f"m{place}" for place in range(6))]
    assert run.status == "succeeded"


def test_work_for_another_queue_is_left_to_its_workers(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b", queue="gpu")], ["a>b"]))
    carried_out(run)
    assert [(a.key, a.queue) for a in run.open()] == [("b", "gpu")]
    run.work("b")


def test_after_its_time_the_wire_has_its_turn(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "GO_ON_SECONDS", 0.0)
    monkeypatch.setattr(executing, "AHEAD", 0)
    run = driver.start(CHAIN)
    carried_out(run)
    assert [a.key for a in run.open()] == ["b"]
    assert run.open()[0].publish_after > run.open()[0].created_at  # it is offered to the wire at once
    carried_out(run)
    carried_out(run)
    assert run.status == "succeeded"


def test_a_heartbeat_keeps_all_that_a_job_has_claimed(driver: Driver) -> None:
    run = driver.start(CHAIN)
    first = run.claim("a")
    (second,) = go_on(first)
    Attempt.objects.filter(pk=second.attempt_id).update(lease_until=None, cancel_requested_at=None)
    leases.renew(WORKER, [first.attempt_id])
    assert Attempt.objects.get(pk=second.attempt_id).lease_until is not None
    (third,) = go_on(second)
    go_on(third)
    assert run.status == "succeeded"


def test_an_error_text_no_database_takes_is_kept_readable(driver: Driver) -> None:
    run = driver.start(document([{"id": "bad", "uses": "body.fails_badly"}], []))
    carried_out(run)
    assert run.status == "failed"
    assert run.task("bad").error == "ValueError: a \ufffd and half a ?"


def test_a_change_without_a_lock_writes_nothing_on_the_way(driver: Driver) -> None:
    run = driver.start(CHAIN)
    row = run.row
    deeds: list[Callable[[], Any]] = [
        lambda: sql.row("UPDATE engine_run SET seq = 0 WHERE id = %s RETURNING id", (row.pk,)),
        lambda: statements.new_tasks([["x"] * len(statements.NEW_TASKS)]),
        lambda: Columns(type(row)).insert(row),
        lambda: Attempt.objects.update(state="ok"),
    ]
    with sql.only_reads():
        for deed in deeds:
            with pytest.raises(sql.NeedsLock):
                deed()
        assert sql.row("SELECT seq FROM engine_run WHERE id = %s", (row.pk,)) == (row.seq,)


def run_updates() -> tuple[int, int]:
    """How often the open transaction changed a row of runs, and how often without touching any index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'engine_run'")
        return tuple(cursor.fetchone())


@pytest.mark.skipif(connection.vendor != "postgresql", reason="indexes are PostgreSQL's")
def test_a_step_of_a_chain_writes_no_index_of_the_run(driver: Driver) -> None:
    run = driver.start(CHAIN)
    claim = run.claim("a")
    updates, in_place = run_updates()
    go_on(claim)
    after = run_updates()
    assert after[0] > updates
    assert after[0] - updates == after[1] - in_place


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_a_statement_prepared_while_tables_are_small_finds_rows_by_key(driver: Driver) -> None:
    text = statements._statement(("run", "finished", "tasks"), True).decode()
    values = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", text))))
    with connection.cursor() as cursor:
        for name in ("engine_run", "engine_attempt", "engine_runtask"):
            # Empty and never analyzed, whatever other tests have left in the tables these hide.
            cursor.execute(f"CREATE TEMP TABLE {name} (LIKE public.{name} INCLUDING INDEXES)")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.connection.execute(f"PREPARE step AS {text}")
        plan = "\n".join(line for (line,) in cursor.connection.execute(f"EXPLAIN EXECUTE step({values})").fetchall())
        cursor.connection.execute("DEALLOCATE step")
        cursor.execute("DROP TABLE pg_temp.engine_run, pg_temp.engine_attempt, pg_temp.engine_runtask")
        cursor.execute("RESET plan_cache_mode")
    assert "Index Scan using engine_attempt_pkey" in plan
    assert "Index Scan using engine_runtask_pkey" in plan
    assert "Seq Scan on engine_attempt" not in plan
    assert "Seq Scan on engine_runtask" not in plan


def test_a_question_asked_while_others_move_the_run_is_asked_once(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b")], []))
    held = run.claim("a")
    run.work("b")
    asked = n.TaskSuspended(task_id="a", at=0.0, requests=(build_request("a", 1, "#1"),))
    assert stretch.finish([(held, leases.Report(news=asked))], taker(held)) == (1, [])
    assert [question.version for question in FeedbackRequest.objects.all()] == [1]
    assert run.row.open_feedback == 1
