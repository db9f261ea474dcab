"""What the disk allows: single commits per second, one row updated in each."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import psycopg


def postgres(connect: dict[str, Any], seconds: float) -> float:
    """On the product's own PostgreSQL, in a table of its own."""
    with psycopg.connect(**connect, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (id int PRIMARY KEY, number int)")
        connection.execute("INSERT INTO bench_commits VALUES (1, 0) ON CONFLICT DO NOTHING")
        return _rate(lambda: connection.execute("UPDATE bench_commits SET number = number + 1 WHERE id = 1"), seconds)


def sqlite(path: Path, seconds: float) -> float:
    """In a file beside the product's, with the same guarantees: WAL, synchronous FULL."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY, number INTEGER)")
        connection.execute("INSERT OR IGNORE INTO commits VALUES (1, 0)")
        return _rate(lambda: connection.execute("UPDATE commits SET number = number + 1 WHERE id = 1"), seconds)
    finally:
        connection.close()


def _rate(commit: Any, seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        commit()
        count += 1
    return count / passed
