"""Backpressure at the door: a start that would overfill the engine or the disk is refused with the time to come back.

Counted over partial indexes that hold only what is open, never over history, and only as far as the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from engine.core.errors import LimitExceeded
from engine.runs import disk
from engine.runs.models import Attempt, Run

ACTIVE = ("pending", "running", "paused", "stopping")
"""Statuses that count against the limit. A run that waits for people holds nothing anybody else would need."""
MAX_ACTIVE_RUNS = 10_000
MAX_OPEN_ATTEMPTS = 50_000
RETRY_AFTER_SECONDS = 5
_COUNT_EVERY = 1.0


class _Gate:
    """One limit. Far from it a count stands for some starts of the next second; close to it each start counts."""

    def __init__(self, setting: str, default: int, what: str, rows: Callable[[], list[QuerySet[Any]]]) -> None:
        self.setting, self.default, self.what, self.rows = setting, default, what, rows
        self._lock = Lock()
        self._free = 0
        self._until = 0.0

    def pass_one(self) -> None:
        limit = int(getattr(settings, self.setting, self.default))
        with self._lock:
            if self._free > 0 and time.monotonic() < self._until:
                self._free -= 1
                return
        room = limit
        for some in self.rows():
            room -= some[:room].values("pk").count() if room else 0
        with self._lock:
            self._free, self._until = room // 10, time.monotonic() + _COUNT_EVERY
        if room <= 0:
            raise LimitExceeded(
                f"There are {limit} {self.what} already, as many as {self.setting} allows. Try again later.",
                code="engine_full", retry_after=RETRY_AFTER_SECONDS, limit=limit, setting=self.setting,
            )  # fmt: skip

    def forget(self) -> None:
        with self._lock:
            self._free = 0


_runs = _Gate(
    "GRAFLOW_MAX_ACTIVE_RUNS", MAX_ACTIVE_RUNS, "active runs", lambda: [Run.objects.filter(status__in=ACTIVE)]
)
# One query each: either state has its index, both together are looked for through the whole history.
_attempts = _Gate(
    "GRAFLOW_MAX_OPEN_ATTEMPTS", MAX_OPEN_ATTEMPTS, "open attempts",
    lambda: [Attempt.objects.filter(state=state) for state in Attempt.OPEN],
)  # fmt: skip


def admit() -> None:
    """Let one more run start. Raises LimitExceeded, with `retry_after` in seconds."""
    disk.require_room()
    _runs.pass_one()
    _attempts.pass_one()


def admit_child() -> None:
    """Let a run start that another one waits for. Raises LimitExceeded: it is to wait, and its parent with it.

    It belongs to work that was let in, so neither the number of active runs nor the disk keeps it out: a parent counts
    itself while it waits, and parents alone could fill the engine and wait for ever. Open attempts become fewer whoever
    waits.
    """
    _attempts.pass_one()


def forget() -> None:
    """Count anew at the next start; for tests, whose databases change behind this module's back."""
    _runs.forget()
    _attempts.forget()
