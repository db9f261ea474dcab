"""The time a whole run may take."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from engine.core.errors import DefinitionError, InvalidInput
from engine.runs import api, children, leases
from engine.runs.models import Attempt, Timer
from engine.runs.models import Run as RunRow

from .driver import WORKER, Driver, Run, document, fire_timers, task

ASK = document([task("a"), {"id": "ask", "kind": "approval"}, task("z")], ["a>z", "ask>z"])


def within(seconds: float) -> dict[str, object]:
    return {**ASK, "defaults": {"deadline": seconds}}


def time_is_up() -> None:
    Timer.objects.filter(kind=Timer.DEADLINE).update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_run_that_takes_too_long_fails_and_closes_what_is_open(driver: Driver) -> None:
    run = driver.start(within(60))
    assert fire_timers() == 0
    time_is_up()
    assert fire_timers() == 1
    assert (run.status, run.row.reason) == ("failed", "deadline")
    assert api.list_feedback(driver.boss, run=run.id, state="open").results == []
    assert run.open() == []


def test_a_running_body_is_cancelled_at_the_deadline(driver: Driver) -> None:
    run = driver.start(within(60))
    claim = run.claim("a")
    time_is_up()
    fire_timers()
    assert Attempt.objects.get(pk=claim.attempt_id).cancel_requested_at is not None
    assert run.task("z").status == "completed"
    leases.killed(claim.attempt_id, WORKER, why="the run was ended")
    assert (run.status, run.row.reason) == ("failed", "deadline")


def test_a_start_may_name_its_own_deadline(driver: Driver) -> None:
    workflow = driver.publish(within(60))
    started = api.start_run(driver.boss, workflow=workflow, deadline=3600)
    assert started.deadline_at is not None
    assert (started.deadline_at - started.created_at) == timedelta(hours=1)
    again = api.start_run(driver.boss, workflow=workflow)
    assert again.deadline_at is not None
    assert (again.deadline_at - again.created_at) == timedelta(minutes=1)


def test_a_run_that_ends_in_time_takes_its_deadline_along(driver: Driver) -> None:
    run = driver.start(within(60))
    run.answer("approve")
    run.work("a", "z")
    time_is_up()
    assert fire_timers() == 0
    assert run.status == "succeeded"


def test_a_paused_run_fails_at_its_deadline_too(driver: Driver) -> None:
    run = driver.start(within(60))
    api.pause_run(driver.boss, run.id)
    time_is_up()
    fire_timers()
    assert (run.status, run.row.reason) == ("failed", "deadline")


def test_another_try_gets_as_much_time_as_the_first(driver: Driver) -> None:
    run = driver.start(within(60))
    time_is_up()
    fire_timers()
    fresh = Run(driver.boss, api.retry_run(driver.boss, run.id).id)
    assert fresh.row.deadline_at == fresh.row.created_at + timedelta(minutes=1)


@pytest.mark.parametrize("seconds", [0, -1, 1e12])
def test_a_deadline_that_makes_no_sense_is_refused(driver: Driver, seconds: float) -> None:
    with pytest.raises(InvalidInput, match="deadline="):
        api.start_run(driver.boss, workflow=driver.publish(ASK), deadline=seconds)
    with pytest.raises(DefinitionError, match="seconds above 0"):
        driver.publish(within(seconds))


def test_a_child_run_has_the_deadline_of_its_own_workflow(driver: Driver) -> None:
    driver.publish({**within(60), "name": "Inner"})
    outer = driver.start(document([{"id": "call", "kind": "workflow", "workflow": "inner"}], []))
    for pk in children.to_follow():
        children.follow(pk)
    child = RunRow.objects.get(parent=outer.row)
    assert child.deadline_at == child.created_at + timedelta(minutes=1)
    time_is_up()
    fire_timers()
    child.refresh_from_db()
    assert (child.status, child.reason) == ("failed", "deadline")
    assert outer.status == "failed"
