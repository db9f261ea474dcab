"""F05 F06 F08 F09 F13 F14: the broker restarts, forgets, repeats and loses; the database dies and throws everybody out."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from redis.exceptions import RedisError

from engine.runs.sweeps import RESEND_SECONDS

from .harness import Product, Row

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(1200)]

QUEUE = "celery"
UNCLAIMED = "SELECT count(*) FROM engine_attempt WHERE state = 'dispatched'"
IN_HAND = "SELECT count(*) FROM engine_attempt WHERE state = 'claimed'"
REFUSAL_SECONDS = 2.0  # one on a machine with more than two cores


def until_work_goes_on(product: Product, row: Row) -> None:
    """How long no body begins after the fault."""
    at, before = time.time(), len(product.lines())
    product.stack.wait_for(lambda: _begun(product, before, at), "a body that begins after the fault", 150)
    row.recoveries.append(_begun(product, before, at) - at)


def _begun(product: Product, before: int, at: float) -> float:
    return next((line.at for line in product.lines()[before:] if line.what == "begin" and line.at > at + 0.5), 0.0)


def redis_ends(product: Product, row: Row, end: Callable[[], object]) -> None:
    """Three times under load; every time work has to go on."""
    with product.load(row) as load:

        def once() -> None:
            row.hits += product.number(UNCLAIMED)
            end()
            row.injected += 1
            if not load.is_done:
                until_work_goes_on(product, row)

        load.every(8.0, once, at_most=3)
    row.outage = sum(row.recoveries)
    assert row.hits
    product.check(row)


def test_f05_redis_is_restarted(product: Product) -> None:
    redis_ends(product, Row("F05 Redis restart"), lambda: product.stack.kill("redis", signal.SIGTERM))


def test_f08_postgresql_dies_and_comes_back(product: Product) -> None:
    """In immediate mode, so that it has its log to go through. Pages say 503 meanwhile, and say it soon."""
    row, refusals = Row("F08 PostgreSQL restart, immediate"), list[float]()
    with product.load(row) as load:

        def restart() -> None:
            row.hits += product.number(IN_HAND)
            product.stack.kill("postgres", signal.SIGQUIT)
            row.injected += 1
            refusals.extend(refused_until_it_is_back(product))
            if not load.is_done:
                until_work_goes_on(product, row)

        load.every(8.0, restart, at_most=3)
    row.outage = sum(row.recoveries)
    row.notes.append(f"{len(refusals)} requests refused, the slowest in {max(refusals, default=0.0):.2f} s")
    assert row.hits
    assert refusals
    assert max(refusals) <= REFUSAL_SECONDS, row
    product.check(row)


def refused_until_it_is_back(product: Product) -> list[float]:
    """Ask for a page again and again: how long each refusal took."""
    took: list[float] = []
    until = time.monotonic() + 60
    while time.monotonic() < until:
        began = time.monotonic()
        answer = product.ask_once("GET", "runs/?limit=1")
        if answer.status == 503:
            took.append(time.monotonic() - began)
        elif took and answer.status == 200:
            return took
        else:
            assert answer.status == 200, answer
        time.sleep(0.02)
    raise AssertionError(f"{len(took)} refusals, and no end")


def test_f09_all_database_sessions_are_ended(product: Product) -> None:
    row = Row("F09 pg_terminate_backend")
    ended = (
        "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS ended"
    )
    with product.load(row) as load:

        def end_sessions() -> None:
            row.hits += product.number(ended)
            row.injected += 1

        load.every(5.0, end_sessions)
    assert row.hits
    product.check(row)


def test_f06_redis_is_killed_and_empty(product: Product) -> None:
    """Not right after the row before that ends Redis: the launcher gives up what dies five times in a minute."""

    def wipe() -> None:
        product.redis().flushall()
        product.stack.kill("redis")

    redis_ends(product, Row("F06 Redis kill and wipe"), wipe)


@contextmanager
def watched(product: Product, meet: Callable[[Redis, bytes], None]) -> Iterator[None]:
    """Show `meet` every message that waits in the queue, once."""
    over, seen = threading.Event(), set()

    def watch() -> None:
        redis = product.redis()
        while not over.wait(0.01):
            try:
                for message in redis.lrange(QUEUE, 0, -1):
                    if message not in seen:
                        seen.add(message)
                        meet(redis, message)
            except RedisError:
                time.sleep(0.2)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def test_f13_messages_come_three_times_and_old_ones_again(product: Product) -> None:
    row, old = Row("F13 duplicate delivery"), []
    claimed = "SELECT count(*) FROM engine_attempt WHERE started_at IS NOT NULL"
    before, bodies = product.number(claimed), _bodies(product)

    def repeat(redis: Redis, message: bytes) -> None:
        redis.lpush(QUEUE, message, message)
        old.append(message)
        redis.lpush(QUEUE, random.choice(old))
        row.injected += 3

    with product.load(row) as load, watched(product, repeat):
        load.wait(600)
    row.hits = len(old)
    claims, begun = product.number(claimed) - before, _bodies(product) - bodies
    row.notes.append(f"{begun} bodies began, {claims} attempts were claimed")
    assert row.hits
    assert begun == claims
    product.check(row)


def _bodies(product: Product) -> int:
    return sum(line.what == "begin" for line in product.lines())


def test_f14_messages_are_lost(product: Product) -> None:
    row = Row("F14 30 % of messages lost")

    def lose(redis: Redis, message: bytes) -> None:
        if random.random() < 0.3:
            row.injected += 1
            row.hits += int(redis.lrem(QUEUE, 1, message))  # type: ignore[arg-type]

    newest = product.number("SELECT coalesce(max(id), 0) FROM engine_attempt")
    with product.load(row) as load, watched(product, lose):
        load.wait(900)
    published = f"FROM engine_attempt WHERE publish_count > 0 AND id > {newest}"
    ((sent, attempts, most),) = product.rows(f"SELECT sum(publish_count), count(*), max(publish_count) {published}")
    row.notes.append(f"published {float(sent) / attempts:.2f} times each, one of them {most} times")
    # What is lost each time it is sent waits longer each time; that is how the resend spares a wire that is merely full.
    row.outage = sum(RESEND_SECONDS * 2**time_ for time_ in range(most - 1))
    assert row.hits
    assert sent <= 2 * attempts
    product.check(row)
