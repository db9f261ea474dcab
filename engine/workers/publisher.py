"""Publishes what a process has just committed, without ever making it wait.

A thread of this process sends; when Redis is down it drops what it has. The engine process publishes everything
that nobody claimed in time, so this is only the fast way.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time

from django.db import connection

from engine.runs import queues, sweeps
from engine.runs.hooks import DispatchMessage
from engine.workers.forks import undisturbed
from engine.workers.wire import Sender

log = logging.getLogger(__name__)

MAX_PENDING = 10_000
MARK_SECONDS = 0.5
"""After this time what is still unclaimed is noted as published. Most has been claimed by then."""
_QUIET_SECONDS = 1.0
_FAREWELL_SECONDS = 0.5


class Publisher:
    """Started by the first message of each process."""

    def __init__(self) -> None:
        self.sent = self.dropped = 0
        self._lock = threading.Lock()
        self._pid = 0
        self._pending: queue.Queue[DispatchMessage] = queue.Queue(MAX_PENDING)
        self._idle = threading.Event()

    def dispatch(self, messages: list[DispatchMessage]) -> None:
        """Registered as `engine.runs.hooks.dispatch`; called after a commit, returns at once."""
        messages = queues.heard(messages)
        if not messages:
            return
        with self._lock:
            if self._pid != os.getpid():  # a fork leaves the thread behind
                self._start()
            self._idle.clear()
        for message in messages:
            try:
                self._pending.put_nowait(message)
            except queue.Full:
                self.dropped += 1

    def flush(self, timeout: float = _FAREWELL_SECONDS) -> bool:
        """Wait until everything was sent or dropped. False when time ran out."""
        return self._pid != os.getpid() or self._idle.wait(timeout)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._pending = queue.Queue(MAX_PENDING)
        threading.Thread(target=self._run, daemon=True, name="engine-publisher").start()
        atexit.register(self.flush)

    def _run(self) -> None:
        sender = Sender()
        unmarked: list[tuple[float, int]] = []
        while True:
            batch = self._next(timeout=MARK_SECONDS if unmarked else None)
            if batch and self._send(sender, batch):
                now = time.monotonic()
                unmarked += [(now, message.attempt_id) for message in batch]
            if self._pending.empty():
                self._idle.set()
            if unmarked and unmarked[0][0] + MARK_SECONDS <= time.monotonic():
                _mark([attempt_id for _, attempt_id in unmarked])
                unmarked = []

    def _next(self, timeout: float | None) -> list[DispatchMessage]:
        try:
            batch = [self._pending.get(timeout=timeout)]
        except queue.Empty:
            return []
        while len(batch) < 100:
            try:
                batch.append(self._pending.get_nowait())
            except queue.Empty:
                break
        return batch

    def _send(self, sender: Sender, batch: list[DispatchMessage]) -> bool:
        try:
            with undisturbed():
                sender.send((item.attempt_id, item.nonce, item.queue, item.is_urgent) for item in batch)
        except Exception as down:  # the transport may raise anything; the engine process publishes it later
            self.dropped += len(batch)
            log.warning("publisher: %d attempts are left to the engine process: %r", len(batch), down)
            time.sleep(_QUIET_SECONDS)
            return False
        self.sent += len(batch)
        return True


def _mark(ids: list[int]) -> None:
    with undisturbed():
        try:
            sweeps.mark_published(ids)
        except Exception as down:  # the marks only spare a second copy of a message
            log.info("publisher: cannot note %d attempts as published: %r", len(ids), down)
        finally:
            connection.close()


publisher = Publisher()
