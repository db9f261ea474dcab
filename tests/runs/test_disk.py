"""A disk that is nearly full: health is red, nothing new starts, what has started goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from engine.core.errors import OutOfSpace
from engine.runs import api, disk, schedules
from engine.runs.models import Run as RunRow
from engine.runs.models import WorkflowSchedule

from .driver import Driver, Run, document, task

ONE = document([task("a")], [])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[[float], None]:
    """`free(7)`: seven per cent of the disk are free."""
    settings.GRAFLOW_DISK_WARN_PERCENT, settings.GRAFLOW_DISK_REFUSE_PERCENT = 10, 5
    return lambda percent: monkeypatch.setattr(disk, "free_share", lambda _: percent / 100)


@pytest.mark.parametrize(("percent", "green"), [(100, True), (10, True), (9.9, False), (5, False), (4.9, False)])
def test_health_turns_red_below_the_first_limit(free: Callable[[float], None], percent: float, green: bool) -> None:
    free(percent)
    enough, words = disk.health()
    assert enough is green
    assert f"{percent:.1f} % free" in words


def test_below_the_second_limit_no_run_starts_until_there_is_room(
    driver: Driver, free: Callable[[float], None]
) -> None:
    workflow = driver.publish(ONE)
    free(4.9)
    with pytest.raises(OutOfSpace, match=r"4\.9 % free.*GRAFLOW_DISK_REFUSE_PERCENT") as refused:
        api.start_run(driver.boss, workflow=workflow)
    assert (refused.value.status, refused.value.code) == (503, "disk_full")
    assert refused.value.details["retry_after"] > 0
    assert not RunRow.objects.exists()
    free(5)
    api.start_run(driver.boss, workflow=workflow)


def test_what_has_started_goes_on_and_can_be_repeated_later(driver: Driver, free: Callable[[float], None]) -> None:
    run = driver.start(document([task("a"), task("b")], ["a>b"], defaults={"max_retries": 0}))
    free(1)
    run.work("a")
    run.fail("b", retryable=False)
    assert run.status == "failed"
    with pytest.raises(OutOfSpace):
        api.retry_run(driver.boss, run.id)
    free(50)
    Run(driver.boss, api.retry_run(driver.boss, run.id).id).work("b")


def test_a_schedule_waits_for_room_and_does_not_fail(driver: Driver, free: Callable[[float], None]) -> None:
    made = api.create_schedule(driver.boss, driver.publish(ONE), cron="0 7 * * *")
    row = WorkflowSchedule.objects.get(public_id=made.id)
    WorkflowSchedule.objects.filter(pk=row.pk).update(next_at=timezone.now() - timedelta(seconds=5))
    free(1)
    assert [schedules.fire(pk) for pk in schedules.due()] == [0]
    free(50)
    assert [schedules.fire(pk) for pk in schedules.due()] == [1]
    row.refresh_from_db()
    assert row.problem == ""


def test_a_known_business_key_is_answered_by_a_full_disk(driver: Driver, free: Callable[[float], None]) -> None:
    workflow = driver.publish(ONE)
    first = api.start_run(driver.boss, workflow=workflow, business_key="x")
    free(1)
    assert api.start_run(driver.boss, workflow=workflow, business_key="x").id == first.id


def test_the_fullest_of_the_watched_disks_counts(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.GRAFLOW_DISK_FOLDERS = ["here", "there", "gone"]

    def share(folder: Any) -> float:
        if folder == "gone":
            raise FileNotFoundError(folder)
        return {"here": 0.5, "there": 0.25}[folder]

    monkeypatch.setattr(disk, "free_share", share)
    assert disk.free_percent() == 25


def test_the_data_folder_is_watched(settings: Any) -> None:
    assert settings.DATA_DIR in settings.GRAFLOW_DISK_FOLDERS
    assert 0 < (disk.free_percent() or 0) <= 100
