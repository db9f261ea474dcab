"""How often a person may call."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches

from engine.access import rates


@pytest.fixture(autouse=True)
def two_a_minute(settings: Any) -> None:
    settings.GRAFLOW_RATES = {"start": (2, 60)}
    caches["default"].clear()


def test_a_window_holds_so_many_calls_and_says_when_it_closes() -> None:
    assert [rates.seconds_to_wait("start", "ann") for _ in range(2)] == [None, None]
    wait = rates.seconds_to_wait("start", "ann")
    assert wait is not None
    assert 58 < wait <= 60
    assert rates.seconds_to_wait("start", "bob") is None


def test_a_count_that_outlives_its_window_locks_nobody_out() -> None:
    """Between its two steps `incr` may lose the key to the end of the window, and makes one without an end."""
    caches["default"].set("rate:start:ann", 5, timeout=None)
    assert [rates.seconds_to_wait("start", "ann") for _ in range(2)] == [None, None]
    assert rates.seconds_to_wait("start", "ann")
