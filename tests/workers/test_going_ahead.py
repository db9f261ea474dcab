"""Going ahead: what surely follows is reserved on disk, done in memory, and recorded together; or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError

from engine.core import news as n
from engine.core.channel import Write
from engine.core.feedback import build_request
from engine.runs import api, leases, ledger, stretch
from engine.runs.attempts import Taker
from engine.runs.invariants import check_all
from engine.runs.leases import Claim, Report
from engine.runs.models import Attempt, ChannelValue, RunEvent
from engine.runs.stretch import Stretch, keep
from engine.workers import execute as executing
from engine.workers.execute import execute
from tests.runs.driver import WORKER, Driver, Run, document, finish, fire_timers, task

from . import bodies  # noqa: F401  registers the functions that the documents name

FOUR = [task(key) for key in "abcd"]
CHAIN = document(FOUR, ["a>b", "b>c", "c>d"])
DIAMOND = document(FOUR, ["a>b", "a>c", "b>d", "c>d"])
ONE_AT_A_TIME = {**DIAMOND, "defaults": {"execution_mode": "sequential"}}

Then = Callable[[Claim], Report]


def worked(claim: Claim) -> Report:
    return Report(news=n.TaskFinished(claim.task.id, 0.0, f"{claim.task.id} worked"))


def taker(job: int, ahead: int = 15) -> Taker:
    return Taker(
        worker=WORKER, job=job, can=lambda task: True, is_short=lambda task: True, ahead=ahead,
        is_plain=lambda task: True,
    )  # fmt: skip


def begun(run: Run, key: str = "a", ahead: int = 15) -> Claim:
    """A claim whose worker may go ahead."""
    attempt = Attempt.objects.get(run=run.row, key=key, state=Attempt.DISPATCHED)
    claim = leases.claim(attempt.pk, attempt.nonce, WORKER, lambda queue: taker(attempt.pk, ahead))
    assert claim is not None
    return claim


def carried_out(claims: list[Claim], then: Then = worked) -> Stretch:
    done = Stretch(claims)
    while (claim := done.following()) is not None:
        done.add(claim, then(claim))
    return done


def keys(done: Stretch) -> str:
    return "".join(claim.task.id for claim, _ in done.done)


def states(run: Run) -> str:
    """The attempts of a run, the oldest first."""
    rows = Attempt.objects.filter(run=run.row).order_by("pk").values_list("key", "number", "state")
    return " ".join(f"{key}{number}:{state}" for key, number, state in rows)


def channel(run: Run, name: str) -> dict[str, Any]:
    return dict(ChannelValue.objects.filter(run=run.row, channel=name).values_list("key", "value"))


def assert_over(run: Run, status: str = "succeeded") -> None:
    assert run.status == status
    assert list(check_all()) == []


@pytest.mark.parametrize("body", [CHAIN, DIAMOND, ONE_AT_A_TIME], ids=["chain", "diamond", "one at a time"])
def test_what_follows_is_reserved_before_it_begins_and_recorded_at_once(driver: Driver, body: dict[str, Any]) -> None:
    run = driver.start(body)
    claim = begun(run)
    assert states(run) == "a1:claimed b1:reserved c1:reserved d1:reserved"
    assert [run.task(key).status for key in "abcd"] == ["running", "blocked", "blocked", "blocked"]
    assert list(check_all()) == []
    seq = run.row.seq
    done = carried_out([claim])
    assert (keys(done), run.row.seq) == ("abcd", seq), "nothing is recorded before the end"
    assert keep(done, taker(claim.attempt_id)) == (4, [])
    assert states(run) == "a1:ok b1:ok c1:ok d1:ok"
    assert [run.task(key).result for key in "abcd"] == [f"{key} worked" for key in "abcd"]
    assert_over(run)


def test_each_body_sees_what_those_before_it_gave(driver: Driver) -> None:
    run = driver.start(DIAMOND)
    seen: dict[str, list[Any]] = {}

    def look(claim: Claim) -> Report:
        seen[claim.task.id] = [claim.state.tasks[key].result for key in sorted(claim.plan.sources(claim.task.id))]
        return worked(claim)

    keep(carried_out([begun(run)], look))
    assert seen == {"a": [], "b": ["a worked"], "c": ["a worked"], "d": ["b worked", "c worked"]}


def test_times_are_those_of_each_body(driver: Driver) -> None:
    run = driver.start(CHAIN)

    def slow(claim: Claim) -> Report:
        time.sleep(0.01)
        return worked(claim)

    keep(carried_out([begun(run)], slow))
    rows = list(Attempt.objects.filter(run=run.row).order_by("pk"))
    for row, following in pairwise(rows):
        assert row.started_at is not None
        assert row.ended_at is not None
        assert following.started_at is not None
        assert row.started_at < row.ended_at <= following.started_at
    moments = {(e.task_id, e.to_status): e.at for e in RunEvent.objects.filter(run=run.row, type="task_status")}
    for row in rows:
        assert row.started_at == datetime.fromtimestamp(moments[row.key, "running"], UTC)


def test_a_failure_ends_it_and_what_was_not_begun_is_given_back(driver: Driver) -> None:
    run = driver.start(CHAIN)

    def b_fails(claim: Claim) -> Report:
        failed = n.TaskFailed(task_id="b", at=0.0, error="boom", retryable=True, delay=0)
        return Report(news=failed) if claim.task.id == "b" else worked(claim)

    claim = begun(run)
    done = carried_out([claim], b_fails)
    assert keys(done) == "ab"
    keep(done, taker(claim.attempt_id))
    assert [run.task(key).status for key in "abcd"] == ["completed", "running", "blocked", "blocked"]
    assert states(run) == "a1:ok b1:error c1:cancelled d1:cancelled b2:claimed"
    assert leases.lost(Attempt.objects.get(run=run.row, key="b", state=Attempt.CLAIMED).pk)
    fire_timers()
    run.work("b", "c", "d")
    assert_over(run)


def test_what_a_body_wrote_is_there_before_the_next_one_begins(driver: Driver) -> None:
    run = driver.start(CHAIN)

    def b_writes(claim: Claim) -> Report:
        report = worked(claim)
        return Report(news=report.news, writes=(Write("notes", "set", "n", 1),)) if claim.task.id == "b" else report

    claim = begun(run)
    done = carried_out([claim], b_writes)
    assert keys(done) == "ab"
    _, (then,) = keep(done, taker(claim.attempt_id))
    assert (then.task.id, channel(run, "notes")) == ("c", {"n": 1})
    keep(carried_out([then]))
    run.work("d")
    assert_over(run)


def test_a_question_ends_it(driver: Driver) -> None:
    run = driver.start(CHAIN)

    def b_asks(claim: Claim) -> Report:
        asked = n.TaskSuspended(task_id="b", at=0.0, requests=(build_request("b", 1, "#1"),))
        return Report(news=asked) if claim.task.id == "b" else worked(claim)

    keep(carried_out([begun(run)], b_asks))
    assert run.status == "waiting"
    assert list(check_all()) == []
    run.answer("approve")
    run.work("b", "c", "d")
    assert_over(run)


def test_a_run_that_is_stopped_meanwhile_counts_what_was_claimed_only(driver: Driver) -> None:
    run = driver.start(CHAIN)
    done = carried_out([begun(run)])
    api.stop_run(driver.boss, run.id)
    assert keep(done) == (4, [])
    assert states(run) == "a1:ok b1:released c1:released d1:released"
    assert run.task("a").result == "a worked"
    assert_over(run, "stopped")


def test_a_run_that_is_paused_meanwhile_does_the_rest_again_when_it_is_resumed(driver: Driver) -> None:
    run = driver.start(CHAIN)
    claim = begun(run)
    tokens: list[tuple[str, int]] = []

    def noted(claim: Claim) -> Report:
        tokens.append((claim.task.id, executing._call(claim).execution.token or 0))
        return worked(claim)

    done = carried_out([claim], noted)
    api.pause_run(driver.boss, run.id)
    assert keep(done, taker(claim.attempt_id)) == (4, [])
    assert list(check_all()) == []
    api.resume_run(driver.boss, run.id)
    noted(held := run.claim("b"))
    assert tokens == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("b", 2)], "a body that comes again has a greater token"
    assert finish(held, n.TaskFinished("b", 0.0, "again"))
    run.work("c", "d", value="again")
    assert [run.task(key).result for key in "abcd"] == ["a worked", "again", "again", "again"]
    assert_over(run)


def test_a_worker_that_died_loses_what_it_had_claimed_and_its_reservations_end(driver: Driver) -> None:
    run = driver.start(CHAIN)
    claim = begun(run)
    zombie = carried_out([claim])
    assert leases.lost_with(claim.attempt_id, WORKER, "it died") == 1
    assert states(run).startswith("a1:lost b1:released c1:released d1:released")
    assert [run.task(key).lost_count for key in "abcd"] == [1, 0, 0, 0]
    assert list(check_all()) == []
    assert keep(zombie) == (0, [])
    rows = Attempt.objects.filter(run=run.row, number=1).order_by("pk")
    assert [row.late_result for row in rows] == [[f"{key} worked"] for key in "abcd"]
    fire_timers()
    again = begun(run)
    assert again.ahead == (), "what has killed a worker once is not taken together with others"
    _, (then,) = keep(carried_out([again]), taker(again.attempt_id))
    assert (then.task.id, then.ahead) == ("b", ())
    keep(carried_out([then]))
    run.work("c", "d")
    assert_over(run)


def test_a_database_that_was_away_gets_all_of_it_later(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver.start(CHAIN)
    done = carried_out([begun(run)])
    real, tries = ledger.Unit.keep, []

    def away(self: ledger.Unit, *more: Any) -> None:
        tries.append(self)
        if len(tries) == 1:
            raise OperationalError("gone")
        real(self, *more)

    monkeypatch.setattr(ledger.Unit, "keep", away)
    assert keep(done) == (4, [])
    assert states(run) == "a1:ok b1:ok c1:ok d1:ok"
    assert_over(run)


def test_it_ends_after_a_while(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretch, "STRETCH_SECONDS", -1.0)
    run = driver.start(CHAIN)
    claim = begun(run)
    done = carried_out([claim])
    assert keys(done) == "a"
    _, (then,) = keep(done, taker(claim.attempt_id))
    assert states(run) == "a1:ok b1:cancelled c1:cancelled d1:cancelled b2:claimed"
    keep(carried_out([then]))
    run.work("c", "d")
    assert_over(run)


WITHOUT = {
    "a condition": document(FOUR, ["a>b", {"source": "b", "target": "c", "when": "true"}, "c>d"]),
    "a loop": document(FOUR, ["a>b", "b>c", {"source": "c", "target": "b", "loop": True, "when": "false"}, "c>d"]),
    "another queue": document([task("a"), task("b", queue="gpu"), task("c"), task("d")], ["a>b", "b>c", "c>d"]),
    "a limit of time": document([task("a"), task("b", timeout=5), task("c"), task("d")], ["a>b", "b>c", "c>d"]),
    "a person": document([task("a"), {"id": "b", "kind": "approval"}, task("c"), task("d")], ["a>b", "b>c", "c>d"]),
    "another start": document(FOUR, ["a>c", "b>c", "c>d"]),
    "another priority": document([task("a"), task("b", priority=1), task("c"), task("d")], ["a>b", "b>c", "c>d"]),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_nobody_goes_ahead_over(driver: Driver, what: str) -> None:
    run = driver.start(WITHOUT[what])
    attempt = Attempt.objects.get(run=run.row, key="a")
    mine = Taker(
        worker=WORKER, job=attempt.pk, can=lambda task: task.queue is None, is_short=lambda task: True, ahead=15,
        is_plain=lambda task: True,
    )  # fmt: skip
    claim = leases.claim(attempt.pk, attempt.nonce, WORKER, lambda queue: mine)
    assert claim is not None
    assert claim.ahead == ()
    api.stop_run(driver.boss, run.id)
    keep(carried_out([claim]))
    assert_over(run, "stopped")


def test_a_body_that_asked_has_a_greater_token_when_it_comes_again(driver: Driver) -> None:
    run = driver.start(document([task("a")], []))
    first = run.claim("a")
    assert finish(first, n.TaskSuspended(task_id="a", at=0.0, requests=(build_request("a", 1, "#1"),)))
    run.answer("approve")
    assert (first.token, run.claim("a").token) == (1, 2)
    api.stop_run(driver.boss, run.id)


def test_a_worker_goes_ahead_once_it_knows_the_function_to_be_short_and_plain(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "_times", {})
    monkeypatch.setattr(executing, "_odd", {})
    monkeypatch.setattr(stretch, "STRETCH_SECONDS", 60.0)  # however slow this machine is
    long = document([task(f"t{place}") for place in range(48)], [f"t{i}>t{i + 1}" for i in range(47)])
    statements: list[int] = []
    real = ledger.Unit.keep
    monkeypatch.setattr(
        ledger.Unit, "keep", lambda unit, *more: (statements.append(len(unit._entries)), real(unit, *more))[1]
    )
    run = driver.start(long)
    statements.clear()
    attempt = run.open()[0]
    assert execute(attempt.pk, attempt.nonce, WORKER)
    assert_over(run)
    assert len(statements) == 1 + 3 + 2, "claim, three to get to know it, then thirty-two and thirteen"
    counting = driver.start(document([{"id": key, "uses": "body.counts"} for key in "abcd"], ["a>b", "b>c", "c>d"]))
    attempt = counting.open()[0]
    assert execute(attempt.pk, attempt.nonce, WORKER)
    assert channel(counting, "numbers") == {"n": 20}
    assert_over(counting)
    assert states(counting) == "a1:ok b1:ok c1:ok d1:ok", "what writes is never reserved"
