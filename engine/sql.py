"""Statements of the hot paths, prepared where the database can, past the ORM but on Django's connection.

The ORM takes longer to put such a statement together than the database to carry it out. Nothing here knows a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from typing import Any

import psycopg
from django.db import connection

Row = Sequence[Any]
_PREPARE_AFTER = 2  # executions; a statement that comes again is planned once


class NeedsLock(Exception):
    """A change that was to be one statement needs others as well."""


_only_reads: ContextVar[bool] = ContextVar("graflow_only_reads", default=False)


@contextmanager
def only_reads() -> Iterator[None]:
    """Inside, everything but a SELECT raises NeedsLock, whoever sends it; who uses `cursor` answers for himself."""
    token = _only_reads.set(True)
    try:
        with connection.execute_wrapper(_refuse_writes):
            yield
    finally:
        _only_reads.reset(token)


def _refuse_writes(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not sql.startswith("SELECT"):
        raise NeedsLock(sql[:40])
    return execute(sql, params, many, context)


@cache
def on_postgresql() -> bool:
    return connection.vendor == "postgresql"


def row(sql: str, values: Row) -> Any:
    """The one row a statement gives; None when it gives none. Values stand as `%s`."""
    return _executed(sql, values).fetchone()


def rows(sql: str, values: Row) -> list[Row]:
    """The rows a statement gives."""
    found: list[Row] = _executed(sql, values).fetchall()
    return found


def _executed(sql: str, values: Row) -> Any:
    if _only_reads.get() and not sql.startswith("SELECT"):
        raise NeedsLock(sql[:40])
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if on_postgresql():
            return cursor().execute(numbered(sql), values)
        return connection.connection.execute(_marks(sql), as_texts(values))


def cursor() -> psycopg.RawCursor[Any]:
    """On PostgreSQL: a cursor that binds on the server's side, unlike Django's, so that statements can be prepared; and
    one that takes them as they are: looking for `%s` in a long text would cost as much as planning a task.
    """
    wire: psycopg.Connection[Any] = connection.connection
    if wire.prepare_threshold is None:
        wire.prepare_threshold = _PREPARE_AFTER
    return psycopg.RawCursor(wire)


@cache
def numbered(sql: str) -> bytes:
    """The statement with its values numbered, as PostgreSQL wants them."""
    first, *others = sql.split("%s")
    return (first + "".join(f"${place}{text}" for place, text in enumerate(others, 1))).encode()


@cache
def _marks(sql: str) -> str:
    return sql.replace("%s", "?")


def as_texts(values: Row) -> list[Any]:
    """Values as Django keeps them in SQLite."""
    return [str(value.astimezone(UTC).replace(tzinfo=None)) if type(value) is datetime else value for value in values]


__all__ = ["NeedsLock", "Row", "as_texts", "cursor", "numbered", "on_postgresql", "only_reads", "row", "rows"]
