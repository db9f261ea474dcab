"""A worker that hears nothing although work waits for it ends itself; every other silence is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from engine.runs.models import Attempt
from engine.workers.watchdog import BODIES_SECONDS, LYING_SECONDS, SILENT_SECONDS, Watchdog
from engine.workers.wire import celery_queue
from tests.runs.driver import Driver, document, task


class Worker:
    def __init__(self) -> None:
        self.now, self.codes, self.left = 0.0, [], 0  # type: ignore[var-annotated]
        self.dog = Watchdog(2, ["default"], give_up=self._leave, end=self.codes.append, steady=lambda: self.now)

    def _leave(self) -> None:
        self.left += 1

    def silent_for(self, seconds: float, busy: int = 0) -> list[int]:
        for _ in range(int(seconds // 5)):
            self.now += 5
            self.dog.check(busy)
            if self.codes:
                break
        return self.codes


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client: Redis = Redis.from_url(redis_url)
    client.delete(celery_queue("default"))
    yield client
    client.delete(celery_queue("default"))
    client.close()


@pytest.fixture
def work_waits(driver: Driver, redis: Redis) -> Iterator[None]:
    """A published attempt whose message lies in the queue."""
    run = driver.start(document([task("a")], []))
    Attempt.objects.update(published_at=timezone.now() - timedelta(seconds=300))
    redis.lpush(celery_queue("default"), "a message")
    yield
    run.work("a")


def test_a_silent_worker_with_work_waiting_ends_with_a_code(work_waits: None) -> None:
    worker = Worker()
    assert worker.silent_for(SILENT_SECONDS) == []
    assert worker.silent_for(LYING_SECONDS + 10) == [1]
    assert worker.left == 1


def test_a_worker_that_gets_jobs_is_not_silent(work_waits: None) -> None:
    worker = Worker()
    for _ in range(10):
        assert worker.silent_for(SILENT_SECONDS - 5) == []
        worker.dog.heard()


def test_a_job_that_has_just_come_is_no_reason(work_waits: None, redis: Redis) -> None:
    waiting: Any = redis.lpop(celery_queue("default"))
    worker = Worker()
    assert worker.silent_for(10 * SILENT_SECONDS) == []
    redis.lpush(celery_queue("default"), waiting)
    assert worker.silent_for(LYING_SECONDS - 5) == []


def test_a_worker_without_a_free_slot_is_not_silent(work_waits: None) -> None:
    assert Worker().silent_for(10 * BODIES_SECONDS, busy=2) == []


def test_bodies_that_still_run_are_waited_for_and_then_handed_back(work_waits: None) -> None:
    worker = Worker()
    assert worker.silent_for(BODIES_SECONDS - 10, busy=1) == []
    assert worker.silent_for(60, busy=1) == [1]


def test_without_work_or_broker_silence_is_no_wonder(driver: Driver, redis: Redis, settings: Any) -> None:
    redis.lpush(celery_queue("default"), "somebody else's")
    assert Worker().silent_for(10 * SILENT_SECONDS) == []
    run = driver.start(document([task("a")], []))
    Attempt.objects.update(published_at=timezone.now())
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert Worker().silent_for(10 * SILENT_SECONDS) == []
    run.work("a")
