"""Notices a database clock that jumps: leases and the limits of bodies are compared with it, so a jump would declare every
worker dead and every body overdue.

The clock is held against this process's monotonic one, which nothing can set. After a jump nothing is reaped and nothing
ended for one lease, so that every worker that lives can renew what it has, and bodies about to end can end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from engine.runs import database
from engine.runs.attempts import LEASE_SECONDS

log = logging.getLogger(__name__)

JUMP_SECONDS = 5.0


class ClockGuard:
    """`is_steady` looks at both clocks; call `look` now and then between, so that slow drift is no jump."""

    def __init__(
        self, clock: Callable[[], datetime] = database.now, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._steady = clock, steady
        self._offset: float | None = None
        self._quiet_until = float("-inf")

    def look(self) -> None:
        before = self._steady()
        moment = self._clock().timestamp()
        after = self._steady()
        # Read somewhere between the two: a slow answer is not a jump.
        offset, doubt = moment - (before + after) / 2, (after - before) / 2
        jump = 0.0 if self._offset is None else offset - self._offset
        self._offset = offset
        if abs(jump) > JUMP_SECONDS + doubt:
            self._quiet_until = after + LEASE_SECONDS
            log.error(
                "clock: the database's clock jumped by %+.1f s; for %.0f s no lease is taken back and no body ended for its "
                "time. Check its time service.",
                jump,
                LEASE_SECONDS,
            )

    def is_steady(self) -> bool:
        self.look()
        return self._steady() >= self._quiet_until
