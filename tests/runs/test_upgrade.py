"""Two adjacent releases may run together: what the older one writes fits the tables of the newer one."""

from __future__ import annotations

from django.db import connection

from engine.runs.models import Run as RunRow

from .driver import Driver, document, task

NEWER = {"id", "business_key", "counted", "deadline_at", "min_seq", "trimmed"}


def test_a_run_that_an_older_release_starts_gets_what_it_does_not_know(driver: Driver) -> None:
    run = driver.start(document([task("a")], []))
    run.work("a")
    columns = [field.column for field in RunRow._meta.concrete_fields if field.column not in NEWER]
    listed = ", ".join(columns)
    given = listed.replace("public_id", "%s")
    fresh = "0" * 32 if connection.vendor == "sqlite" else "00000000-0000-4000-8000-000000000000"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO engine_run ({listed}) SELECT {given} FROM engine_run", [fresh])
    made = RunRow.objects.order_by("-pk")[0]
    assert (made.min_seq, made.counted, made.deadline_at, made.business_key) == (1, False, None, None)
    assert made.trimmed is False
    made.delete()
