"""The three sockets: one run, the inbox, the monitor.

A socket is checked when it opens, again every minute, and at once when its person's rights change. Frames from
a client are small and few: `{"ack": seq}` and `{"after": seq}`; everything else is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from engine.access import policy, rates
from engine.core.errors import Forbidden, NotFound, RequestError
from engine.live import hub as hubs
from engine.live.handshake import fresh_user
from engine.live.tail import COALESCE_SECONDS, Json, Tail, read_events, tail
from engine.runs import api

log = logging.getLogger(__name__)

RECHECK_SECONDS = 60.0
MAX_FRAME_BYTES = 64 * 1024
MAX_FRAMES_PER_SECOND = 20
MAX_SOCKETS = 20  # of one person, in one web process

WINDOW_EVENTS, WINDOW_BYTES = 256, 1_000_000
ACK_SECONDS = 60.0
MAX_BEHIND = 500

INBOX_SECONDS = 0.25
METRICS_SECONDS = 2.0

UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, NO_ACK, TOO_BIG, TOO_MANY = 4401, 4403, 4404, 4408, 1009, 4429


class Refused(Exception):
    """The socket must close with this code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class Socket(AsyncWebsocketConsumer):
    """What all sockets share. A kind of socket says who may open it (`admit`) and what it sends (`work`)."""

    channel_layer_alias = "none"  # the hub listens for all sockets of the process

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._frames: deque[float] = deque(maxlen=MAX_FRAMES_PER_SECOND)
        self._counted = False
        self._recheck = asyncio.Event()

    async def admit(self) -> None:
        """Raise Refused, Forbidden or NotFound when `self.user` may not watch this."""
        raise NotImplementedError

    async def work(self) -> None:
        """Send frames until cancelled."""
        raise NotImplementedError

    async def on_frame(self, frame: Json) -> None:
        """Take a frame from the client; those without a meaning are ignored."""

    async def connect(self) -> None:
        self.hub = hubs.hub()
        try:
            await self._enter()
        except Refused as refused:
            await self._turn_away(refused.code)
            return
        await self.accept()
        self._tasks = [asyncio.create_task(self._guarded(part)) for part in (self.work(), self._watch_rights())]

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._counted:
            self.hub.leave(hubs.user_topic(self.user.pk), self._rights_changed)
            self.hub.sockets[self.user.pk] -= 1
            self._counted = False
        await self.gone()

    async def gone(self) -> None:
        """Let go of what `work` took."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        now = time.monotonic()
        if bytes_data is not None or len(text_data or "") > MAX_FRAME_BYTES:
            await self.close(TOO_BIG)
            return
        if len(self._frames) == MAX_FRAMES_PER_SECOND and now - self._frames[0] < 1.0:
            await self.close(TOO_MANY)
            return
        self._frames.append(now)
        with contextlib.suppress(ValueError, RecursionError):
            frame = json.loads(text_data or "")
            if isinstance(frame, dict):
                await self.on_frame(frame)

    async def push(self, frame: Json) -> int:
        """Send one frame; returns its size in characters."""
        text = json.dumps(frame, separators=(",", ":"))
        await self.send(text_data=text)
        return len(text)

    async def _enter(self) -> None:
        self.user = self.scope["user"]
        if not self.user.is_authenticated:
            raise Refused(UNAUTHENTICATED)
        if await database_sync_to_async(rates.seconds_to_wait)("socket", f"user:{self.user.pk}") is not None:
            raise Refused(TOO_MANY)
        if self.hub.sockets[self.user.pk] >= MAX_SOCKETS:
            raise Refused(TOO_MANY)
        await self._admit()
        self.hub.sockets[self.user.pk] += 1
        self._counted = True
        self.hub.listen(hubs.user_topic(self.user.pk), self._rights_changed)

    async def _admit(self) -> None:
        try:
            await self.admit()
        except NotFound:
            raise Refused(NOT_FOUND) from None
        except Forbidden:
            raise Refused(FORBIDDEN) from None

    async def _turn_away(self, code: int) -> None:
        # Only an accepted socket can tell the browser why it closes.
        await self.accept()
        await self.close(code)

    def _rights_changed(self, hint: Json) -> None:
        if hint:
            self._recheck.set()

    async def _watch_rights(self) -> None:
        while True:
            await hubs.is_set(self._recheck, within=RECHECK_SECONDS)
            self._recheck.clear()
            user = await fresh_user(self.scope)
            if not user.is_authenticated or user.pk != self.user.pk:
                raise Refused(UNAUTHENTICATED)
            self.user = user
            await self._admit()

    async def _guarded(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except Refused as refused:
            await self.close(refused.code)
        except RequestError:
            await self.close(NOT_FOUND)
        except asyncio.CancelledError:
            raise
        except Exception:  # the socket cannot go on; the client comes back with its last seq
            log.exception("live: a socket failed")
            await self.close(1011)


class RunSocket(Socket):
    """The events of one run from `?after=`, in order, nothing twice, nothing missing.

    Sends no more than the window holds until the client acknowledges; what lies beyond stays in the database.
    """

    tail: Tail | None = None
    sent = acked = 0

    async def admit(self) -> None:
        run = self.scope["url_route"]["kwargs"]["run"]
        status = _plain(await database_sync_to_async(api.run_status)(self.user, run))
        self.run, self._seq = str(status["id"]), int(status["seq"])

    async def work(self) -> None:
        self._wake = asyncio.Event()
        self._unacked: deque[tuple[int, int]] = deque()  # last seq and size of each frame
        self._full_since: float | None = None
        self.sent = self.acked = _after(self.scope)
        self.tail = tail(self.hub, self.run, self._seq)
        self.tail.join(self._wake)
        self._wake.set()
        while True:
            if not await hubs.is_set(self._wake, within=hubs.PROBE_SECONDS):
                await self.push({"type": "probe", "run": self.run, "seq": self.tail.last})
            self._wake.clear()
            await self._send_what_follows(self.tail)
            if self._full_since and time.monotonic() - self._full_since > ACK_SECONDS:
                raise Refused(NO_ACK)

    async def gone(self) -> None:
        if self.tail is not None:
            self.tail.leave(self._wake)

    async def on_frame(self, frame: Json) -> None:
        if _is_seq(frame.get("ack")):
            self.acked = min(max(self.acked, frame["ack"]), self.sent)
            while self._unacked and self._unacked[0][0] <= self.acked:
                self._unacked.popleft()
        elif _is_seq(frame.get("after")):
            self._begin_after(frame["after"])
        self._wake.set()

    async def _send_what_follows(self, source: Tail) -> None:
        newest = max(source.last, self._seq)
        if self.sent > newest or newest - self.sent > MAX_BEHIND:
            await self._reload(newest)
        while room := self._room():
            events = source.after(self.sent, room)
            if events is None:
                events = await read_events(self.user, self.run, self.sent, room)
            if not events:
                if self.sent < newest:  # all that follows is archived
                    await self._reload(newest)
                return
            if events[0]["seq"] != self.sent + 1:  # the older ones are trimmed
                await self._reload(newest)
                return
            last = events[-1]["seq"]
            frame = {"type": "events", "run": self.run, "from": self.sent + 1, "to": last, "events": events}
            self.sent = last
            self._unacked.append((last, await self.push(frame)))
            await asyncio.sleep(COALESCE_SECONDS)

    async def _reload(self, newest: int) -> None:
        """Ask the client to fetch the run anew; what follows `newest` will then follow here."""
        await self.push({"type": "reload"})
        self._begin_after(newest)

    def _begin_after(self, seq: int) -> None:
        self.sent = self.acked = seq
        self._unacked.clear()

    def _room(self) -> int:
        """How many events may be sent before the client acknowledges."""
        room = WINDOW_EVENTS - (self.sent - self.acked)
        if room > 0 and sum(size for _, size in self._unacked) < WINDOW_BYTES:
            self._full_since = None
            return room
        self._full_since = self._full_since or time.monotonic()
        return 0


class InboxSocket(Socket):
    """How many requests are open to this person, and which ones changed."""

    async def admit(self) -> None:
        await database_sync_to_async(policy.require)(self.user, "feedback.view")

    async def work(self) -> None:
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.hub.listen(hubs.INBOX_TOPIC, self._hint)
        count: int | None = None
        while True:
            hinted, self._changed = list(self._changed), {}
            self._wake.clear()
            # A hint tells every socket of every request, whoever may see it.
            changed = await database_sync_to_async(api.visible_feedback)(self.user, hinted) if hinted else []
            newest = await database_sync_to_async(api.count_open_feedback)(self.user)
            if newest != count or changed:
                count = newest
                await self.push({"type": "inbox", "count": count, "changed": changed})
            await asyncio.sleep(INBOX_SECONDS)
            await hubs.is_set(self._wake, within=hubs.PROBE_SECONDS)

    async def gone(self) -> None:
        self.hub.leave(hubs.INBOX_TOPIC, self._hint)

    def _hint(self, hint: Json) -> None:
        self._changed.update(dict.fromkeys(hint.get("changed", [])))
        self._wake.set()


class MonitorSocket(Socket):
    """A sample of the metrics every two seconds, for whoever may read them over REST."""

    async def admit(self) -> None:
        await database_sync_to_async(policy.require)(self.user, "run.view")

    async def work(self) -> None:
        while True:
            await self.push({"type": "metrics", **await self._sample()})
            await asyncio.sleep(METRICS_SECONDS)

    async def _sample(self) -> Json:
        """One look at the database serves all sockets of this process whose people see the same workflows."""
        key = f"metrics of {sorted(policy.group_names(self.user))}"
        lock: asyncio.Lock = self.hub.shared.setdefault("metrics", asyncio.Lock())
        async with lock:
            taken, sample = self.hub.shared.get(key, (0.0, {}))
            if time.monotonic() - taken > METRICS_SECONDS * 0.9:
                sample = _plain(await database_sync_to_async(api.metrics)(self.user))
                self.hub.shared[key] = (time.monotonic(), sample)
            found: Json = sample
            return found


def _plain(value: Any) -> Json:
    found: Json = value.as_dict() if hasattr(value, "as_dict") else value
    return found


def _is_seq(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _after(scope: Json) -> int:
    """The `after` of the query; 0, the beginning, when it is missing or no number."""
    values = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("after", [])
    return int(values[0]) if values and values[0].isascii() and values[0].isdigit() and len(values[0]) < 16 else 0
