"""A run from start to end: joins, loops, people, failures, stop and pause, all as rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from engine import task as task_decorator
from engine.core import news as n
from engine.core import registry
from engine.core.channel import Write
from engine.core.errors import Conflict, Gone, InvalidInput, NotFound
from engine.runs import api, leases, plans, stretch, sweeps
from engine.runs.channels import StoredChannels
from engine.runs.models import Attempt, FeedbackRequest, RunEvent, RunTask, Timer
from engine.workers import execute

from .driver import Driver, Run, document, finish, fire_timers, task

DIAMOND = document([task("a"), task("b"), task("c"), task("d")], ["a>b", "a>c", "b>d", "c>d"])
REVIEWED = document(
    [task("draft"), {"id": "review", "kind": "approval", "prompt": "Good?"}, task("publish")],
    ["draft>review", "review>publish", {"source": "review", "target": "draft", "on": "rejected", "loop": True}],
)
RETRIED = document([task("a", max_retries=1)], [])


def test_a_join_waits_for_the_slower_branch(driver: Driver) -> None:
    run = driver.start(DIAMOND)
    run.work("a", "b")
    assert run.task("d").status == "blocked"
    run.work("c", "d")
    assert run.status == "succeeded"


def test_events_are_numbered_without_gaps_and_say_what_the_rows_say(driver: Driver) -> None:
    run = driver.start(DIAMOND)
    run.work("a", "b", "c", "d")
    events = run.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert run.row.seq == events[-1].seq
    assert (events[-1].type, events[-1].to) == ("run_status", "succeeded")


def test_a_rejection_goes_round_and_an_approval_goes_on(driver: Driver) -> None:
    run = driver.start(REVIEWED)
    run.work("draft", value="first")
    assert (run.status, run.question().data) == ("waiting", "first")
    run.answer("reject", reason="too short")
    assert (run.task("draft").status, run.task("draft").iteration) == ("ready", 2)
    claim = run.claim("draft")
    assert claim.task_state.fired[-1] == 2
    finish(claim, n.TaskFinished("draft", 0.0, "second"))
    assert (run.question().data, run.question().iteration) == ("second", 2)
    run.answer("approve")
    run.work("publish")
    assert run.status == "succeeded"
    assert run.task("publish").iteration == 1


def test_a_waiting_run_holds_no_attempt(driver: Driver) -> None:
    run = driver.start(REVIEWED)
    run.work("draft")
    assert not Attempt.objects.filter(state__in=Attempt.OPEN).exists()
    run.answer("skip")
    run.work("publish")


def test_a_retry_waits_for_its_timer(driver: Driver) -> None:
    run = driver.start(RETRIED)
    run.fail("a")
    assert run.task("a").status == "retry_waiting"
    assert fire_timers() == 0
    Timer.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert fire_timers() == 1
    assert fire_timers() == 0
    assert (run.task("a").status, run.task("a").attempt) == ("ready", 2)
    run.fail("a")
    assert run.status == "failed"
    assert [a.error for a in Attempt.objects.order_by("number")] == ["boom", "boom"]


def test_a_timer_of_an_earlier_try_is_void(driver: Driver) -> None:
    run = driver.start(document([task("a", max_retries=2)], []))
    run.fail("a")
    Timer.objects.update(token="1.7", due_at=timezone.now() - timedelta(seconds=1))
    fire_timers()
    assert run.task("a").status == "retry_waiting"
    api.stop_run(driver.boss, run.id)


def test_stop_withdraws_questions_and_closes_what_does_not_run(driver: Driver) -> None:
    run = driver.start(
        document([task("a"), task("b"), {"id": "ask", "kind": "approval"}, task("z")], ["a>ask", "ask>z", "b>z"])
    )
    run.work("a")
    held = run.claim("b")
    question = run.question()
    api.stop_run(driver.boss, run.id, reason="enough")
    assert run.status == "stopping"
    assert run.task("ask").outcome == "cancelled"
    with pytest.raises(Gone):
        api.answer_feedback(driver.boss, question.id, decision="approve")
    assert Attempt.objects.get(pk=held.attempt_id).cancel_requested_at is not None
    assert finish(held, n.TaskFinished("b", 0.0, 1))
    assert api.get_run(driver.boss, run.id).status == "stopped"
    assert api.stop_run(driver.boss, run.id).reason == "enough"


def test_an_ended_run_cannot_be_stopped(driver: Driver) -> None:
    run = driver.start(RETRIED)
    run.work("a")
    with pytest.raises(Conflict) as refused:
        api.stop_run(driver.boss, run.id)
    assert refused.value.details["run_status"] == "succeeded"


def test_nothing_is_claimed_while_a_run_is_paused(driver: Driver) -> None:
    run = driver.start(REVIEWED)
    waiting = run.open()[0]
    api.pause_run(driver.boss, run.id)
    assert leases.claim(waiting.pk, waiting.nonce, "w") is None
    assert sweeps.take_unpublished(10) == []
    with pytest.raises(Conflict):
        api.pause_run(driver.boss, run.id)
    api.resume_run(driver.boss, run.id)
    assert [item.id for item in sweeps.take_unpublished(10)] == [waiting.pk]
    run.work("draft")
    api.pause_run(driver.boss, run.id)
    run.answer("approve")
    assert run.task("review").status == "ready"
    api.resume_run(driver.boss, run.id)
    run.work("publish")
    assert run.status == "succeeded"


def test_a_task_whose_join_can_no_longer_be_met_is_skipped(driver: Driver) -> None:
    body = document(
        [task("a"), task("b"), task("c", join="all")],
        [{"source": "a", "target": "b", "when": "a == 1"}, "a>c", "b>c"],
    )
    run = driver.start(body)
    run.work("a", value=2)
    assert run.status == "succeeded"
    assert run.task("c").outcome == "skipped"


def test_a_run_that_nothing_can_move_fails_and_says_which_tasks_wait(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b")], ["a>b"]))
    # An edge that is neither fired nor dead although its source has ended: what a fault of ours would look like.
    RunTask.objects.filter(key="b").update(memory={"dead": [0]}, status="blocked")
    claim = run.claim("a")
    finish(claim, n.TaskFinished("a", 0.0, 1))
    assert (run.status, run.row.reason) == ("failed", "stalled")


def test_a_human_step_without_an_answer_takes_its_default(driver: Driver) -> None:
    from engine.runs import inbox

    body = document([{"id": "ask", "kind": "text", "timeout": 60, "on_timeout": "skip"}, task("z")], ["ask>z"])
    run = driver.start(body)
    assert sweeps.overdue_feedback() == []
    FeedbackRequest.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    (overdue,) = sweeps.overdue_feedback()
    assert inbox.expire(overdue)
    assert not inbox.expire(overdue)
    assert run.task("ask").outcome == "skipped"
    assert api.list_feedback(driver.boss, state="skipped").results[0].decision.by == "system"
    run.work("z")


def test_a_retried_run_keeps_what_worked(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b", max_retries=0), task("c")], ["a>b", "b>c"]))
    run.work("a", value={"kept": 1})
    run.fail("b")
    again = api.retry_run(driver.boss, run.id)
    assert (again.retry_of, {t.id: t.status for t in again.tasks}) == (
        run.id,
        {"a": "completed", "b": "ready", "c": "blocked"},
    )
    assert api.task_detail(driver.boss, again.id, "a").result == {"kept": 1}
    api.stop_run(driver.boss, again.id)


def test_a_run_whose_code_is_gone_can_still_be_looked_at_and_stopped(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = driver.start(document([task("a", max_retries=1, params={"value": 1}), task("b")], ["a>b"]))
    monkeypatch.delitem(registry._tasks, "test.echo")
    plans.forget()
    assert run.claim("a").task.max_retries == 1
    assert "test.echo" not in registry.tasks()
    api.stop_run(driver.boss, run.id)
    assert run.status == "stopping"
    leases.lost(Attempt.objects.get(key="a").pk)
    assert run.status == "stopped"


def test_a_mapped_function_that_is_gone_keeps_no_run_from_going_on_and_may_come_back(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = {"id": "all", "kind": "map", "uses": "test.echo", "items": [7]}
    run = driver.start(document([{"id": "ask", "kind": "approval"}, mapped], ["ask>all"]))
    with monkeypatch.context() as without:
        without.delitem(registry._tasks, "test.echo")
        plans.forget()
        run.answer("approve")
        [child] = [attempt.key for attempt in run.open()]
    plans.forget()
    report = execute.carry_out_claim(run.claim(child))
    assert report.news.value == 7  # type: ignore[union-attr]
    api.stop_run(driver.boss, run.id)


def test_a_function_that_takes_other_parameters_than_before_fails_its_task_alone(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = driver.start(document([task("a", params={"value": 1}), {"id": "ask", "kind": "approval"}], []))

    monkeypatch.setattr(registry, "_tasks", {**registry._tasks})

    @task_decorator(name="test.echo")
    def other(renamed: int = 0) -> int:
        return renamed

    plans.forget()
    run.answer("approve")
    claim = run.claim("a")
    report = execute.carry_out_claim(claim)
    assert finish(claim, report.news)
    assert report.news.error == "Task 'a' was given 'value', which its function does not take."  # type: ignore[union-attr]
    api.stop_run(driver.boss, run.id)
    assert run.status == "stopped"


def test_steps_without_a_function_run_in_place(driver: Driver) -> None:
    body = document(
        [task("a"), {"id": "double", "kind": "transform", "value": {"$": "a * 2"}}, task("b")], ["a>double", "double>b"]
    )
    run = driver.start(body)
    run.work("a", value=21)
    assert run.task("double").result == 42
    assert [attempt.key for attempt in run.open()] == ["b"]
    run.work("b")


def test_large_results_live_beside_their_row(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b")], ["a>b"]))
    big = "x" * 100_000
    run.work("a", value=big)
    assert run.task("a").result is None
    assert api.task_detail(driver.boss, run.id, "a").result == big
    assert run.claim("b").state.tasks["a"].result == big
    api.stop_run(driver.boss, run.id)


@pytest.mark.parametrize("value", [1e22, 1.0, {"b": 1, "a": [None, True, "é\u2028"]}, 2**60, -0.0])
def test_results_come_back_exactly_as_they_were(driver: Driver, value: Any) -> None:
    run = driver.start(document([task("a")], []))
    run.work("a", value=value)
    back = run.task("a").result
    assert (repr(back), type(back)) == (repr(value), type(value))


def test_starting_needs_a_published_version_and_fitting_inputs(driver: Driver) -> None:
    body = document(
        [task("a")], [], inputs={"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    )
    made = api.create_workflow(driver.boss, name="Draft only", document=body)
    with pytest.raises(Conflict):
        api.start_run(driver.boss, workflow=made.id)
    api.publish(driver.boss, made.id)
    with pytest.raises(InvalidInput):
        api.start_run(driver.boss, workflow=made.slug, inputs={"n": "one"})
    with pytest.raises(NotFound):
        api.start_run(driver.boss, workflow=made.slug, version=2, inputs={"n": 1})
    assert RunEvent.objects.count() == 0


def test_a_second_start_with_the_same_key_is_the_first_run(driver: Driver) -> None:
    workflow = driver.publish(RETRIED)
    first = api.start_run(driver.boss, workflow=workflow, inputs={"a": 1}, idempotency_key="k")
    assert api.start_run(driver.boss, workflow=workflow, inputs={"a": 1}, idempotency_key="k").id == first.id
    with pytest.raises(InvalidInput):
        api.start_run(driver.boss, workflow=workflow, inputs={"a": 2}, idempotency_key="k")
    assert len(api.list_runs(driver.boss).results) == 1


def test_a_published_version_cannot_be_changed(driver: Driver) -> None:
    from django.db import DatabaseError

    from engine.runs.models import Immutable, WorkflowVersion

    driver.publish(RETRIED)
    version = WorkflowVersion.objects.get()
    version.note = "changed"
    with pytest.raises(Immutable):
        version.save()
    with pytest.raises(DatabaseError):
        WorkflowVersion.objects.update(note="changed")


def test_a_retry_keeps_a_loop_that_had_ended_and_its_answers(driver: Driver) -> None:
    run = driver.start(REVIEWED)
    run.work("draft", value="poor")
    run.answer("reject", reason="Again, please.")
    run.work("draft", value="good")
    run.answer("approve")
    finish(run.claim("publish"), n.TaskFailed(task_id="publish", at=0.0, error="boom", retryable=False))
    again = Run(driver.boss, api.retry_run(driver.boss, run.id).id)
    assert [attempt.key for attempt in again.open()] == ["publish"]
    assert api.list_feedback(driver.boss, run=again.id).results == []
    again.work("publish")
    assert (again.status, again.task("draft").result) == ("succeeded", "good")


def test_a_retry_does_a_loop_again_in_which_something_failed(driver: Driver) -> None:
    run = driver.start(REVIEWED)
    run.work("draft")
    run.answer("reject", reason="Again, please.")
    run.fail("draft", retryable=False)
    again = Run(driver.boss, api.retry_run(driver.boss, run.id).id)
    assert ([attempt.key for attempt in again.open()], again.task("draft").iteration) == (["draft"], 1)
    again.work("draft")
    again.answer("approve")
    again.work("publish")
    assert again.status == "succeeded"


def test_a_retry_keeps_what_follows_a_branch_that_was_not_taken(driver: Driver) -> None:
    edges: list[Any] = [
        {"source": "a", "target": "b", "when": "result > 1"},
        {"source": "a", "target": "c", "when": "result <= 1"},
    ]
    run = driver.start(document([task(key) for key in "abcde"], [*edges, "b>d", "c>d", "d>e"]))
    run.work("a", value=2)
    run.work("b", "d")
    run.fail("e", retryable=False)
    assert run.task("c").outcome == "skipped"
    again = Run(driver.boss, api.retry_run(driver.boss, run.id).id)
    assert [attempt.key for attempt in again.open()] == ["e"]
    again.work("e")
    assert (again.status, again.task("c").outcome) == ("succeeded", "skipped")


def test_a_retry_keeps_a_map_and_what_channels_hold(driver: Driver) -> None:
    run = driver.start(
        document([{"id": "all", "kind": "map", "uses": "test.echo", "items": [1, 2]}, task("z")], ["all>z"])
    )
    keys = [attempt.key for attempt in run.open()]
    write = Write("notes", "set", "k", "kept")
    assert (
        stretch.finish([(run.claim(keys[0]), leases.Report(news=n.TaskFinished(keys[0], 0.0, 1), writes=(write,)))])[0]
        == 1
    )
    run.work(keys[1], value=2)
    run.fail("z", retryable=False)
    again = Run(driver.boss, api.retry_run(driver.boss, run.id).id)
    assert [attempt.key for attempt in again.open()] == ["z"]
    assert again.task("all").result == run.task("all").result
    assert StoredChannels(again.row.pk).read("notes", "k") == (True, "kept")
    again.work("z")
    assert again.status == "succeeded"


def test_a_retry_that_keeps_nothing_begins_with_empty_channels(driver: Driver) -> None:
    run = driver.start(document([task("a"), task("b")], ["a>b"]))
    write = Write("notes", "append", "k", "once")
    assert stretch.finish([(run.claim("a"), leases.Report(news=n.TaskFinished("a", 0.0, 1), writes=(write,)))])[0] == 1
    run.work("b")
    again = Run(driver.boss, api.retry_run(driver.boss, run.id, from_="a").id)
    assert StoredChannels(again.row.pk).read("notes", "k") == (False, None)
    api.stop_run(driver.boss, again.id)
