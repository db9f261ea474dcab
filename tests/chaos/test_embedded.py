"""F24: in the embedded product one process after the other is killed, and now and then all at once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

from .harness import FINAL, Product, Row, is_alive, percentile

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("CHAOS_KILLS", "500"))
LIFE = 9
"""Kills of single processes between two deaths of the whole product."""
EACH = 3  # of one of the launcher's own children in a life: five in a minute would end the product
VICTIMS = ["child"] * 6 + ["web", "engine", "worker", "redis"]
LIVE = f"SELECT count(*) FROM engine_run WHERE status NOT IN {FINAL}"
AT_ONCE = 8
RECOVERY_SECONDS = 3.0
PAUSE_SECONDS = 0.5  # at most, between two kills: some hit what is still coming back from the one before


class Traffic:
    """Keeps some runs going until the block ends, through whatever happens to the product."""

    def __init__(self, product: Product) -> None:
        self.product, self.started = product, list[str]()
        self._over, self._thread = threading.Event(), threading.Thread(target=self._go_on)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(90)

    def _go_on(self) -> None:
        while not self._over.wait(0.2):
            if self.product.number(LIVE) < AT_ONCE:
                self.started.append(self.product.start(seconds=0.2))
            self.product.answer_everything()


def test_f24_the_embedded_product_is_killed_again_and_again(embedded: Product) -> None:
    row, killed, cut = Row("F24 kill -9 embedded product"), Counter[str](), list[tuple[float, int]]()
    began = time.monotonic()
    with Traffic(embedded) as traffic:
        while killed.total() < KILLS:
            for _ in range(min(LIFE, KILLS - killed.total() - 1)):
                time.sleep(random.uniform(0.0, PAUSE_SECONDS))
                _kill_one(embedded, killed, cut)
                _must_be_whole(embedded)
            row.hits += embedded.number(LIVE) > 0
            row.recoveries.append(_kill_all(embedded, killed))
    row.injected = killed.total()
    until = time.monotonic() + 120
    while not embedded.is_settled():
        embedded.answer_everything()
        assert time.monotonic() < until, embedded.stack.logs()
        time.sleep(0.3)
    row.runs, row.seconds = len(traffic.started), time.monotonic() - began
    known = {text.replace("-", "") for (text,) in embedded.rows("SELECT public_id FROM engine_run")}
    missing = {run.replace("-", "") for run in traffic.started} - known
    row.hits += len(embedded.interrupted(cut))
    row.notes.append(f"{dict(killed)}; {len(missing)} accepted runs missing")
    embedded.judge(row)
    assert not missing
    assert row.hits
    assert percentile(row.recoveries, 95) <= RECOVERY_SECONDS, row
    assert not +row.findings, row


def _kill_one(product: Product, killed: Counter[str], cut: list[tuple[float, int]]) -> None:
    """Kill a process of the product at random."""
    name = random.choice(VICTIMS)
    pids = product.stack.pids()
    if name != "child" and killed[name] < EACH * (killed["up"] + 1) and product.send(pids[name], signal.SIGKILL):
        killed[name] += 1
    elif (children := product.children("worker")) and product.send(pid := random.choice(children), signal.SIGKILL):
        cut.append((time.time(), pid))
        killed["child"] += 1


def _kill_all(product: Product, killed: Counter[str]) -> float:
    """Kill the launcher, whose children the system then ends, and start anew; seconds from ready to the first body."""
    pids = product.stack.pids()
    product.stack.kill("up")
    killed["up"] += 1
    until = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids.values()):
        assert time.monotonic() < until, "the product outlived its launcher"
        time.sleep(0.02)
    _must_be_whole(product)
    before = len(product.lines())
    product.stack.start()
    ready = time.time()
    product.stack.wait_for(lambda: len(product.lines()) > before, "work after the start", 30)
    return max(0.0, product.lines()[before].at - ready)


def _must_be_whole(product: Product) -> None:
    assert product.rows("PRAGMA integrity_check") == [("ok",)]
