"""Channels: data that tasks of one run share by name and key.

A body writes into a buffer that others see together when the body succeeds. `incr` and `append` stay what
they are until then, so that parallel writers never lose an update.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from engine.core.errors import ChannelError

Operation = Literal["set", "incr", "append", "delete"]


class Write(NamedTuple):
    """One buffered change of a channel."""

    channel: str
    operation: Operation
    key: str
    value: Any = None


class ChannelStore(Protocol):
    """Where the committed values of a run live."""

    def read(self, channel: str, key: str) -> tuple[bool, Any]:
        """(is there, value): a stored None is not a missing key."""

    def keys(self, channel: str) -> list[str]: ...

    def commit(self, writes: Iterable[Write]) -> None:
        """Apply all writes together."""


_MISSING: Any = object()
_NO_NUMBERS = (str, bytes, list, tuple)  # they could be added all the same


class Channel:
    """One channel as a task sees it: committed values below its own writes."""

    def __init__(self, name: str, store: ChannelStore | None = None, writes: list[Write] | None = None) -> None:
        self.name = name
        self._store: ChannelStore = store if store is not None else MemoryChannels()
        self._writes = writes  # None: write through
        self._own: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        self._write("set", key, value)
        self._own[key] = value

    def get(self, key: str, default: Any = None) -> Any:
        value = self._value(key)
        return default if value is _MISSING else value

    def incr(self, key: str, by: float = 1) -> Any:
        """Add to a number (0 when missing); returns the value as this body sees it."""
        value = self._applied("incr", key, by)
        self._write("incr", key, by)
        self._own[key] = value
        return value

    def append(self, key: str, value: Any) -> list[Any]:
        """Add to the end of a list (empty when missing); returns the list as this body sees it."""
        values: list[Any] = self._applied("append", key, value)
        self._write("append", key, value)
        self._own[key] = values
        return values

    def delete(self, key: str) -> None:
        self._write("delete", key)
        self._own[key] = _MISSING

    def keys(self) -> list[str]:
        names = dict.fromkeys(self._store.keys(self.name))
        for key, value in self._own.items():
            if value is _MISSING:
                names.pop(key, None)
            else:
                names[key] = None
        return list(names)

    def _value(self, key: str) -> Any:
        if key in self._own:
            return self._own[key]
        found, value = self._store.read(self.name, key)
        return value if found else _MISSING

    def _applied(self, operation: Operation, key: str, value: Any) -> Any:
        current = self._value(key)
        exists = current is not _MISSING
        return applied(Write(self.name, operation, key, value), exists, current if exists else None)

    def _write(self, operation: Operation, key: str, value: Any = None) -> None:
        write = Write(self.name, operation, key, value)
        if self._writes is None:
            self._store.commit([write])
            self._own.clear()
        else:
            self._writes.append(write)


class MemoryChannels:
    """The channels of one local run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data: dict[str, dict[str, Any]] = {}

    @property
    def data(self) -> Mapping[str, Mapping[str, Any]]:
        return self._data

    def read(self, channel: str, key: str) -> tuple[bool, Any]:
        values = self._data.get(channel, {})
        return (True, values[key]) if key in values else (False, None)

    def keys(self, channel: str) -> list[str]:
        return list(self._data.get(channel, {}))

    def commit(self, writes: Iterable[Write]) -> None:
        with self._lock:
            changed: dict[str, dict[str, Any]] = {}
            for write in writes:
                values = changed.setdefault(write.channel, dict(self._data.get(write.channel, {})))
                if write.operation == "delete":
                    values.pop(write.key, None)
                else:
                    values[write.key] = applied(write, write.key in values, values.get(write.key))
            self._data.update(changed)  # all or, when one does not fit its value, nothing


def applied(write: Write, exists: bool, current: Any) -> Any:
    """The new value of a key after a set, incr or append. Raises ChannelError, a TypeError, where it does not fit."""
    if write.operation == "set":
        return write.value
    place = f"channel {write.channel!r}, key {write.key!r}"
    if write.operation == "append":
        if exists and (not isinstance(current, Iterable) or isinstance(current, (str, bytes, Mapping))):
            raise ChannelError(
                f"{place}: append adds to a list, not to {_told(current)}; use another key, or set a list."
            )
        return [*(current if exists else []), write.value]
    before = current if exists else 0
    try:
        if not isinstance(before, _NO_NUMBERS) and not isinstance(write.value, _NO_NUMBERS):
            return before + write.value
    except TypeError:
        pass
    told = (
        f"{place}: incr adds numbers, and cannot add {_told(write.value)} to {_told(before)}; use set for other values."
    )
    raise ChannelError(told) from None


def _told(value: Any) -> str:
    return f"{value!r:.60} ({type(value).__name__})"
