"""One attempt from claim to record, with real bodies and a real database."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runs import api
from engine.runs.models import Attempt, ChannelValue, RunTask
from engine.workers.execute import execute
from tests.runs.driver import WORKER, Driver, Run, document

from . import bodies


def node(task_id: str, uses: str, **settings: Any) -> dict[str, Any]:
    return {"id": task_id, "uses": f"body.{uses}", **settings}


def work(run: Run, *, rounds: int = 30) -> Run:
    """Carry out whatever is dispatched until nothing is."""
    for _ in range(rounds):
        waiting = run.open()
        if not waiting:
            return run
        done = [execute(attempt.pk, attempt.nonce, WORKER) for attempt in waiting]
        assert any(done)  # one execution may have gone on with the others
    raise AssertionError("the run does not come to rest")


def test_a_second_delivery_finds_nothing_to_claim(driver: Driver) -> None:
    run = driver.start(document([node("greet", "greet")], []), name="ann")
    attempt = run.open()[0]
    assert execute(attempt.pk, attempt.nonce, WORKER)
    assert not execute(attempt.pk, attempt.nonce, WORKER)
    assert run.task("greet").result == "hello ann"
    assert Attempt.objects.get().inputs == {"name": "ann"}


def test_a_body_that_asks_starts_over_with_its_answer(driver: Driver) -> None:
    bodies.EFFECTS.clear()
    run = work(driver.start(document([node("asks", "asks")], [])))
    assert (run.status, run.task("asks").status) == ("waiting", "feedback_required")
    assert not ChannelValue.objects.exists()
    run.answer("answer", value="a poem")
    work(run)
    assert (run.status, run.task("asks").result) == ("succeeded", "a poem")
    assert bodies.EFFECTS == ["once"]
    assert ChannelValue.objects.get().value == [1]
    assert [a.state for a in Attempt.objects.order_by("number")] == ["suspended", "ok"]


def test_a_rejected_question_ends_its_body(driver: Driver) -> None:
    run = work(driver.start(document([node("asks", "asks")], [])))
    run.answer("reject", reason="no time")
    assert (run.status, run.task("asks").reason) == ("rejected", "no time")


def test_channel_writes_come_with_the_success_and_add_up(driver: Driver) -> None:
    run = work(driver.start(document([node("x", "counts"), node("y", "counts")], [])))
    assert ChannelValue.objects.get().value == 10
    assert run.status == "succeeded"


def test_a_failed_body_leaves_no_writes_and_no_tasks(driver: Driver) -> None:
    run = work(driver.start(document([node("bad", "fails_after_writing")], [])))
    assert run.status == "failed"
    assert not ChannelValue.objects.exists()
    assert RunTask.objects.count() == 1
    detail = api.task_detail(driver.boss, run.id, "bad")
    assert detail.error == "ValueError: after the write"
    assert "fails_after_writing" in (detail.attempts[0].traceback or "")


def test_tasks_made_while_running_are_children_the_parent_waits_for(driver: Driver) -> None:
    run = work(driver.start(document([node("parent", "spawns"), node("after", "greet")], ["parent>after"]), name="x"))
    assert run.status == "succeeded"
    children = RunTask.objects.filter(parent="parent")
    assert sorted(child.result for child in children) == ["hello ann", "hello bob"]


def test_a_body_may_ask_for_another_iteration(driver: Driver) -> None:
    run = work(driver.start(document([node("again", "again")], [])))
    task = run.task("again")
    assert (run.status, task.result, task.iteration) == ("succeeded", 3, 4)


def test_a_body_that_overruns_is_ended_whatever_it_catches(driver: Driver) -> None:
    run = work(driver.start(document([node("sleeps", "sleeps")], [])))
    assert run.task("sleeps").error == "timeout: did not end within 0.3 s"


@pytest.mark.parametrize("what", ["set", "nan", "nul", "surrogate"])
def test_a_result_that_cannot_be_kept_fails_the_task_for_good(driver: Driver, what: str) -> None:
    run = work(driver.start(document([node("returns", "returns", params={"what": what})], [])))
    assert run.status == "failed"
    assert run.task("returns").error.startswith("result_invalid: ")


def test_a_tuple_is_kept_as_a_list(driver: Driver) -> None:
    run = work(driver.start(document([node("returns", "returns", params={"what": "tuple"})], [])))
    assert run.task("returns").result == [1, 2]
