"""A database clock that jumps must not cost living workers their leases."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from engine.runs import database
from engine.runs.attempts import LEASE_SECONDS
from engine.runs.models import Attempt
from engine.workers.clock import ClockGuard
from engine.workers.engine import Engine
from tests.runs.driver import Driver, document, task

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clocks:
    """A wall clock that can be set and a steady one that cannot; `slow` is how long an answer takes."""

    def __init__(self) -> None:
        self.steady, self.wall, self.slow = 100.0, START, 0.0
        self.guard = ClockGuard(self._wall, lambda: self.steady)

    def _wall(self) -> datetime:
        self.pass_by(self.slow)
        return self.wall

    def pass_by(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [3600, 6, -6, -3600])
def test_after_a_jump_nothing_is_reaped_for_one_lease(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    assert clocks.guard.is_steady()
    clocks.pass_by(10)
    clocks.jump(seconds)
    with caplog.at_level(logging.ERROR):
        assert not clocks.guard.is_steady()
    assert f"{seconds:+.1f} s" in caplog.text
    clocks.pass_by(LEASE_SECONDS - 1)
    assert not clocks.guard.is_steady()
    clocks.pass_by(1)
    assert clocks.guard.is_steady()


def test_drift_and_small_corrections_are_no_jump() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.pass_by(2)
        clocks.jump(0.2)
        assert clocks.guard.is_steady()
    clocks.jump(4)
    assert clocks.guard.is_steady()


def test_a_database_that_answers_slowly_is_no_jump() -> None:
    clocks = Clocks()
    clocks.guard.look()
    clocks.slow = 14.0
    assert clocks.guard.is_steady()


def test_the_engine_leaves_leases_alone_after_a_jump(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver.start(document([task("a")], []))
    run.claim("a")
    engine = Engine()
    engine.round()
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    now: Any = database.now
    monkeypatch.setattr(engine.clock, "_clock", lambda: now() + timedelta(hours=1))
    engine.round()
    assert run.task("a").status == "running"
    monkeypatch.setattr(engine.clock, "_quiet_until", 0.0)
    engine.round()
    assert run.task("a").status == "ready"
    run.work("a")
