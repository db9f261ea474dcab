"""Sends hints to the web processes, without ever making the engine wait.

`announce` only notes what is new; a thread of this process sends it. Whatever goes wrong with Redis costs hints,
which are counted and which the sockets' probes make good, and never a request or a transaction.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from itertools import islice
from typing import Any

from channels.layers import get_channel_layer

from engine.live.hub import GROUP

log = logging.getLogger(__name__)

SEND_SECONDS = 1.0
GATHER_SECONDS = 0.05
"""Pause after each sending. A send costs milliseconds of this process, and browsers look no more often than that."""
MAX_PENDING = 10_000
TOGETHER = 500
"""Topics in one message."""
_QUIET_SECONDS = 2.0
_FAREWELL_SECONDS = 0.5


class Announcer:
    """Newest hint by topic. Several hints for one topic that wait together become one."""

    def __init__(self) -> None:
        self.sent = self.failed = self.dropped = 0
        self._lock = threading.Lock()
        self._pending: dict[str, dict[str, Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._idle = threading.Event()
        self._pid = 0

    def announce(self, topic: str, **news: Any) -> None:
        """Note that `topic` has news. Numbers keep their highest value, lists are joined."""
        with self._lock:
            is_first = topic not in self._pending
            if is_first and len(self._pending) >= MAX_PENDING:
                self.dropped += 1
                return
            _merge(self._pending.setdefault(topic, {}), news)
            self._idle.clear()
            # A fork leaves the thread behind, so each process starts its own.
            if self._pid != os.getpid():
                self._start()
                is_first = True
        # Whoever came first has woken the sender; waking it for each change would cost more than the change.
        if is_first and self._loop is not None and self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def flush(self, timeout: float = _FAREWELL_SECONDS) -> bool:
        """Wait until everything noted was sent or given up. False when time ran out."""
        return self._pid != os.getpid() or self._idle.wait(timeout)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True, name="live").start()
        atexit.register(self.flush)

    async def _run(self) -> None:
        assert self._wake is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            with self._lock:
                batch, self._pending = self._pending, {}
            await self._send(batch)
            with self._lock:
                if not self._pending:
                    self._idle.set()
            await asyncio.sleep(GATHER_SECONDS)

    async def _send(self, batch: dict[str, dict[str, Any]]) -> None:
        layer: Any = get_channel_layer()
        while batch:
            part = dict(islice(batch.items(), TOGETHER))
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await layer.group_send(GROUP, {"type": "hint", "news": part})
            except Exception as down:  # the layer's client may raise anything; a lost hint is harmless
                self.failed += len(batch)
                log.warning("live: %d hints lost, the channel layer does not answer (%r)", len(batch), down)
                await asyncio.sleep(_QUIET_SECONDS)
                return
            self.sent += len(part)
            batch = {topic: news for topic, news in batch.items() if topic not in part}


def _merge(known: dict[str, Any], news: dict[str, Any]) -> None:
    for key, value in news.items():
        if isinstance(value, list):
            known[key] = list(dict.fromkeys([*known.get(key, []), *value]))
        elif isinstance(value, int):
            known[key] = max(known.get(key, value), value)
        else:
            known[key] = value


announcer = Announcer()
