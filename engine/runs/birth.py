"""The first change of a run: its row, its tasks, and what is ready at once.

    begin(...)               in the present transaction, in which the run's row was made
    begin_at_a_stroke(...)   one statement that is the whole deed, with its entry of the audit log; PostgreSQL only

Either way nothing of the run is there before it is all there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache

from django.db import connection

from engine import sql
from engine.access import audit
from engine.access.models import AuditEntry
from engine.core.plan import Plan
from engine.core.state import RunState
from engine.runs.ledger import RUN, Unit
from engine.runs.models import Run
from engine.runs.rows import RowChannels, RowTable
from engine.runs.statements import ATTEMPTS, EVENTS, NEW_TASKS, Moved, Writes, encode, named
from engine.sql import Row, only_reads

Step = Callable[[Unit], None]


def begin(run: Run, plan: Plan, step: Step) -> None:
    """As `change`, for a run whose row was made in the present transaction: it gets its tasks and starts."""
    unit = _unit(run, plan)
    unit.table.save(list(unit.table), unit.writes)
    step(unit)
    unit.settle()
    unit.keep()


def begin_at_a_stroke(run: Run, plan: Plan, step: Step, entry: AuditEntry, waiting: int) -> None:
    """As `begin`, for a run that has no row yet, without a transaction around it. `waiting`: attempts on the wire.

    Raises NeedsLock when the start writes more than one statement can, Moved when the audit log has no end yet to append
    `entry` to; nothing was written then, and `run` must not be used again.
    """
    unit = _unit(run, plan)
    unit.writes, unit.waiting = _Birth(run, entry), waiting
    unit.changed.update(unit.table)
    with only_reads():
        step(unit)
        unit.settle()
        unit.keep()


def _unit(run: Run, plan: Plan) -> Unit:
    at = run.created_at.timestamp()
    state = RunState.for_plan(plan, inputs=run.inputs)
    table = RowTable(run.pk, complete=True)
    for task in state.tasks.values():
        task.at = at
        table.new(task)
    state.tasks, state.channels = table, RowChannels(run.pk)
    return Unit(run, plan, state, at)


class _Birth(Writes):
    """What the first change of a run writes. Nothing of it is there yet: rows get the ids of others as they are made."""

    def __init__(self, run: Run, entry: AuditEntry) -> None:
        super().__init__()
        self.run, self.entry = run, entry
        self.tasks: Sequence[Row] = ()

    def add_tasks(self, given: Sequence[Row]) -> dict[str, int]:
        self.tasks = given
        return {}

    def send(self, expected: int | None = None) -> dict[str, int]:
        """Write the run as it is now; the ids of its attempts by their nonce. Raises Moved."""
        parts, values = audit.appended(self.entry)
        connection.ensure_connection()
        with connection.wrap_database_errors:
            found = sql.cursor().execute(_statement(parts), (*values, *self._given())).fetchone()
        if found is None:
            raise Moved
        self.run.pk, nonces, ids = found
        return dict(zip(nonces or (), ids or (), strict=True))

    def _given(self) -> list[str]:
        run = {
            str(field.column): field.get_db_prep_save(getattr(self.run, field.attname), connection) for field in _FIELDS
        }
        some = [(NEW_TASKS, self.tasks), (ATTEMPTS, self.rows["attempts"]), (EVENTS, self.rows["events"])]
        return [
            json.dumps(run, default=str),
            *(encode([named(columns, values) for values in rows]) for columns, rows in some),
        ]


_FIELDS = [field for field in RUN.fields if not field.primary_key]


@cache
def _statement(audited: str) -> bytes:
    """`audited` are the parts that append to the audit log. Then come the run, its tasks, attempts and events as JSON."""
    columns, picked = (", ".join(f"{prefix}{field.column}" for field in _FIELDS) for prefix in ("", "n."))
    run = f"INSERT INTO engine_run ({columns}) SELECT {picked} FROM json_populate_record(NULL::engine_run, %s::json) AS n, entry"  # noqa: S608
    return sql.numbered(
        f"WITH {audited}, run AS ({run} RETURNING id), "  # noqa: S608
        f"tasks AS ({_insertion('engine_runtask', NEW_TASKS)} RETURNING id, key), "
        f"attempts AS ({_insertion('engine_attempt', ATTEMPTS)} JOIN tasks USING (key) RETURNING id, nonce), "
        f"events AS ({_insertion('engine_runevent', EVENTS)}) "
        "SELECT id, (SELECT array_agg(nonce ORDER BY id) FROM attempts), (SELECT array_agg(id ORDER BY id) FROM attempts) "
        "FROM run"
    )


def _insertion(table: str, columns: dict[str, str]) -> str:
    """Rows of the run. An attempt finds its task by their key; an event names it by that."""
    typed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    source = {"run_id": "run.id", "task_id": "tasks.id"} if table == "engine_attempt" else {"run_id": "run.id"}
    picked = ", ".join(source.get(column, f"n.{column}") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {picked} FROM run, json_to_recordset(%s::json) AS n({typed})"  # noqa: S608


__all__ = ["begin", "begin_at_a_stroke"]
