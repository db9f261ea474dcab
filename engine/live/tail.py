"""Follows the events of one run for all sockets of this process that watch it: one reader, many listeners."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from channels.db import database_sync_to_async

from engine.access import SYSTEM
from engine.live.hub import PROBE_SECONDS, Hub, is_set, run_topic
from engine.runs import api

log = logging.getLogger(__name__)

KEPT_EVENTS = 1_000
PAGE = 500
COALESCE_SECONDS = 0.05
_RETRY_SECONDS = 1.0

Json = dict[str, Any]


class Tail:
    """The newest events of a run. `last` is the highest seq read; readers are woken when it grows."""

    def __init__(self, hub: Hub, run: str, last: int) -> None:
        self.run, self.last = run, last
        self._hub = hub
        self._events: deque[Json] = deque(maxlen=KEPT_EVENTS)
        self._readers: set[asyncio.Event] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def join(self, reader: asyncio.Event) -> None:
        self._readers.add(reader)
        self._news.set()  # a newcomer may know of events that the tail has not read yet
        if self._task is None:
            self._hub.listen(run_topic(self.run), self._hint)
            self._task = asyncio.create_task(self._follow(), name=f"live-tail-{self.run}")

    def leave(self, reader: asyncio.Event) -> None:
        self._readers.discard(reader)
        if not self._readers and self._task is not None:
            self._hub.leave(run_topic(self.run), self._hint)
            self._task.cancel()
            self._task = None
            self._hub.shared.pop(run_topic(self.run), None)

    def after(self, seq: int, limit: int) -> list[Json] | None:
        """Up to `limit` events that follow `seq`; None when they are no longer kept here."""
        if seq >= self.last:
            return []
        if not self._events or self._events[0]["seq"] > seq + 1:
            return None
        start = seq + 1 - self._events[0]["seq"]
        return [self._events[i] for i in range(start, min(start + limit, len(self._events)))]

    def _hint(self, hint: Json) -> None:
        if not hint or hint.get("seq", self.last + 1) > self.last:
            self._news.set()

    async def _follow(self) -> None:
        while True:
            await is_set(self._news, within=PROBE_SECONDS)
            self._news.clear()
            try:
                await self._read()
            except Exception:  # the database may be away for a while; the sockets wait for it
                log.warning("live: cannot read the events of run %s", self.run, exc_info=True)
                self._news.set()
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(COALESCE_SECONDS)

    async def _read(self) -> None:
        while True:
            found = await read_events(SYSTEM, self.run, self.last, PAGE)
            if not found:
                return
            if self._events and found[0]["seq"] != self.last + 1:
                self._events.clear()
            self._events.extend(found)
            self.last = found[-1]["seq"]
            for reader in self._readers:
                reader.set()
            if len(found) < PAGE:
                return


def tail(hub: Hub, run: str, last: int) -> Tail:
    """The tail of `run` in this process; a new one starts at `last`."""
    topic = run_topic(run)
    if topic not in hub.shared:
        hub.shared[topic] = Tail(hub, run, last)
    found: Tail = hub.shared[topic]
    return found


async def read_events(actor: Any, run: str, after: int, limit: int) -> list[Json]:
    page = await database_sync_to_async(api.events_after)(actor, run, after, limit)
    return [event.as_dict() if hasattr(event, "as_dict") else event for event in page.results]
