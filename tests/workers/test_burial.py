"""Dead children are noticed at once, and not only when the pool happens to look."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import Hub, set_event_loop

from engine.workers.burial import LOOK_SECONDS, Burial
from graflow_site.celery import app


def test_a_child_is_replaced_soon_even_if_its_last_sign_came_too_early() -> None:
    hub = Hub()
    set_event_loop(hub)
    pool = AsynPool(2, threads=False)
    try:
        worker: Any = SimpleNamespace(pool=pool)
        pool.register_with_event_loop(hub)
        Burial(worker).register_with_event_loop(worker, hub)
        victim = pool._pool[0]
        pool._untrack_child_process(victim, hub)  # as after a sign that came before the end
        os.kill(victim.pid, signal.SIGKILL)
        until = time.monotonic() + 10 * LOOK_SECONDS
        while victim in pool._pool and time.monotonic() < until:
            hub.run_once()
        assert victim not in pool._pool
        assert len(pool._pool) == 2
    finally:
        pool.terminate()
        pool.join()
        set_event_loop(None)


@pytest.mark.filterwarnings("ignore::celery.platforms.SecurityWarning")
def test_every_worker_of_the_product_does_so() -> None:
    worker = app.Worker(concurrency=1, pool="prefork")
    assert any(isinstance(step, Burial) for step in worker.steps)
