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

from engine.core.channel import ChannelStore, MemoryChannels, Write, applied
from engine.execution.redis_wire import KEEP_SECONDS, Keys, dumps, script, text

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

    def touch(self) -> None:
        """Keep the values for another while."""
        self._client.expire(self._keys.channels, KEEP_SECONDS)
        self._client.expire(self._keys.version, KEEP_SECONDS)

    def clear(self) -> None:
        """Leave nothing behind."""
        self._client.delete(self._keys.channels, self._keys.version)


class MirroredChannels(MemoryChannels):
    """The channels of a run whose bodies read a second store: what is committed stands in both."""

    def __init__(self, own: MemoryChannels, mirror: ChannelStore) -> None:
        super().__init__()
        self._data = own._data
        self._mirror = mirror
        self._both = threading.Lock()

    def commit(self, writes: Iterable[Write]) -> None:
        wanted = list(writes)
        with self._both:
            self._mirror.commit(wanted)
            super().commit(wanted)


def _field(channel: str, key: str) -> str:
    return json.dumps([channel, key], separators=(",", ":"))
