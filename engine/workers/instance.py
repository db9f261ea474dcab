"""The parent process of a worker: renews leases, ends unwanted bodies, reports dead children, hands back at the end.

All database work happens in one thread with a connection of its own, closed after each round, because children
are forked at any time and must not inherit an open one.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals
from celery.worker import state as worker_state
from django.db import connection

from engine.runs import database, leases, sweeps
from engine.runs.models import WorkerInstance
from engine.runs.queues import to_consume
from engine.workers.clock import ClockGuard
from engine.workers.forks import undisturbed
from engine.workers.watchdog import Watchdog
from engine.workers.wire import celery_queue, engine_queue, wire

log = logging.getLogger(__name__)

BOOT_ID = str(uuid.uuid4())
"""This start of this worker. Made in the parent, so that its children act in its name."""
CANCEL_GRACE_SECONDS = 10.0
STOP_GRACE_SECONDS = 30.0


class Parent:
    """What runs beside the pool in the parent process."""

    def __init__(self) -> None:
        self._orders: queue.Queue[Callable[[], Any]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self.watchdog: Watchdog | None = None

    def start(self, slots: int, queues: list[str]) -> None:
        if self._thread is not None:
            return
        database.say_alive(f"worker-{BOOT_ID}")
        self.watchdog = Watchdog(slots, queues, give_up=_leave)
        self._orders.put(lambda: _register(slots, queues))
        self._thread = threading.Thread(target=self._run, daemon=True, name="engine-heartbeat")
        self._thread.start()

    def report(self, order: Callable[[], Any]) -> None:
        """Have something done in the thread, soon."""
        self._orders.put(order)

    def drain(self) -> None:
        """No more work is taken; what is not done in time is handed back and ended."""
        self.report(lambda: WorkerInstance.objects.filter(pk=BOOT_ID).update(draining=True))
        timer = threading.Timer(STOP_GRACE_SECONDS, lambda: self.report(_hand_back))
        timer.daemon = True
        timer.start()

    def _run(self) -> None:
        next_beat = time.monotonic()
        while True:
            try:
                order = self._orders.get(timeout=max(0.0, next_beat - time.monotonic()))
            except queue.Empty:
                order = self._beat
                next_beat = time.monotonic() + leases.HEARTBEAT_SECONDS
            with undisturbed():
                _carry_out(order)

    def _beat(self) -> None:
        beat()
        if self.watchdog is not None:
            self.watchdog.check(busy=len(active()))


def _carry_out(order: Callable[[], Any]) -> None:
    try:
        order()
    except Exception:  # the database may be away; leases last longer than one beat
        log.warning("worker: a heartbeat failed", exc_info=True)
    finally:
        connection.close()


def _register(slots: int, queues: list[str]) -> None:
    now = database.now()
    with database.writing():
        WorkerInstance.objects.update_or_create(
            boot_id=BOOT_ID,
            defaults={
                "host": socket.gethostname()[:200], "pid": os.getpid(), "slots": slots, "started_at": now,
                "last_seen": now, "draining": False, "queues": ",".join(queues),
            },
        )  # fmt: skip


def active() -> dict[int, int]:
    """Jobs in the hands of a living child: id of the attempt whose message it was → process id."""
    found: dict[int, int] = {}
    for request in list(worker_state.active_requests):
        pid = getattr(request, "worker_pid", None)
        if str(request.id).isdigit() and pid is not None and _is_running(pid):
            found[int(request.id)] = pid
    return found


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def beat() -> None:
    """Renew the leases of what is really being done, and end the bodies nobody waits for."""
    unwanted = leases.renew(BOOT_ID, active())
    if not clock.is_steady():  # looked at after the times it compared: how long something took is in doubt now
        return
    for (attempt_id, job), since in unwanted.cancelled.items():
        if since >= CANCEL_GRACE_SECONDS:
            end(attempt_id, job, why="the run was stopped", kind="error")
    for attempt_id, job in unwanted.overdue:
        end(attempt_id, job, why="did not end in time and was killed", kind="timeout")


def end(attempt_id: int, job: int, *, why: str, kind: str) -> None:
    """Close an attempt and kill the child that carries it out."""
    if leases.killed(attempt_id, BOOT_ID, why=why, kind=kind):
        _kill(job)


def _kill(job: int) -> None:
    # Looked up again: the child may have ended this job and begun another one meanwhile.
    pid = active().get(job)
    if pid is not None and pid != os.getpid():
        log.info("worker: killing process %d, which works off job %d", pid, job)
        os.kill(pid, signal.SIGKILL)


def _hand_back() -> None:
    for job in active():
        if leases.released(job, BOOT_ID):
            _kill(job)


def _leave() -> None:
    """Hand everything back and be forgotten: this process is about to end."""
    _hand_back()
    WorkerInstance.objects.filter(pk=BOOT_ID).delete()


parent = Parent()
clock = ClockGuard()


@signals.celeryd_after_setup.connect(dispatch_uid="engine.queues")
def _listen(instance: Any = None, **_: Any) -> None:
    """Listen to the site's queues, unless somebody has named others with -Q."""
    known = instance.app.amqp.queues
    if known._consume_from is None:
        names = [celery_queue(queue) for queue in to_consume()]
        for name in names:
            known.add(name)
        known.select(names)


@signals.worker_ready.connect(dispatch_uid="engine.worker_ready")
def _ready(sender: Any = None, **_: Any) -> None:
    pool = getattr(sender, "pool", None)
    heard = [engine_queue(name) for name in getattr(sender, "app", wire).amqp.queues.consume_from]
    parent.start(int(getattr(pool, "limit", None) or 1), heard)


@signals.task_received.connect(dispatch_uid="engine.task_received")
def _received(**_: Any) -> None:
    if parent.watchdog is not None:
        parent.watchdog.heard()


@signals.worker_shutting_down.connect(dispatch_uid="engine.worker_shutting_down")
def _shutting_down(**_: Any) -> None:
    parent.drain()


@signals.task_failure.connect(dispatch_uid="engine.task_failure")
def _failed(task_id: str = "", exception: BaseException | None = None, **_: Any) -> None:
    """A child died or was ended by a limit: no need to wait for the lease. May come twice."""
    if not str(task_id).isdigit():
        return
    job = int(task_id)
    if isinstance(exception, WorkerLostError):
        why = str(exception) or "its process died"
        parent.report(lambda: _child_died(job, why))


def _child_died(job: int, why: str) -> None:
    leases.lost_with(job, BOOT_ID, why)
    sweeps.forget_published(job)  # it may have died with the message in its hands, before it could claim
