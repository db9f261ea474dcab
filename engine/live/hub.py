"""One ear per web process: hears hints on the channel layer and wakes whoever listens here.

Sockets never talk to Redis themselves, so one that is down or slow delays no handshake and breaks no socket;
their own probes (`PROBE_SECONDS`) then carry the news.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

GROUP = "hints"
"""The one group of the channel layer: who has news tells all web processes at once, and each knows who listens there.

With a group per run a process that changes many runs would pay for each of them, although hardly one is looked at.
"""
PROBE_SECONDS = 15.0
_RETRY_SECONDS = 2.0

Listener = Callable[[dict[str, Any]], None]


def run_topic(run: str) -> str:
    return f"run.{run}"


def user_topic(user_id: int) -> str:
    return f"user.{user_id}"


INBOX_TOPIC = "inbox"


async def is_set(event: asyncio.Event, within: float) -> bool:
    """Wait for `event` at most so many seconds.

    Not `asyncio.wait_for`: in Python 3.11 it loses a cancellation that comes together with the event, and a
    loop around it would then never end.
    """
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Hub:
    """Listeners by topic. All calls belong to the event loop the hub was made for."""

    def __init__(self) -> None:
        self.sockets: Counter[int] = Counter()
        self.shared: dict[str, Any] = {}
        self._listeners: dict[str, set[Listener]] = {}
        self._wanted = asyncio.Event()
        self._begun: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener` with every hint for `topic`, and once with an empty one when listening has begun.

        The empty one closes the gap between the caller's last look at the database and the subscription.
        """
        self._listeners.setdefault(topic, set()).add(listener)
        self._wanted.set()
        if not any(not task.done() for task in self._tasks):
            self._tasks = [asyncio.create_task(self._hear(), name="live-hub")]

    def leave(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.get(topic, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(topic, None)
            self._wanted.set()

    def tell(self, topic: str, hint: dict[str, Any]) -> None:
        for listener in list(self._listeners.get(topic, ())):
            listener(hint)

    async def _hear(self) -> None:
        while self._listeners:
            try:
                await self._hear_until_failure()
            except asyncio.CancelledError:
                raise
            except Exception as down:  # any failure of the layer means the same: try again, sockets probe meanwhile
                log.warning("live: the channel layer does not answer (%s); trying again", down)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _hear_until_failure(self) -> None:
        layer: Any = get_channel_layer()
        if layer is None:
            raise RuntimeError("no channel layer is configured")
        channel = await layer.new_channel("hub.")
        await layer.group_add(GROUP, channel)
        self._begun = set()
        reading = asyncio.create_task(self._read(layer, channel), name="live-hub-read")
        try:
            while self._listeners:
                self._wanted.clear()
                self._begin()
                changed = asyncio.create_task(self._wanted.wait())
                await asyncio.wait({changed, reading}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if reading.done():
                    reading.result()
            await layer.group_discard(GROUP, channel)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _begin(self) -> None:
        """Tell those who have begun to listen that they are heard."""
        for topic in set(self._listeners) - self._begun:
            self.tell(topic, {})
        self._begun = set(self._listeners)

    async def _read(self, layer: Any, channel: str) -> None:
        while True:
            message = await layer.receive(channel)
            for topic, news in message["news"].items():
                self.tell(topic, news)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
