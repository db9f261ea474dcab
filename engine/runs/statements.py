"""What a change of a run writes, gathered and sent together.

The ORM defines these tables and serves everything else. A change writes to the same five again and again: on
PostgreSQL all of it is one prepared statement, whatever its size, on SQLite one call per table. Nothing is half
written: a guard that does not hold is noticed by `send`, and its caller rolls back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import psycopg
from django.db import connection

from engine import sql
from engine.sql import Row

_TIME, _TEXT, _COUNT, _ID, _FLAG = "timestamptz", "text", "int", "bigint", "bool"
FINISHED = {
    "id": _ID, "worker": _TEXT, "state": _TEXT, "ended_at": _TIME, "inputs": _TEXT, "result": _TEXT,
    "result_blob_id": _TEXT, "error": _TEXT, "traceback": _TEXT, "started_at": _TIME,
}  # fmt: skip
BEGUN = {"id": _ID, "worker": _TEXT, "job": _ID, "lease_until": _TIME, "deadline_at": _TIME, "started_at": _TIME}
TASKS = {
    "id": _ID, "status": _TEXT, "outcome": _TEXT, "reason": _TEXT, "error": _TEXT, "iteration": _COUNT,
    "attempt": _COUNT, "retry_count": _COUNT, "lost_count": _COUNT, "cycle_count": _COUNT, "version": _COUNT,
    "attempt_no": _COUNT, "uses": _TEXT, "memory": _TEXT, "at": "float8", "started_at": _TIME, "ended_at": _TIME,
    "is_new": _FLAG, "result": _TEXT, "result_blob_id": _TEXT,
}  # fmt: skip
NEW_TASKS = {
    "run_id": _ID, "key": _TEXT, "parent": _TEXT, **{name: kind for name, kind in TASKS.items() if name not in ("id", "is_new")},
}  # fmt: skip
ATTEMPTS = {
    "run_id": _ID, "task_id": _ID, "key": _TEXT, "number": _COUNT, "iteration": _COUNT, "attempt": _COUNT,
    "nonce": _TEXT, "queue": _TEXT, "priority": _COUNT, "state": _TEXT, "created_at": _TIME, "publish_after": _TIME,
    "held": _FLAG, "publish_count": _COUNT, "worker": _TEXT, "job": _ID, "lease_until": _TIME, "deadline_at": _TIME,
    "started_at": _TIME,
}  # fmt: skip
EVENTS = {
    "run_id": _ID, "seq": _ID, "type": _TEXT, "task_id": _TEXT, "from_status": _TEXT, "to_status": _TEXT,
    "iteration": _COUNT, "attempt": _COUNT, "at": "float8", "data": _TEXT,
}  # fmt: skip
RUN = {
    "id": _ID, "seq": _ID, "counters": _TEXT, "last_at": "float8", "status": _TEXT, "reason": _TEXT, "paused": _FLAG,
    "started_at": _TIME, "ended_at": _TIME,
}  # fmt: skip
TIMERS = {"run_id": _ID, "fired_at": _TIME}
_TABLES = {
    "run": RUN, "timers": TIMERS, "finished": FINISHED, "begun": BEGUN, "tasks": TASKS, "attempts": ATTEMPTS, "events": EVENTS,
}  # fmt: skip


encode = json.JSONEncoder(separators=(",", ":"), default=datetime.isoformat).encode


class Late(Exception):
    """An attempt that was to be finished no longer belongs to its worker. The transaction must not be kept."""


class Moved(Exception):
    """The run is not where the writer believed it to be, or an attempt that was to begin is no longer to be had.
    Nothing was written; inside a transaction, it must not be kept.
    """


class Writes:
    """Rows for one change, in the order of the columns above. `events` and `attempts` are new rows."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {name: [] for name in _TABLES}

    def add(self, table: str, row: Row) -> None:
        self.rows[table].append(row)

    @property
    def finished(self) -> list[int]:
        """Ids of the attempts that will be over."""
        return [values[0] for values in self.rows["finished"]]

    def add_tasks(self, given: Sequence[Row]) -> dict[str, int]:
        """New tasks, in the order of `NEW_TASKS`; the ids, by their keys, of what is written at once."""
        return new_tasks(given)

    def send(self, expected: int | None = None) -> dict[str, int]:
        """Write everything gathered so far; the ids of new attempts by their nonce. Raises Late.

        With the `expected` seq of the run (PostgreSQL only) this needs no transaction and no lock around it: all
        of it is written if the run is still there, and else nothing, which raises Moved.
        """
        waiting = {name: rows for name, rows in self.rows.items() if rows}
        if not waiting:
            return {}
        self.rows = {name: [] for name in _TABLES}
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return _at_once(waiting, expected) if sql.on_postgresql() else _table_by_table(waiting)


