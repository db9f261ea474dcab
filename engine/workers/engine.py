"""The engine process: what only time brings, and the repair of what got lost.

Holds no state that matters. Any number of copies may run on PostgreSQL, exactly one beside a SQLite file; each
may die at any moment.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis import Redis
from redis.exceptions import RedisError

from engine.runs import attempts, children, database, inbox, leases, pauses, queues, retention, schedules, sweeps, tally
from engine.runs.models import SchedulerBeat, WorkerInstance
from engine.workers.clock import ClockGuard
from engine.workers.postman import Postman
from engine.workers.wire import Sender, depth

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_SECONDS = 1.0
BUSY_SECONDS = 0.05
LAST_MAIL_SECONDS = 5.0
"""How long the end waits for a mail on its way; the next engine sends it again."""
WATCH_SECONDS = 2.0
TRIM_SECONDS = 600.0
RETENTION_SECONDS = 3600.0
RUNS_AT_ONCE = 5
KEPT = timedelta(days=1)
BATCH = 100
COUNT_BATCHES = 20
EPOCH_KEY = "graflow:epoch"


class Engine:
    """Call `run`; `stop` ends it after the transaction at hand."""

    def __init__(self) -> None:
        self.boot_id = str(uuid.uuid4())
        self.clock = ClockGuard()
        self._stop = threading.Event()
        self._sender = Sender()
        self._redis: Redis = Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0)
        self._epoch: str | None = None
        self._next_watch = self._next_trim = self._next_retention = 0.0

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        if not database.on_postgresql():
            self._guarded(lambda: _told("lost with their workers", sum(_each(leases.lost, leases.orphans()))))
        postman = Postman(self._stop)
        postman.start()
        while not self._stop.is_set():
            busy = self._guarded(self.round)
            self._stop.wait(BUSY_SECONDS if busy else IDLE_SECONDS)
        postman.join(LAST_MAIL_SECONDS)
        self._guarded(lambda: SchedulerBeat.objects.filter(pk=self.boot_id).delete())

    def round(self) -> bool:
        """Everything once; whether there may be more to do at once."""
        now, work = time.monotonic(), 0
        if now >= self._next_watch:
            self._next_watch = now + WATCH_SECONDS
            self.clock.look()
            self._beat()
            self._watch_epoch()
            self._resend()
            work += sum(_each(children.sweep, children.to_follow()))
            work += sum(_each(pauses.follow, pauses.astray()))
            _count_ended()
        if now >= self._next_trim:
            self._next_trim = now + TRIM_SECONDS
            _trim()
        work += sum(_each(sweeps.fire, sweeps.due_timers()))
        work += _told("whose lease was over", self._reap())
        work += sum(_each(inbox.expire, sweeps.overdue_feedback()))
        work += sum(_each(schedules.fire, schedules.due()))
        if now >= self._next_retention:
            work += self._forget(now)
        return self._relay() or work > 0

    def _reap(self) -> int:
        overdue = leases.overdue()
        return sum(_each(leases.reap, overdue)) if overdue and self.clock.is_steady() else 0

    def _forget(self, now: float) -> int:
        """Trim some runs; when none is left, or another engine is at it, sweep the rest and be quiet for an hour."""
        trimmed = _each(retention.trim, retention.due(limit=RUNS_AT_ONCE))
        if not any(trimmed):
            self._next_retention = now + RETENTION_SECONDS
            retention.sweep()
        return sum(trimmed)

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (OperationalError, InterfaceError) as down:
            log.warning("engine: the database does not answer: %s", down)
            connection.close()
            return None

    def _beat(self) -> None:
        now = database.now()
        with database.writing():
            known = SchedulerBeat.objects.filter(pk=self.boot_id).update(last_seen=now)
            if not known:
                SchedulerBeat.objects.create(
                    boot_id=self.boot_id,
                    host=socket.gethostname()[:200],
                    pid=os.getpid(),
                    started_at=now,
                    last_seen=now,
                )

    def _relay(self) -> bool:
        """Publish what waits, the most urgent first, as far as the window allows; whether something still waits."""
        if not sweeps.is_waiting():
            return False
        heard = queues.listened()
        if heard is not None and not sweeps.is_waiting(heard):
            return False
        taken = sweeps.take_unpublished(min(BATCH, attempts.window() - sweeps.on_the_wire(heard)), heard)
        return not taken or self._publish(taken)

    def _publish(self, taken: list[sweeps.Waiting]) -> bool:
        try:
            self._sender.send((item.id, item.nonce, item.queue, item.lost_count > 0) for item in taken)
        except Exception as down:  # the transport may raise anything; the rows are free again in some seconds
            log.warning("engine: %d attempts could not be published: %r", len(taken), down)
            return False
        sweeps.mark_published(item.id for item in taken)
        return True

    def _resend(self) -> None:
        """Publish again what was published long ago, where the wire holds less than it should."""
        stale = sweeps.stale_queues()
        if not stale:
            return
        try:
            if depth(self._redis, stale) >= sweeps.on_the_wire():
                return
        except RedisError as down:
            log.warning("engine: the broker does not answer: %s", down)
            return
        self._publish(sweeps.take_stale(BATCH))

    def _watch_epoch(self) -> None:
        """Notice a Redis that was wiped, replaced or restarted: what it held must be published again."""
        try:
            server = str(self._redis.info("server")["run_id"])
            known = self._redis.get(EPOCH_KEY)
            epoch = known.decode() if isinstance(known, bytes) else None
            if epoch is None or not epoch.startswith(f"{server}:"):
                epoch = f"{server}:{secrets.token_hex(8)}"
                self._redis.set(EPOCH_KEY, epoch)
                known = None
        except RedisError as down:
            log.warning("engine: the broker does not answer: %s", down)
            return
        changed = known is None or (self._epoch is not None and epoch != self._epoch)
        self._epoch = epoch
        if changed:
            _told("to publish again for a new broker", sweeps.forget_published())


def _each(change: Callable[[T], int], things: Iterable[T]) -> list[int]:
    """Change one after another; a run that cannot be changed must not keep the others waiting."""
    done: list[int] = []
    for thing in things:
        try:
            done.append(change(thing))
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # whatever is wrong with one run, it is said and the next one is served
            log.exception("engine: %r could not be carried out", thing)
    return done


def _count_ended() -> None:
    """Add what has ended to the totals, as far as this look may take."""
    for _ in range(COUNT_BATCHES):
        if sum(_each(tally.count, [tally.due()])) < tally.BATCH:
            return


def _told(what: str, count: int) -> int:
    if count:
        log.info("engine: %d attempts %s", count, what)
    return count


def _trim() -> None:
    """Forget workers and engines that have not been seen for a day."""
    old = database.now() - KEPT
    with database.writing():
        WorkerInstance.objects.filter(last_seen__lt=old).delete()
        SchedulerBeat.objects.filter(last_seen__lt=old).delete()
