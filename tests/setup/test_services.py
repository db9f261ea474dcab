"""The suite really runs on the services it claims to run on."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from redis import Redis


@pytest.mark.django_db
def test_the_suite_runs_on_postgresql():
    assert connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("15s",)


def test_redis_answers_and_the_cache_keeps_out_of_the_queue():
    with Redis.from_url(settings.REDIS_URL) as queue:
        queue.set("waiting", "job")
        cache.set("key", "value")
        cache.clear()
        assert queue.getdel("waiting") == b"job"
