"""The suite really runs on the services it claims to run on."""

from __future__ import annotations

import os

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from redis import Redis

PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 20_000}


@pytest.mark.django_db
def test_the_suite_runs_on_the_database_it_was_told_to():
    wanted = "sqlite" if os.environ.get("TEST_DATABASE_URL", "").startswith("sqlite") else "postgresql"
    assert connection.vendor == wanted


@pytest.mark.django_db
@pytest.mark.both_databases
def test_sqlite_loses_no_commit_and_waits_for_other_writers():
    if connection.vendor == "postgresql":
        assert connection.settings_dict["CONN_HEALTH_CHECKS"]
        return
    with connection.cursor() as cursor:
        found = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    assert found == PRAGMAS


@pytest.mark.django_db
def test_a_statement_of_the_engine_cannot_hang_for_ever():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("15s",)


def test_redis_answers_and_the_cache_keeps_out_of_the_queue():
    with Redis.from_url(settings.REDIS_URL) as queue:
        queue.set("waiting", "job")
        cache.set("key", "value")
        cache.clear()
        assert queue.getdel("waiting") == b"job"