def new_tasks(given: Sequence[Row]) -> dict[str, int]:
    """Write new tasks, in the order of the columns above; their ids by their keys."""
    names = ", ".join(NEW_TASKS)
    if sql.on_postgresql():
        typed = ", ".join(f"{column} {kind}" for column, kind in NEW_TASKS.items())
        text = (
            f"INSERT INTO engine_runtask ({names}) SELECT {names} "  # noqa: S608
            f"FROM json_to_recordset(%s::json) AS n({typed}) RETURNING key, id"
        )
        found = sql.rows(text, [encode([named(NEW_TASKS, values) for values in given])])
        return {key: row_id for key, row_id in found}  # noqa: C416  a row is no pair to the type checker
    text = f"INSERT INTO engine_runtask ({names}) VALUES ({', '.join('?' * len(NEW_TASKS))}) RETURNING key, id"  # noqa: S608
    return dict(sql.row(text, values) for values in given)


# -- PostgreSQL -----------------------------------------------------------------------------------------------------


def _at_once(waiting: dict[str, list[Row]], expected: int | None) -> dict[str, int]:
    # JSON, because it is made in C: one array per column costs the driver more than the database the whole statement.
    given: list[Any] = []
    for name, rows in waiting.items():
        given.append(encode([named(_TABLES[name], values) for values in rows]))
        if name == "run" and expected is not None:
            given.append(expected)
    text = _statement(tuple(waiting), expected is not None)
    try:
        found = (
            sql.cursor()
            .execute(text, (*given, *(len(waiting[name]) for name in _COUNTED if name in waiting)))
            .fetchone()
        )
    except psycopg.errors.DivisionByZero:
        raise Late from None
    except psycopg.errors.InvalidArgumentForLogarithm:
        raise Moved from None
    if found is None:
        raise Moved
    nonces, ids = found
    return dict(zip(nonces or (), ids or (), strict=True))


def named(columns: Iterable[str], values: Row) -> dict[str, Any]:
    """Without what is NULL: a column that is not named is NULL too."""
    return {name: value for name, value in zip(columns, values, strict=True) if value is not None}


@cache
def _statement(names: tuple[str, ...], is_guarded: bool) -> bytes:
    """One statement for these tables; it takes their rows as JSON, then how many attempts must be found to finish
    and to begin. Where fewer are found it fails, which undoes all of it: by a division by zero, or by its logarithm.
    """
    parts = [f"{name} AS ({_part(name, is_guarded)})" for name in names]
    gone = "NOT EXISTS (SELECT 1 FROM run) OR " if is_guarded else ""
    checks = [
        failing.format(f"CASE WHEN {gone}(SELECT count(*) FROM {name}) = %s THEN 1 ELSE 0 END")  # noqa: S608
        for name, failing in _COUNTED.items()
        if name in names
    ]
    made = "(SELECT array_agg({0} ORDER BY id) FROM attempts)" if "attempts" in names else "NULL"
    found = f"{made.format('nonce')}, {made.format('id')}"
    source = "FROM run " if is_guarded else ""
    return sql.numbered(f"WITH {', '.join(parts)} SELECT {found} {source}WHERE {' AND '.join(checks or ['true'])}")


