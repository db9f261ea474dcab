"""Who may start one more run: business keys, and the limits of the engine."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from engine.core.errors import InvalidInput, LimitExceeded
from engine.runs import admission, api
from engine.runs.models import Run as RunRow

from .driver import Driver, Run, at_once, document, task
from .history import add_history, plan

ONE = document([task("a")], [])


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    admission.forget()


def test_a_business_key_starts_one_run(driver: Driver) -> None:
    workflow = driver.publish(ONE)
    first = api.start_run(driver.boss, workflow=workflow, business_key="order-1", inputs={"n": 1})
    again = api.start_run(driver.boss, workflow=workflow, business_key="order-1", inputs={"n": 2})
    other = api.start_run(driver.boss, workflow=workflow, business_key="order-2")
    assert again.id == first.id != other.id
    assert again.inputs == {"n": 1}
    assert first.business_key == "order-1"


def test_a_business_key_is_the_workflows_own(driver: Driver) -> None:
    workflows = [driver.publish({**ONE, "name": name}) for name in ("One", "Two")]
    started = {api.start_run(driver.boss, workflow=workflow, business_key="x").id for workflow in workflows}
    assert len(started) == 2


def test_of_many_starts_at_once_with_one_business_key_one_makes_a_run(driver: Driver) -> None:
    workflow = driver.publish(ONE)
    runs = at_once(8, lambda _: api.start_run(driver.boss, workflow=workflow, business_key="order-1").id)
    assert len(set(runs)) == RunRow.objects.count() == 1, runs


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_business_key_has_a_length(driver: Driver, key: str) -> None:
    with pytest.raises(InvalidInput, match="business_key"):
        api.start_run(driver.boss, workflow=driver.publish(ONE), business_key=key)


def test_a_full_engine_refuses_further_starts_until_a_run_ends(driver: Driver, settings: Any) -> None:
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 2
    workflow = driver.publish(ONE)
    first = Run(driver.boss, api.start_run(driver.boss, workflow=workflow).id)
    api.start_run(driver.boss, workflow=workflow)
    with pytest.raises(LimitExceeded, match="GRAFLOW_MAX_ACTIVE_RUNS") as refused:
        api.start_run(driver.boss, workflow=workflow)
    assert refused.value.details["retry_after"] > 0
    assert RunRow.objects.count() == 2
    first.work("a")
    api.start_run(driver.boss, workflow=workflow)


def test_runs_that_wait_for_people_take_nobodys_place(driver: Driver, settings: Any) -> None:
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 1
    asking = driver.publish(document([{"id": "ask", "kind": "approval", "data": 1}], []))
    for _ in range(3):
        assert api.start_run(driver.boss, workflow=asking).status == "waiting"


def test_open_attempts_have_a_limit_too(driver: Driver, settings: Any) -> None:
    settings.GRAFLOW_MAX_OPEN_ATTEMPTS = 2
    workflow = driver.publish(document([task("a"), task("b")], []))
    first = Run(driver.boss, api.start_run(driver.boss, workflow=workflow).id)
    with pytest.raises(LimitExceeded, match="GRAFLOW_MAX_OPEN_ATTEMPTS"):
        api.start_run(driver.boss, workflow=workflow)
    first.work("a")
    api.start_run(driver.boss, workflow=workflow)


def test_a_known_business_key_is_answered_by_a_full_engine(driver: Driver, settings: Any) -> None:
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 1
    workflow = driver.publish(ONE)
    first = api.start_run(driver.boss, workflow=workflow, business_key="x")
    assert api.start_run(driver.boss, workflow=workflow, business_key="x").id == first.id


def test_far_from_the_limit_a_count_serves_many_starts(driver: Driver) -> None:
    admission.admit()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        for _ in range(100):
            admission.admit()
    assert len(asked) == 0


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_counting_reads_the_indexes_of_what_is_open(driver: Driver) -> None:
    with CaptureQueriesContext(connection) as asked:
        admission.admit()
    Run(driver.boss, api.start_run(driver.boss, workflow=driver.publish(ONE)).id).work("a")
    with transaction.atomic():  # with history, and not with what earlier tests have left behind
        add_history(runs=2_000, each=5)
        plans = [plan(query["sql"]) for query in asked]
        transaction.set_rollback(True)
    assert len(plans) == 3
    assert not [found for found in plans if "Seq Scan" in found]
