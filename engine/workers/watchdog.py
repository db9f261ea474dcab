"""A worker that hears nothing although work waits for it must end, so that its supervisor starts it again.

After a broker was away a worker may believe in a connection that brings nothing any more. It is silent when it has a
free slot, has got no job for two minutes, and sees jobs lie in its queues all the while.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from engine.runs import sweeps
from engine.workers.wire import depth

log = logging.getLogger(__name__)

SILENT_SECONDS = 120.0
LYING_SECONDS = 15.0
"""How long jobs must have been seen lying there: one may have come just now."""
BODIES_SECONDS = 600.0
"""How long a silent worker waits for the bodies it still carries out."""


class Watchdog:
    """Call `heard` for each job that comes, `check` every few seconds. `give_up` hands back what is being done."""

    def __init__(
        self, slots: int, queues: Iterable[str], *, give_up: Callable[[], object],
        end: Callable[[int], object] = os._exit, steady: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.slots, self.queues = slots, list(queues)
        self._give_up, self._end, self._steady = give_up, end, steady
        self._heard_at = steady()
        self._lying_since: float | None = None

    def heard(self) -> None:
        self._heard_at, self._lying_since = self._steady(), None

    def check(self, busy: int) -> None:
        """End the process with code 1 if it is silent; `busy` is how many jobs it is working off."""
        now = self._steady()
        if busy >= self.slots:
            self.heard()
        elif now - self._heard_at < SILENT_SECONDS or not self._jobs_lie_there():
            self._lying_since = None
        elif self._lying_since is None:
            self._lying_since = now
        elif now - self._lying_since >= LYING_SECONDS and (not busy or now - self._heard_at >= BODIES_SECONDS):
            log.critical(
                "worker: got no job for %.0f s although some wait; ends to be started again", now - self._heard_at
            )
            self._give_up()
            self._end(1)

    def _jobs_lie_there(self) -> bool:
        if not sweeps.on_the_wire(self.queues):
            return False
        try:
            # A connection of its own: the one the worker has is what is in doubt.
            with Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
                return depth(client, self.queues) > 0
        except RedisError as down:
            log.info("worker: the broker does not answer, so silence is no wonder: %s", down)
            return False
