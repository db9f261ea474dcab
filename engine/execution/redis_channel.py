"""Channels of one run in Redis, so that bodies in other processes read them where they are.

A commit computes the new values here, with the same rules as everywhere, and one script stores all of them
unless another commit came in between; then it starts again. So no `incr` or `append` is ever lost.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import redis

from engine.core.channel import MemoryChannels, Write, applied
from engine.execution.redis_wire import KEEP_SECONDS, Keys, check_json, dumps, script, text

_MISSING: Any = object()


class RedisChannels:
    """A ChannelStore under `prefix`. Values must have a JSON form; others raise TypeError and change nothing."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._keys = client, Keys(prefix)
        self._commit = script(client, "commit")

    def read(self, channel: str, key: str) -> tuple[bool, Any]:
        found: Any = self._client.hget(self._keys.channels, _field(channel, key))
        return (False, None) if found is None else (True, json.loads(found))

    def keys(self, channel: str) -> list[str]:
        fields: Any = self._client.hkeys(self._keys.channels)
        places = [json.loads(text(field)) for field in fields]
        return [key for name, key in places if name == channel]

    def commit(self, writes: Iterable[Write]) -> None:
        wanted = list(writes)
        fields = list(dict.fromkeys(_field(write.channel, write.key) for write in wanted))
        tries = 0
        while fields and not self._store(wanted, fields):
            tries += 1
            time.sleep(random.uniform(0, min(0.05, 0.001 * tries)))

    def _store(self, writes: list[Write], fields: list[str]) -> bool:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.get(self._keys.version)
            pipe.hmget(self._keys.channels, fields)
            version, stored = pipe.execute()
        values = {
            field: _MISSING if raw is None else json.loads(raw) for field, raw in zip(fields, stored, strict=True)
        }
        for write in writes:
            field = _field(write.channel, write.key)
            if write.operation == "delete":
                values[field] = _MISSING
            else:
                exists = values[field] is not _MISSING
                values[field] = applied(write, exists, values[field] if exists else None)
        gone = [field for field, value in values.items() if value is _MISSING]
        kept = [part for field, value in values.items() if value is not _MISSING for part in (field, dumps(value))]
        arguments: list[str | int] = [
            text(version) if version is not None else "0",
            KEEP_SECONDS,
            len(gone),
            *gone,
            *kept,
        ]
        return bool(self._commit(keys=[self._keys.channels, self._keys.version], args=arguments))

    def load(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Store all of `data`, as set by hand."""
        self.commit(Write(name, "set", key, value) for name, values in data.items() for key, value in values.items())

    def exists(self) -> bool:
        """Whether anything was ever committed here, and is still known."""
        return bool(self._client.exists(self._keys.version))

    def clear(self) -> None:
        """Leave nothing behind."""
        self._client.delete(self._keys.channels, self._keys.version)


class MirroredChannels(MemoryChannels):
    """The channels of a run whose bodies read them in Redis: what is committed stands in both places."""

    def __init__(self, own: MemoryChannels, mirror: RedisChannels) -> None:
        super().__init__()
        self._data = own._data
        self._mirror = mirror
        self._both = threading.Lock()

    def commit(self, writes: Iterable[Write]) -> None:
        """Raises TypeError, and changes nothing, for a value without a JSON form."""
        wanted = list(writes)
        for write in wanted:
            check_json(write.value, f"{write.channel}:{write.key}")
        with self._both:
            super().commit(wanted)
            # Values, not changes: the mirror cannot drift from the run even if Redis has forgotten some.
            self._mirror.commit(self._as_it_is(write) for write in wanted)

    def _as_it_is(self, write: Write) -> Write:
        found, value = self.read(write.channel, write.key)
        return Write(write.channel, "set" if found else "delete", write.key, value)

    def restore(self) -> None:
        """Load everything again if Redis has lost it."""
        with self._both:
            if self._data and not self._mirror.exists():
                self._mirror.load(self._data)


def _field(channel: str, key: str) -> str:
    return json.dumps([channel, key], separators=(",", ":"))
