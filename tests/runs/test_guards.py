"""The four guards, each under its own attack: outbox, conditional claim, fenced finish, lease and reaper."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from engine.core import news as n
from engine.core.errors import Conflict
from engine.runs import api, hooks, leases, sweeps
from engine.runs.channels import StoredChannels, StoredSteps
from engine.runs.models import Attempt, FeedbackDecision, RunTask

from .driver import WORKER, Driver, at_once, document, finish, reap, task

ONE = document([task("a")], [])
ASK = document([{"id": "ask", "kind": "approval", "data": {"price": 3}}, task("z")], ["ask>z"])


def lease_is_over() -> None:
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def test_of_twenty_claimants_one_gets_the_attempt(driver: Driver) -> None:
    run = driver.start(ONE)
    attempt = run.open()[0]
    claims = at_once(20, lambda place: leases.claim(attempt.pk, attempt.nonce, f"worker-{place}"))
    assert sum(isinstance(claim, leases.Claim) for claim in claims) == 1, claims
    assert claims.count(None) == 19
    (won,) = [claim for claim in claims if claim is not None]
    assert finish(won, n.TaskFinished("a", 0.0, 1), won.worker)


def test_a_claim_needs_the_nonce(driver: Driver) -> None:
    run = driver.start(ONE)
    assert leases.claim(run.open()[0].pk, "0" * 32, WORKER) is None
    run.work("a")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="there are no sessions to be ended")
def test_a_worker_whose_session_was_ended_works_over_a_new_one(driver: Driver) -> None:
    run = driver.start(ONE)
    attempt, channels = run.open()[0], StoredChannels(run.row.pk)
    end_my_session()
    claim = leases.claim(attempt.pk, attempt.nonce, WORKER)
    assert claim is not None
    row = claim.task_row
    end_my_session()
    assert channels.read("c", "k") == (False, None)
    end_my_session()
    StoredSteps(row, 1).save("s", 1)
    end_my_session()
    assert finish(claim, n.TaskFinished("a", 0.0, 1))
    assert run.status == "succeeded"


def end_my_session() -> None:
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert not connection.is_usable()


def test_a_finish_counts_once_and_only_from_the_claimant(driver: Driver) -> None:
    run = driver.start(ONE)
    claim = run.claim("a")
    assert not finish(claim, n.TaskFinished("a", 0.0, "stolen"), "somebody else")
    assert finish(claim, n.TaskFinished("a", 0.0, "mine"))
    assert not finish(claim, n.TaskFinished("a", 0.0, "again"))
    assert run.task("a").result == "mine"
    assert Attempt.objects.get().late_result == ["again"]


def test_an_expired_lease_gives_the_task_to_another_worker_and_fences_the_first(driver: Driver) -> None:
    run = driver.start(ONE)
    frozen = run.claim("a", "frozen")
    assert reap() == 0
    lease_is_over()
    assert reap() == 1
    assert (run.task("a").status, run.task("a").lost_count) == ("ready", 1)
    second = run.claim("a", "fresh")
    assert not finish(frozen, n.TaskFinished("a", 0.0, "zombie"), "frozen")
    assert finish(second, n.TaskFinished("a", 0.0, "real"), "fresh")
    assert (run.task("a").result, run.status) == ("real", "succeeded")


def test_a_heartbeat_renews_exactly_what_it_names(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b")], []))
    kept, dropped = run.claim("a"), run.claim("b")
    lease_is_over()
    leases.renew(WORKER, [kept.attempt_id])
    assert reap() == 1
    assert (run.task("a").status, run.task("b").status) == ("running", "ready")
    assert not finish(dropped, n.TaskFinished("b", 0.0, 1))
    finish(kept, n.TaskFinished("a", 0.0, 1))
    run.work("b")


def test_a_body_that_kills_every_worker_ends_the_task(driver: Driver) -> None:
    run = driver.start(ONE)
    for _ in range(4):
        run.claim("a")
        lease_is_over()
        reap()
    assert run.status == "failed"
    assert run.task("a").error.startswith("worker_lost")


def test_a_released_attempt_costs_no_budget(driver: Driver) -> None:
    run = driver.start(document([task("a", max_retries=0)], []))
    for _ in range(6):
        assert leases.released(run.claim("a").attempt_id, WORKER)
    run.work("a")
    assert (run.status, run.task("a").lost_count) == ("succeeded", 0)


def test_stop_tells_the_worker_which_bodies_to_end(driver: Driver) -> None:
    run = driver.start(ONE)
    claim = run.claim("a")
    api.stop_run(driver.boss, run.id)
    assert list(leases.renew(WORKER, [claim.attempt_id]).cancelled) == [(claim.attempt_id, claim.attempt_id)]
    assert leases.killed(claim.attempt_id, WORKER, why="the run was stopped")
    assert (run.status, run.task("a").outcome) == ("stopped", "cancelled")


def test_of_twenty_answers_one_wins_and_the_others_hear_of_it(driver: Driver) -> None:
    run = driver.start(ASK)
    question = run.question()
    results = at_once(20, lambda place: api.answer_feedback(driver.boss, question.id, decision="approve"))
    lost = [found for found in results if isinstance(found, Conflict)]
    assert len(lost) == 19, results
    assert {(refused.details["winner"], refused.details["decision"]) for refused in lost} == {("boss", "approve")}
    assert FeedbackDecision.objects.count() == 1
    assert [event.type for event in run.events()].count("feedback_answered") == 1
    run.work("z")
    assert run.status == "succeeded"


def test_an_answer_is_bound_to_what_was_seen(driver: Driver) -> None:
    run = driver.start(ASK)
    with pytest.raises(Conflict) as refused:
        api.answer_feedback(driver.boss, run.question().id, decision="approve", payload_hash="0" * 64)
    assert refused.value.code == "payload_changed"
    run.answer("approve", payload_hash=run.question().payload_hash)
    run.work("z")


def test_a_repeated_answer_with_its_key_is_the_first_answer(driver: Driver) -> None:
    run = driver.start(ASK)
    question = run.question().id
    for _ in range(2):
        found = api.answer_feedback(driver.boss, question, decision="approve", idempotency_key="k")
        assert found.state == "answered"
    run.work("z")


def test_an_attempt_nobody_published_is_published_by_the_relay(driver: Driver) -> None:
    run = driver.start(ONE)
    attempt = run.open()[0]
    assert sweeps.take_unpublished(10) == []  # for a moment it belongs to the process that made it
    Attempt.objects.update(publish_after=timezone.now())
    assert [(item.id, item.nonce) for item in sweeps.take_unpublished(10)] == [(attempt.pk, attempt.nonce)]
    assert sweeps.take_unpublished(10) == []
    sweeps.mark_published([attempt.pk])
    assert (sweeps.on_the_wire(), sweeps.stale_queues()) == (1, [])
    assert sweeps.forget_published() == 1
    assert [item.id for item in sweeps.take_unpublished(10)] == [attempt.pk]
    run.work("a")


def test_a_message_lost_long_ago_is_sent_again_with_growing_patience(driver: Driver) -> None:
    run = driver.start(ONE)
    attempt = run.open()[0]
    for count in (1, 2):
        sweeps.mark_published([attempt.pk])
        row = Attempt.objects.get()
        patience = (row.publish_after - row.published_at).total_seconds()
        assert row.publish_count == count
        assert patience == pytest.approx(sweeps.RESEND_SECONDS * 2 ** (count - 1), abs=2)
    Attempt.objects.update(publish_after=timezone.now())
    assert sweeps.stale_queues() == ["default"]
    assert len(sweeps.take_stale(10)) == 1
    run.work("a")


def test_the_most_urgent_attempt_goes_first(driver: Driver) -> None:
    driver_run = driver.start(document([task("late", priority=5), task("early", priority=-5), task("middle")], []))
    Attempt.objects.update(publish_after=timezone.now())
    order = [item.id for item in sweeps.take_unpublished(10)]
    assert [Attempt.objects.get(pk=pk).key for pk in order] == ["early", "middle", "late"]
    driver_run.work("late", "early", "middle")


def test_a_sequential_run_does_one_thing_at_a_time(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(hooks, "dispatch", lambda messages: sent.extend(message.attempt_id for message in messages))
    body = document([task("a"), task("b"), task("c"), task("z")], ["a>z", "b>z", "c>z"])
    run = driver.start(body | {"defaults": {"execution_mode": "sequential"}})
    for count, key in enumerate(("a", "b", "c", "z"), 1):
        assert Attempt.objects.get(pk=sent[-1]).key == key
        waiting = [attempt for attempt in run.open() if attempt.key != key]
        claim = run.claim(key)
        assert [leases.claim(attempt.pk, attempt.nonce, WORKER) for attempt in waiting] == [None] * len(waiting)
        finish(claim, n.TaskFinished(key, 0.0, count))
        assert len(sent) == min(count + 1, 4)
    assert run.status == "succeeded"


def test_hooks_are_called_after_the_commit_and_may_fail(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def broken(messages: list[Any]) -> None:
        sent.extend(messages)
        assert RunTask.objects.count() == 1
        raise RuntimeError("no wire today")

    monkeypatch.setattr(hooks, "dispatch", broken)
    run = driver.start(ONE)
    assert [message.attempt_id for message in sent] == [run.open()[0].pk]
    run.work("a")


def test_many_runs_at_once_keep_their_own_order(driver: Driver) -> None:
    workflow = driver.publish(document([task("a"), task("b"), task("c")], ["a>c", "b>c"]))
    runs = at_once(8, lambda _: api.start_run(driver.boss, workflow=workflow).id)
    attempts = list(Attempt.objects.values_list("pk", "nonce"))

    def work(place: int) -> Any:
        claim = leases.claim(*attempts[place], WORKER)
        assert claim is not None
        return finish(claim, n.TaskFinished(claim.task.id, 0.0, place))

    assert at_once(16, work) == [True] * 16
    assert RunTask.objects.filter(key="c", status="ready").count() == 8
    for run in runs:
        api.stop_run(driver.boss, run)
