"""Steps of kind delay and map in a durable run: waiting holds no worker, and nothing is lost over it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from engine.runs import api
from engine.runs.models import Attempt, Timer

from .driver import Driver, document, fire_timers, task

DELAYED = document([task("a"), {"id": "wait", "kind": "delay", "seconds": 3600}, task("b")], ["a>wait", "wait>b"])
MAPPED = document(
    [{"id": "all", "kind": "map", "uses": "test.echo", "items": {"$": "inputs.items"}}, task("after")],
    ["all>after"],
    inputs={"type": "object", "properties": {"items": {"type": "array"}}},
)


def test_a_delay_waits_in_the_database(driver: Driver) -> None:
    run = driver.start(DELAYED)
    run.work("a", value="kept")
    assert (run.task("wait").status, run.open(), fire_timers()) == ("running", [], 0)
    Timer.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert (fire_timers(), fire_timers()) == (1, 0)
    assert (run.task("wait").result, run.task("b").status) == ("kept", "ready")
    run.work("b")
    assert run.status == "succeeded"


def test_stopping_ends_a_delay_at_once(driver: Driver) -> None:
    run = driver.start(DELAYED)
    run.work("a")
    api.stop_run(driver.boss, run.id)
    assert (run.status, run.task("wait").outcome) == ("stopped", "cancelled")
    assert not Timer.objects.filter(fired_at=None).exists()


def test_a_map_makes_one_task_per_item_and_gathers_their_results(driver: Driver) -> None:
    run = driver.start(MAPPED, items=["x", "y"])
    made = [attempt.key for attempt in run.open()]
    assert len(made) == 2
    run.work(made[1], value=2)
    assert run.task("after").status == "blocked"
    run.work(made[0], value=1)
    assert (run.task("all").result, run.task("after").status) == ([1, 2], "ready")
    run.work("after")
    assert run.status == "succeeded"


def test_an_empty_map_goes_on_with_an_empty_list(driver: Driver) -> None:
    run = driver.start(MAPPED, items=[])
    assert (run.task("all").result, [a.key for a in Attempt.objects.all()]) == ([], ["after"])
    api.stop_run(driver.boss, run.id)


def test_what_a_map_made_says_which_item_it_is_for(driver: Driver) -> None:
    run = driver.start(MAPPED, items=["x", "y", "z"])
    shown = {task.id: task.item for task in api.get_run(driver.boss, run.id).tasks}
    assert (shown.pop("all"), shown.pop("after"), sorted(shown.values())) == (None, None, [1, 2, 3])
    for key in [attempt.key for attempt in run.open()]:
        assert api.task_detail(driver.boss, run.id, key).item == shown[key]
        run.work(key, value=shown[key])
    assert run.task("all").result == [1, 2, 3]


def test_a_map_fails_with_an_item_unless_its_failure_is_ignored(driver: Driver) -> None:
    run = driver.start(MAPPED, items=["x", "y"])
    one, two = [attempt.key for attempt in run.open()]
    run.fail(one, retryable=False)
    run.work(two)
    assert (run.status, run.task("all").outcome, run.task("all").error) == ("failed", "error", f"{one}: boom")
    body = document([{**MAPPED["tasks"][0], "on_error": "ignore"}, task("after")], ["all>after"])
    run = driver.start({**body, "inputs": MAPPED["inputs"]}, items=["x", "y"])
    one, two = [attempt.key for attempt in run.open()]
    run.fail(one, retryable=False)
    run.work(two, "after")
    assert (run.status, run.task("all").outcome, run.task("all").result) == ("succeeded", "error", None)
