"""F01 F02 F03 F04 F12: processes die, freeze and come back."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from .harness import RUNS, Product, Row, document, percentile, state_of

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(1200)]

WORKERS = ["worker-1", "worker-2"]
STEPS = 400
STRAIGHT = document(
    "Straight on",
    [{"id": f"s{place}", "uses": "chaos.step"} for place in range(STEPS)],
    [{"source": f"s{place}", "target": f"s{place + 1}"} for place in range(STEPS - 1)],
)
LEASE_SECONDS = 20.0


def test_f01_a_worker_child_is_killed(product: Product) -> None:
    row, kills = Row("F01 kill -9 worker child"), []
    with product.load(row) as load:

        def kill() -> None:
            children = product.children(random.choice(WORKERS))
            if children and product.send(pid := random.choice(children), signal.SIGKILL):
                kills.append((time.time(), pid))

        load.every(2.0, kill)
    row.injected, row.hits = len(kills), len(product.interrupted(kills))
    row.recoveries = product.recoveries(kills)
    assert row.hits
    product.check(row)
    assert percentile(row.recoveries, 95) <= 3, row


def test_f01_a_worker_that_goes_ahead_is_killed(product: Product) -> None:
    """Whatever it may have done ahead has an attempt, and nothing of it counts twice or is missing."""
    row, kills, began = Row("F01 kill -9 while going ahead"), [], time.monotonic()
    row.runs = max(10, RUNS // 5)
    handed_back = "SELECT count(*) FROM engine_attempt WHERE state = 'released'"
    before = product.number(handed_back)
    product.publish(STRAIGHT)
    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(product.start, STRAIGHT) for _ in range(row.runs)]
        while not (all(start.done() for start in starts) and product.is_settled()):
            assert time.monotonic() - began < 300, "the runs do not end"
            children = {pid for name in WORKERS for pid in product.children(name)}
            if (pid := product.busy()) in children and product.send(pid, signal.SIGKILL):
                kills.append((time.time(), pid))
            time.sleep(0.3)
        runs = [start.result() for start in starts]
    row.seconds, row.injected = time.monotonic() - began, len(kills)
    row.hits, row.recoveries = product.number(handed_back) - before, product.recoveries(kills)
    mine = ", ".join(f"'{run}'" for run in runs)
    attempts = product.rows(
        f"SELECT r.public_id, a.key, count(*), count(*) FILTER (WHERE a.state = 'ok') FROM engine_attempt a "
        f"JOIN engine_run r ON r.id = a.run_id WHERE r.public_id IN ({mine}) GROUP BY 1, 2"
    )
    known = {(str(run), key): tried for run, key, tried, _ in attempts}
    bodies = Counter(line.place[:2] for line in product.lines() if line.what == "begin" and line.place[0] in runs)
    row.findings["unfinished"] += sum(state_of(product, run) != "succeeded" for run in runs)
    row.findings["miscounted"] += sum(worked != 1 for *_, worked in attempts) + (len(attempts) != STEPS * len(runs))
    row.findings["untold"] += sum(count > known.get(place, 0) for place, count in bodies.items())
    product.judge(row)
    assert row.hits
    assert not +row.findings, row
    assert percentile(row.recoveries, 95) <= 3, row


def test_f02_a_whole_worker_is_killed(product: Product) -> None:
    row, kills = Row("F02 kill -9 whole worker", outage=LEASE_SECONDS), []
    turns = itertools.cycle(WORKERS)
    with product.load(row) as load:

        def kill() -> None:
            name = next(turns)
            children, now = product.children(name), time.time()
            product.stack.kill(name)
            kills.extend((now, pid) for pid in children)
            row.injected += 1

        # Not every 6 s: some deaths then met what had just come back after its lease, and it took 26 s.
        load.every(12.0, kill, at_most=5)
    row.hits, row.recoveries = len(product.interrupted(kills)), product.recoveries(kills)
    assert row.hits
    product.check(row)
    assert percentile(row.recoveries, 95) <= LEASE_SECONDS + 3, row


def test_f03_the_engine_is_killed(product: Product) -> None:
    row = Row("F03 kill -9 engine")
    with product.load(row) as load:

        def kill() -> None:
            retries = product.number("SELECT count(*) FROM engine_timer WHERE fired_at IS NULL")
            waits = product.number(
                "SELECT count(*) FROM engine_attempt WHERE state = 'dispatched' AND published_at IS NULL"
            )
            product.stack.kill("engine")
            row.injected += 1
            row.hits += retries + waits > 0

        load.every(8.0, kill, at_most=4)  # five in a minute would end the product
    assert row.injected
    product.check(row)


def test_f04_the_web_process_is_killed_under_starts_and_answers(product: Product) -> None:
    """A client repeats what got no answer with the same key: one run per key, one decision per question."""
    row = Row("F04 kill -9 web")
    before, failures = product.number("SELECT count(*) FROM engine_run"), product.failures
    with product.load(row) as load:

        def kill() -> None:
            product.stack.kill("web")
            row.injected += 1

        load.every(7.0, kill, at_most=4)
    row.hits = product.failures - failures
    made = product.number("SELECT count(*) FROM engine_run") - before
    row.notes.append(f"{made - row.runs} double starts")
    assert made == row.runs
    assert row.hits
    product.check(row)


def test_f12_a_worker_is_frozen_for_two_leases(product: Product) -> None:
    """Its bodies end after their attempts were given to others: those results are refused."""
    row = Row("F12 SIGSTOP worker, 2 leases")
    late = "SELECT count(*) FROM engine_attempt WHERE late_result IS NOT NULL"
    before, longest = product.number(late), 0.0
    with product.load(row, max(8, RUNS // 10), seconds=1.0) as load:
        product.stack.wait_for(lambda: load.started and product.lines(), "bodies")
        time.sleep(2.0)
        for name in WORKERS[:1]:
            parent, children = product.stack.pids()[name], product.children(name)
            frozen = [pid for pid in (parent, *children) if product.send(pid, signal.SIGSTOP)]
            row.injected += 1
            until = time.monotonic() + 2 * LEASE_SECONDS
            while time.monotonic() < until:
                longest = max(longest, _longest_wait(product))
                time.sleep(0.5)
            for pid in reversed(frozen):
                product.send(pid, signal.SIGCONT)
    row.hits = product.number(late) - before
    row.notes.append(f"{row.hits} late results refused, longest wait for a lock {longest:.1f} s")
    assert row.hits
    assert longest <= 11.0
    assert not +row.findings, row


def _longest_wait(product: Product) -> float:
    waits = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)"
    return float(product.rows(f"{waits} FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0])
