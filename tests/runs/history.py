"""A long history for tests of plans, made in SQL within a transaction that is rolled back."""

from __future__ import annotations

from django.db import connection

from engine.runs.models import Attempt, Run


def add_history(runs: int, each: int) -> None:
    """Copies of a run that has ended, as if they were counted, with `each` attempts of their own."""
    run = ", ".join(f.column for f in Run._meta.concrete_fields if f.column not in ("id", "public_id", "counted"))
    attempt = ", ".join(f.column for f in Attempt._meta.concrete_fields if f.column not in ("id", "run_id", "number"))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO engine_run (public_id, counted, {run}) SELECT gen_random_uuid(), true, {run} FROM "
            f"(SELECT * FROM engine_run WHERE ended_at IS NOT NULL ORDER BY id LIMIT 1) AS old, generate_series(1, {runs})"
        )
        cursor.execute(
            f"INSERT INTO engine_attempt (run_id, number, {attempt}) "
            f"SELECT ended.id, 100 + row_number() OVER (), {attempt} FROM "
            f"(SELECT {attempt} FROM engine_attempt WHERE state = 'ok' ORDER BY id LIMIT 1) AS old, "
            f"(SELECT id FROM engine_run WHERE counted) AS ended, generate_series(1, {each})"
        )
        cursor.execute("ANALYZE engine_run, engine_attempt")


def plan(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql)
        return sql + "\n" + "\n".join(row[0] for row in cursor.fetchall())