def _part(name: str, is_guarded: bool) -> str:
    columns = _TABLES[name]
    names = ", ".join(columns)
    typed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    given = f"json_to_recordset(%s::json) AS n({typed})"
    # Whatever reads from `run` waits for its row, which is the lock, and finds none when the run has moved on.
    there = "EXISTS (SELECT 1 FROM run)" if is_guarded and name != "run" else "true"
    if name in _NEW:
        returning = " RETURNING id, nonce" if name == "attempts" else ""
        return f"INSERT INTO {_NEW[name]} ({names}) SELECT {names} FROM {given} WHERE {there}{returning}"  # noqa: S608
    where = f"{_WHERE[name]} AND {_FEW.format(next(iter(columns)))} AND {there}" + (
        " AND t.seq = %s" if is_guarded and name == "run" else ""
    )
    return f"UPDATE {_TARGET[name]} AS t SET {_changes(name, 'n.')} FROM {given} WHERE {where} RETURNING 1"  # noqa: S608


_FEW = "n.{0} + 0 = n.{0}"
"""Always true, and to the planner so rare that it looks each row up by its key. Else it joins them with the whole table
as long as that is small, and a prepared statement keeps the plan while the table grows.
"""
_COUNTED = {"finished": "1 / {} = 1", "begun": "ln({}) = 0"}
_NEW = {"attempts": "engine_attempt", "events": "engine_runevent"}
_TARGET = {
    "finished": "engine_attempt",
    "begun": "engine_attempt",
    "tasks": "engine_runtask",
    "run": "engine_run",
    "timers": "engine_timer",
}
_WHERE = {
    # Put so that no index on what is claimed or dispatched fits: it holds few rows, but all that have just left it.
    "finished": "t.id = n.id AND t.state || '' IN ('claimed', 'reserved') AND t.worker = n.worker",
    "begun": "t.id = n.id AND t.state || '' = 'dispatched'",
    "tasks": "t.id = n.id",
    "run": "t.id = n.id",
    "timers": "t.run_id = n.run_id AND t.fired_at IS NULL",
}
_FIXED = {
    "finished": ["lease_until = NULL", "started_at = coalesce({n}started_at, t.started_at)"],
    "begun": ["state = 'claimed'", "held = false"],
    "tasks": [],
    "run": [],
    "timers": [],
}


def _changes(name: str, n: str) -> str:
    """The assignments of an UPDATE; a task's result is left as it is unless it is new."""
    left_out = {"id", "is_new", "result", "result_blob_id"} if name == "tasks" else {"id"}
    if name in ("finished", "timers"):
        left_out = {"id", "run_id", "worker", "started_at"}
    changes = [f"{column} = {n}{column}" for column in _TABLES[name] if column not in left_out]
    if name == "tasks":
        changes += [f"{c} = CASE WHEN {n}is_new THEN {n}{c} ELSE t.{c} END" for c in ("result", "result_blob_id")]
    return ", ".join(changes + [text.format(n=n) for text in _FIXED[name]])


# -- SQLite ---------------------------------------------------------------------------------------------------------


def _table_by_table(waiting: dict[str, list[Row]]) -> dict[str, int]:
    made: dict[str, int] = {}
    for name, rows in waiting.items():
        kept = [sql.as_texts(values) for values in rows]
        if name == "attempts":
            nonce = list(ATTEMPTS).index("nonce")
            for values in kept:
                made[values[nonce]] = connection.connection.execute(_lite("attempts"), values).lastrowid
            continue
        done = connection.connection.executemany(_lite(name), kept)
        if name in _COUNTED and done.rowcount != len(kept):
            raise Late if name == "finished" else Moved
    return made


@cache
def _lite(name: str) -> str:
    """The statement for one row of a table; the values are numbered, because an UPDATE names some twice."""
    columns = list(_TABLES[name])
    if name in _NEW:
        return f"INSERT INTO {_NEW[name]} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    text = f"{_changes(name, 'n.')} WHERE {_WHERE[name]}"
    for place, column in sorted(enumerate(columns, 1), key=lambda item: -len(item[1])):
        text = text.replace(f"n.{column}", f"?{place}")
    return f"UPDATE {_TARGET[name]} AS t SET {text}"  # noqa: S608


__all__ = ["Late", "Moved", "Writes", "encode", "named", "new_tasks"]
