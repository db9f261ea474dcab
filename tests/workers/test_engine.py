"""The engine process against a real Redis: what it publishes, and what it notices."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from engine.runs import hooks, leases
from engine.runs.models import Attempt, SchedulerBeat
from engine.runs.models import Run as RunRow
from engine.workers.engine import EPOCH_KEY, Engine
from engine.workers.jobs import run_attempt
from engine.workers.publisher import Publisher
from engine.workers.wire import celery_queue, wire
from tests.runs.driver import Driver, Run, document, reap

from . import bodies  # noqa: F401  registers the functions

GREET = document([{"id": "greet", "uses": "body.greet"}], [])


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client: Redis = Redis.from_url(redis_url)
    client.delete(EPOCH_KEY, celery_queue("default"))
    yield client
    client.delete(EPOCH_KEY, celery_queue("default"))
    client.close()


def jobs(redis: Redis) -> list[dict[str, Any]]:
    """The arguments of every job that waits, newest first."""
    waiting: Any = redis.lrange(celery_queue("default"), 0, -1)
    return [json.loads(b64decode(json.loads(message)["body"]))[1] for message in waiting]


def due(run: Run) -> Attempt:
    """The run's one attempt, whose time with its maker is over."""
    Attempt.objects.update(publish_after=timezone.now())
    return run.open()[0]


def test_the_wire_carries_an_id_and_a_nonce_and_nothing_else(driver: Driver, redis: Redis) -> None:
    run = driver.start(GREET, name="a secret")
    attempt = due(run)
    Engine().round()
    assert jobs(redis) == [{"v": 1, "a": attempt.pk, "n": attempt.nonce}]
    assert not any(b"secret" in (redis.dump(key) or b"") for key in redis.keys("*"))
    run_attempt(**jobs(redis)[0])
    assert run.status == "succeeded"


@pytest.mark.parametrize(
    "job", [{}, {"v": 2, "a": 1, "n": "x"}, {"v": 1, "a": "1", "n": "x"}, {"v": 1, "a": 10**9, "n": "x"}]
)
def test_malformed_and_forged_jobs_do_nothing(driver: Driver, job: dict[str, Any]) -> None:
    run = driver.start(GREET)
    run_attempt(**job)
    assert run.task("greet").status == "ready"
    run.work("greet")


@pytest.mark.parametrize("by", ["engine", "worker"])
def test_work_lost_with_its_worker_goes_before_all_that_waits(
    driver: Driver, redis: Redis, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    lost = driver.start(GREET, name="first")
    claim = lost.claim("greet", "gone")
    others = [driver.start(GREET, name="other") for _ in range(2)]
    Attempt.objects.update(publish_after=timezone.now())
    Engine().round()
    if by == "worker":  # the process that records the loss publishes the next attempt itself
        publisher = Publisher()
        monkeypatch.setattr(hooks, "dispatch", publisher.dispatch)
        assert leases.lost(claim.attempt_id, worker="gone")
        assert publisher.flush(10)
    else:
        assert leases.lost(claim.attempt_id, worker="gone")
        Attempt.objects.update(publish_after=timezone.now())
        Engine().round()
    with wire.connection_for_read() as connection:  # as a worker reads
        got = [connection.default_channel.basic_get(celery_queue("default"), no_ack=True) for _ in range(3)]
    first, *rest = [json.loads(message.body)[1]["a"] for message in got]
    assert first == lost.open()[0].pk
    assert rest == [run.open()[0].pk for run in others]
    assert redis.llen(celery_queue("default")) == 0
    for run in (lost, *others):
        run.work("greet")


def test_a_wiped_redis_gets_everything_again(driver: Driver, redis: Redis) -> None:
    engine = Engine()
    run = driver.start(GREET)
    due(run)
    engine.round()
    assert len(jobs(redis)) == 1
    redis.delete(EPOCH_KEY, celery_queue("default"))
    engine._next_watch = 0.0
    engine.round()
    engine.round()
    assert len(jobs(redis)) == 1
    run.work("greet")


def test_a_redis_that_is_down_costs_nothing_but_time(driver: Driver, redis: Redis, settings: Any) -> None:
    engine = Engine()
    engine._redis = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    run = driver.start(GREET)
    engine.round()
    run.work("greet")
    assert run.status == "succeeded"


def test_a_round_reaps_rings_and_beats(driver: Driver, redis: Redis) -> None:
    run = driver.start(GREET)
    run.claim("greet")
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    engine = Engine()
    assert engine.round()
    assert run.task("greet").status == "ready"
    assert SchedulerBeat.objects.get().boot_id == engine.boot_id
    run.work("greet")


def test_an_idle_engine_asks_little(driver: Driver, redis: Redis, django_assert_max_num_queries: Any) -> None:
    engine = Engine()
    engine.round()
    with django_assert_max_num_queries(5):
        engine.round()
    assert reap() == 0


def test_the_engine_trims_what_was_kept_long_enough(driver: Driver, redis: Redis, settings: Any, tmp_path: Any) -> None:
    settings.GRAFLOW_ARCHIVE_DIR = tmp_path
    run = driver.start(GREET)
    run.work("greet")
    RunRow.objects.update(ended_at=timezone.now() - timedelta(days=31))
    engine = Engine()
    assert engine.round()
    assert run.row.min_seq == run.row.seq + 1
    engine.round()
    assert engine._next_retention > 0
