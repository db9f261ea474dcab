"""The fault matrix in short, with every `make test`: children, workers, engine and Redis die under a small load."""

from __future__ import annotations

import random
import signal
import time

import pytest

from .harness import Product, Row

RUNS = 24  # long enough for five deaths


@pytest.mark.stack
@pytest.mark.timeout(300)
def test_a_small_load_survives_a_death_of_everything(product: Product) -> None:
    row, kills = Row("short"), []
    with product.load(row, RUNS, seconds=0.3) as load:
        product.stack.wait_for(product.lines, "bodies")

        def kill_something() -> None:
            what = order.pop(0) if order else "child"
            if what == "child":
                children = product.children(random.choice(["worker-1", "worker-2"]))
                if children and product.send(pid := random.choice(children), signal.SIGKILL):
                    kills.append((time.time(), pid))
            else:
                product.stack.kill(what)
            row.injected += 1

        order = ["child", "redis", "child", "engine", "child"]
        load.every(2.0, kill_something, at_most=5)
    row.hits = len(product.interrupted(kills))
    assert row.injected == 5
    assert not +row.findings, row
