"""The monitor's figures: the same whether runs are counted, trimmed or still under way, at a cost that history does not raise."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from engine.runs import api, retention, tally
from engine.runs.models import Run as RunRow
from engine.runs.models import WorkflowDefinition, WorkflowTotal
from tests.access.people import person

from .driver import Driver, Run, document, task
from .history import add_history, plan

TWO = document([task("a"), task("b")], ["a>b"], defaults={"max_retries": 0})


def started(driver: Driver, name: str) -> Run:
    return driver.start({**TWO, "name": name})


@pytest.fixture
def busy(driver: Driver) -> Run:
    """Two workflows: one run that worked, one that failed, and, given back, one under way."""
    started(driver, "One").work("a", "b")
    other = started(driver, "Two")
    other.work("a")
    other.fail("b", retryable=False)
    run = started(driver, "Three")
    run.work("a")
    return run


def figures(driver: Driver) -> dict[str, Any]:
    """As people see them: to the microsecond."""
    found = {name: value for name, value in api.metrics(driver.boss).items() if name not in ("disk", "uptime")}
    for row in (found, *found["by_workflow"].values()):
        row["average_execution_time"] = round(row["average_execution_time"], 6)
    return found


def test_counting_and_trimming_change_no_figure(driver: Driver, busy: Run, settings: Any, tmp_path: Path) -> None:
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path
    before = figures(driver)
    assert (before["tasks_executed"], before["tasks_failed"]) == (4, 1)
    assert before["average_execution_time"] > 0
    assert {slug: (row["tasks_executed"], row["tasks_failed"]) for slug, row in before["by_workflow"].items()} == {
        "one": (2, 0), "two": (1, 1), "three": (1, 0),
    }  # fmt: skip
    assert (before["runs"], before["queue_depth"]) == ({"failed": 1, "running": 1, "succeeded": 1}, 1)
    assert tally.count(tally.due()) == 2
    assert figures(driver) == before
    for pk in RunRow.objects.exclude(status="running").values_list("pk", flat=True):
        assert retention.trim(pk) > 0
    assert figures(driver) == before
    busy.work("b")
    assert figures(driver)["tasks_executed"] == 5


def test_what_a_person_may_not_see_is_not_counted_for_them(driver: Driver, busy: Run) -> None:
    WorkflowDefinition.objects.get(slug="two").allowed_groups.add(Group.objects.create(name="inner"))
    tally.count(tally.due())
    for actor, worked in (
        (driver.boss, 3),
        (person("outer", "operator"), 3),
        (person("in", "operator", groups=["inner"]), 4),
    ):
        found = api.metrics(actor)
        assert (found["tasks_executed"], "two" in found["by_workflow"]) == (worked, worked == 4)
        assert found["runs"].get("failed", 0) == worked - 3


def test_what_was_counted_before_workflows_had_totals_is_filled_in(driver: Driver, busy: Run) -> None:
    tally.count(tally.due())
    rows = WorkflowTotal.objects.order_by("definition", "name", "label").values_list(
        "definition", "name", "label", "value"
    )
    counted = list(rows)
    fill = import_module("engine.runs.migrations.0018_fill_workflow_total")
    fill.clear(apps, None)
    assert not rows.all()
    fill.fill(apps, None)
    assert [row[:3] for row in rows.all()] == [row[:3] for row in counted]
    assert [row[3] for row in rows.all()] == pytest.approx([row[3] for row in counted])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_the_figures_read_no_history(driver: Driver, busy: Run) -> None:
    tally.count(tally.due())
    with CaptureQueriesContext(connection) as asked:
        figures(driver)
    with transaction.atomic():
        add_history(runs=5_000, each=10)
        plans = [plan(query["sql"]) for query in asked if query["sql"].startswith("SELECT")]
        transaction.set_rollback(True)
    assert any("engine_attempt" in found for found in plans)
    scans = [found for found in plans if "Seq Scan on engine_run " in found or "Seq Scan on engine_attempt" in found]
    assert not scans, "\n\n".join(scans)
