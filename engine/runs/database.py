"""What differs between PostgreSQL and SQLite: clocks, who may write, what is worth another try.

On PostgreSQL a run is locked by its row. SQLite has one writer at a time and wakes waiting processes unfairly,
so writers first queue on an advisory lock on a file beside the database; the transaction behind it begins
IMMEDIATE and has the whole database for itself.
"""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, models, transaction

from engine.sql import on_postgresql as on_postgresql
from engine.sql import row

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_TRIES = 5
YOUNG_SECONDS = 60  # a process that has made its lock file holds it long before
_RETRY_STATES = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock timeout
_held = threading.local()
_alive: list[int] = []  # handles whose locks say that this process lives


class _Clock(models.Func):
    """The wall clock of PostgreSQL, not the start of the transaction."""

    function = "CLOCK_TIMESTAMP"
    output_field = models.DateTimeField()


def now() -> datetime:
    """The database's time. SQLite has no clock of its own: all its users share the machine's."""
    if not on_postgresql():
        return datetime.now(UTC)
    moment: datetime = row("SELECT clock_timestamp()", ())[0]
    return moment


def in_seconds(seconds: float) -> Any:
    """The database's time `seconds` from now, for use inside a statement."""
    if on_postgresql():
        return models.ExpressionWrapper(_Clock() + timedelta(seconds=seconds), output_field=models.DateTimeField())
    return datetime.now(UTC) + timedelta(seconds=seconds)


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that is going to write. Inside another one it is simply part of it."""
    if connection.in_atomic_block or on_postgresql():
        with transaction.atomic():
            yield
        return
    with _file_lock(), transaction.atomic():
        yield


@contextmanager
def _file_lock() -> Iterator[None]:
    path = _lock_path()
    if path is None or getattr(_held, "inside", False):
        yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _held.inside = True
        yield
    finally:
        _held.inside = False
        # Not by closing alone: a child forked meanwhile has the same handle and would keep the lock.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _lock_path(suffix: str = ".lock") -> str | None:
    """The file beside the database; None for a database in memory, which only one process can see."""
    name = str(connection.settings_dict["NAME"])
    return None if ":memory:" in name or "mode=memory" in name else name + suffix


@contextmanager
def only_engine() -> Iterator[bool]:
    """Gives True to the one engine process a SQLite file may have; always True on PostgreSQL."""
    path = None if on_postgresql() else _lock_path(".engine")
    if path is None:
        yield True
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            _forget_workers()
            yield True
    finally:
        os.close(handle)


def _forget_workers() -> None:
    """Remove the locks that workers left behind. A young one may be about to be taken, so it stays."""
    file = Path(str(connection.settings_dict["NAME"]))
    for path in file.parent.glob(f"{glob.escape(file.name)}.worker-*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > YOUNG_SECONDS:
                _is_held(path.name.removeprefix(f"{file.name}."), removed=True)


RETENTION = 0x6772_6166_0001
"""A name for `alone`, which all programs in the same PostgreSQL database share."""


def alone(subject: int, work: Callable[[], int]) -> int:
    """Do something that only one process of all hosts does at a time; 0 when another one is at it.

    On PostgreSQL it is one transaction, whose end gives the lock back: one of the session would stay behind at pgbouncer.
    A SQLite file has one engine process anyway.
    """
    if not on_postgresql():
        return work()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [subject])
            is_free: bool = cursor.fetchone()[0]
        return work() if is_free else 0


def say_alive(process: str) -> None:
    """On SQLite: hold a lock that the system gives back when this process and its children are gone."""
    path = None if on_postgresql() else _lock_path(f".{process}")
    if path is not None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        _alive.append(handle)


def is_alive(process: str) -> bool:
    """Whether a process that said so is still there. SQLite only: all its processes share one machine."""
    return _is_held(process, removed=True) is True


def is_gone(process: str) -> bool:
    """Whether the system knows that a process which said it is alive has ended, however fresh its last sign is.
    Never on PostgreSQL, where it may run on another machine.
    """
    return not on_postgresql() and _is_held(process) is False


def _is_held(process: str, *, removed: bool = False) -> bool | None:
    """Whether the lock of `say_alive` is held; None where there can be none. What a dead process left behind can be
    `removed`, if no other process will ever take its name.
    """
    path = _lock_path(f".{process}")
    if path is None:
        return None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        if removed:
            Path(path).unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)


def retried(change: Callable[[], T]) -> T:
    """Run a transaction again when the database asks for it, at most five times.

    Safe because every change is guarded. Inside an outer transaction there is nothing to repeat.
    """
    for tries in range(1, MAX_TRIES + 1):
        try:
            return change()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or tries == MAX_TRIES or not _is_passing(error):
                raise
            log.info("database: try %d of a change failed, once more: %s", tries, error)
            if not connection.is_usable():
                connection.close()
            time.sleep(random.uniform(0.5, 1.5) * 0.02 * 2**tries)
    raise AssertionError("unreachable")


def _is_passing(error: OperationalError | InterfaceError) -> bool:
    if not on_postgresql():
        return "locked" in str(error) or "busy" in str(error)
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _RETRY_STATES or state is None or state.startswith(("08", "57P"))
