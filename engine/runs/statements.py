"""The statements every change of a run needs, written once and sent together.

The ORM defines the tables and serves everything else. A change writes to the same few tables again and again:
here PostgreSQL gets its statements in one trip, prepared, and SQLite without a query being built each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

from engine.runs import database

Row = Sequence[Any]
_PREPARE_AFTER = 2  # executions; a statement that comes again is planned once


class Batch:
    """Statements of the present transaction, kept until `send`. What comes back is handed to `then`, in order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Row, Callable[[Any], None] | None]] = []

    def add(self, sql: str, row: Row, then: Callable[[Any], None] | None = None) -> None:
        """`sql` has a %s for each value of `row`. `then` gets the cursor after the statement was carried out."""
        self._waiting.append((sql, row, then))

    def send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if database.on_postgresql():
            _in_one_trip(waiting)
        else:
            _one_by_one(waiting)


def _in_one_trip(waiting: list[tuple[str, Row, Callable[[Any], None] | None]]) -> None:
    connection.ensure_connection()
    wire: psycopg.Connection[Any] = connection.connection
    if wire.prepare_threshold is None:
        wire.prepare_threshold = _PREPARE_AFTER
    cursors: list[tuple[psycopg.Cursor[Any], Callable[[Any], None]]] = []
    with connection.wrap_database_errors, wire.pipeline():
        for sql, row, then in waiting:
            cursor = psycopg.Cursor(wire)
            cursor.execute(sql, row)
            if then is not None:
                cursors.append((cursor, then))
    for cursor, then in cursors:
        then(cursor)


def _one_by_one(waiting: list[tuple[str, Row, Callable[[Any], None] | None]]) -> None:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        for sql, row, then in waiting:
            cursor = connection.connection.execute(_marks(sql), [_for_sqlite(value) for value in row])
            if then is not None:
                then(cursor)


_known: dict[str, str] = {}


def _marks(sql: str) -> str:
    """The statement with SQLite's marks for values."""
    if sql not in _known:
        _known[sql] = sql.replace("%s", "?")
    return _known[sql]


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def update(table: str, columns: Sequence[str], where: str) -> str:
    """An UPDATE of these columns. All three are written in our code: nothing of them comes from outside."""
    marks = ", ".join(f"{name} = %s" for name in columns)
    return f"UPDATE {table} SET {marks} WHERE {where}"  # noqa: S608


def insert(table: str, columns: Sequence[str], returning: str = "") -> str:
    marks = ", ".join(["%s"] * len(columns))
    more = f" RETURNING {returning}" if returning else ""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}){more}"  # noqa: S608


__all__ = ["Batch", "insert", "update"]
