"""Workflows that start by the clock: once per time, whoever looks, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from engine.access.models import AuditEntry
from engine.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.runs import admission, api, cron, schedules
from engine.runs.models import Run as RunRow
from engine.runs.models import WorkflowSchedule
from tests.access.people import person

from .driver import Driver, Run, at_once, document, task

ONE = document([task("a")], [])
BERLIN = "Europe/Berlin"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.fixture
def workflow(driver: Driver) -> str:
    return driver.publish(ONE)


def scheduled(driver: Driver, workflow: str, **more: Any) -> WorkflowSchedule:
    made = api.create_schedule(driver.boss, workflow, **{"cron": "0 7 * * *", **more})
    return WorkflowSchedule.objects.get(public_id=made.id)


def comes_due(row: WorkflowSchedule, ago: timedelta = timedelta(seconds=5)) -> None:
    WorkflowSchedule.objects.filter(pk=row.pk).update(next_at=timezone.now() - ago)


def fire() -> int:
    """What the engine process does about schedules."""
    return sum(schedules.fire(pk) for pk in schedules.due())


def test_a_schedule_starts_a_run_at_its_time_in_its_makers_name(driver: Driver, workflow: str) -> None:
    row = scheduled(driver, workflow, inputs={"n": 1})
    assert fire() == 0
    comes_due(row)
    assert fire() == 1
    assert fire() == 0
    run = RunRow.objects.get()
    row.refresh_from_db()
    assert (run.started_by, run.inputs, row.last_run, row.problem) == (driver.boss, {"n": 1}, run, "")
    assert (run.business_key or "").startswith(f"schedule:{row.public_id}:")
    assert row.next_at is not None
    assert row.next_at > timezone.now()
    assert AuditEntry.objects.filter(action="run.start", via="schedule").exists()
    Run(driver.boss, str(run.public_id)).work("a")


def test_of_many_engines_one_starts_the_run(driver: Driver, workflow: str) -> None:
    row = scheduled(driver, workflow)
    comes_due(row)
    fired = at_once(8, lambda _: schedules.fire(row.pk))
    assert sorted(fired) == [0] * 7 + [1], fired
    assert RunRow.objects.count() == 1


def test_the_same_time_never_starts_twice_even_without_the_guard(driver: Driver, workflow: str) -> None:
    row = scheduled(driver, workflow, cron="* * * * *")
    time = timezone.now() - timedelta(seconds=30)
    for _ in range(2):
        WorkflowSchedule.objects.filter(pk=row.pk).update(next_at=time)
        row.refresh_from_db()
        schedules._start(row, time)
    assert RunRow.objects.count() == 1


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("once", 1)])
def test_times_slept_through_follow_the_policy(driver: Driver, workflow: str, missed: str, runs: int) -> None:
    far = timezone.now() + timedelta(hours=5)
    row = scheduled(driver, workflow, cron=f"0 {far.hour} * * *", missed=missed)
    comes_due(row, timedelta(days=3))
    assert fire() == 1
    assert fire() == 0
    assert RunRow.objects.count() == runs
    row.refresh_from_db()
    assert row.next_at is not None
    assert row.next_at > timezone.now()


def test_after_a_sleep_a_time_that_has_just_come_is_not_missed(driver: Driver, workflow: str) -> None:
    comes_due(scheduled(driver, workflow, cron="* * * * *", missed="skip"), timedelta(days=3))
    fire()
    assert RunRow.objects.count() == 1


def test_what_refuses_the_start_is_kept_where_people_look(driver: Driver, workflow: str) -> None:
    maker = person("maker", "operator")
    row = WorkflowSchedule.objects.get(public_id=api.create_schedule(maker, workflow, cron="0 7 * * *").id)
    maker.groups.remove(Group.objects.get(name="operator"))
    comes_due(row)
    assert fire() == 1
    row.refresh_from_db()
    assert "run.start" in row.problem
    assert not RunRow.objects.exists()
    maker.delete()
    comes_due(row)
    fire()
    row.refresh_from_db()
    assert "is gone" in row.problem


def test_a_full_engine_makes_a_schedule_wait_and_not_fail(driver: Driver, workflow: str, settings: Any) -> None:
    row = scheduled(driver, workflow)
    comes_due(row)
    run = Run(driver.boss, api.start_run(driver.boss, workflow=workflow).id)
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 1
    admission.forget()
    assert fire() == 0
    run.work("a")
    assert fire() == 1
    row.refresh_from_db()
    assert row.problem == ""


def test_a_schedule_that_is_off_or_archived_starts_nothing(driver: Driver, workflow: str) -> None:
    row = scheduled(driver, workflow)
    shown = api.change_schedule(driver.boss, workflow, str(row.public_id), enabled=False)
    assert shown.next_at is None
    comes_due(row)
    assert fire() == 0
    api.change_schedule(driver.boss, workflow, str(row.public_id), enabled=True)
    api.archive_workflow(driver.boss, workflow)
    comes_due(row)
    assert fire() == 0


def test_a_changed_schedule_is_planned_anew(driver: Driver, workflow: str) -> None:
    row = scheduled(driver, workflow)
    shown = api.change_schedule(driver.boss, workflow, str(row.public_id), cron="30 9 * * *", zone="Asia/Tokyo")
    assert shown.next_at is not None
    assert (shown.next_at.hour, shown.next_at.minute) == (0, 30)
    assert [time - shown.upcoming[0] for time in shown.upcoming] == [timedelta(days=days) for days in range(5)]
    api.delete_schedule(driver.boss, workflow, str(row.public_id))
    with pytest.raises(NotFound):
        api.get_schedule(driver.boss, workflow, str(row.public_id))
    actions = list(AuditEntry.objects.filter(obj_type="schedule").order_by("id").values_list("action", flat=True))
    assert actions == ["schedule.create", "schedule.change", "schedule.delete"]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"cron": "61 * * * *"}, "61"),
        ({"cron": "* * *"}, "five|5 fields"),
        ({"cron": "* * * * * *"}, "5 fields"),
        ({"cron": "0 0 30 2 *"}, "30 2"),
        ({"zone": "Berlin"}, "'Berlin'.*Europe/Berlin"),
        ({"zone": "../../etc/passwd"}, "no time zone"),
        ({"missed": "twice"}, "skip, once"),
        ({"inputs": {"n": float("nan")}}, "nan"),
    ],
)
def test_what_is_no_schedule_is_refused_by_name(driver: Driver, workflow: str, given: Any, value: str) -> None:
    with pytest.raises(InvalidInput, match=value):
        scheduled(driver, workflow, **given)


def test_only_operators_and_admins_keep_schedules(driver: Driver, workflow: str) -> None:
    with pytest.raises(Forbidden):
        api.create_schedule(person("dora", "designer", "reviewer"), workflow, cron="0 7 * * *")
    api.create_schedule(person("otto", "operator"), workflow, cron="0 7 * * *")
    assert len(api.list_schedules(person("vera", "viewer"), workflow)) == 1


def test_a_workflow_without_a_version_has_no_schedule(driver: Driver) -> None:
    draft = api.create_workflow(driver.boss, name="Draft", document=ONE)
    with pytest.raises(Conflict, match="no published version"):
        api.create_schedule(driver.boss, draft.id, cron="0 7 * * *")


# -- changes of the clock: Berlin skips 02:00 to 03:00 on 29 March 2026 and repeats it on 25 October ------------------


def test_a_time_of_day_keeps_its_hour_when_the_clock_changes() -> None:
    assert cron.upcoming("30 7 * * *", BERLIN, utc(2026, 3, 27, 12), 2) == [
        utc(2026, 3, 28, 6, 30),
        utc(2026, 3, 29, 5, 30),
    ]


def test_a_time_that_the_clock_skips_comes_once_right_after_it() -> None:
    assert cron.upcoming("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), 2) == [
        utc(2026, 3, 29, 1),
        utc(2026, 3, 30, 0, 30),
    ]


def test_a_time_that_comes_twice_counts_once() -> None:
    times = cron.upcoming("30 2 * * *", BERLIN, utc(2026, 10, 24, 12), 2)
    assert times == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]
    assert cron.next_after("30 2 * * *", BERLIN, times[0]) == times[1]
    assert cron.next_after("30 2 * * *", BERLIN, utc(2026, 10, 25, 1, 10)) == times[1]


def test_every_half_hour_follows_real_time_through_both_changes() -> None:
    for start in (utc(2026, 10, 24, 22), utc(2026, 3, 28, 22)):
        times = cron.upcoming("*/30 * * * *", BERLIN, start, 12)
        assert times == [start + timedelta(minutes=30 * n) for n in range(1, 13)]


def test_the_newest_time_up_to_now_is_found_without_walking() -> None:
    planned = utc(2020, 1, 1)
    assert cron.latest("* * * * *", "UTC", planned, utc(2026, 6, 1, 12, 0, 30)) == utc(2026, 6, 1, 12)
    assert cron.latest("* * * * *", "UTC", planned, utc(2026, 6, 1, 12)) == utc(2026, 6, 1, 12)
    assert cron.latest("0 0 1 1 *", "UTC", utc(2026, 1, 1), utc(2026, 6, 1)) == utc(2026, 1, 1)
