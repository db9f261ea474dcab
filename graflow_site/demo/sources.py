"""Tasks of the example *flaky source with retries*: a source that is busy now and then, and a summary."""

from __future__ import annotations

import csv
import io
import statistics
from typing import Any

from engine import TaskExecutionContext, task

_READINGS = """station,hour,celsius
north,6,11.5
north,12,17.25
north,18,14.0
south,6,13.0
south,12,21.5
south,18,18.75
"""


class SourceBusy(Exception):
    """The source asks to come back later."""


@task(name="demo.read_source", max_retries=4, retry_delay=0.5, retry_on=SourceBusy)
def read_source(context: TaskExecutionContext, busy_times: int = 2) -> list[dict[str, str]]:
    """Read measurements from a source that turns the first callers away.

    Args:
        busy_times: How many tries it turns away before it answers.
    """
    if context.attempt <= busy_times:
        raise SourceBusy(f"the source is busy (try {context.attempt} of at most {busy_times + 1})")
    return list(csv.DictReader(io.StringIO(_READINGS)))


@task(name="demo.clean_rows")
def clean_rows(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Turn the texts of a table into numbers and drop rows without a value.

    Args:
        rows: The table as it was read.
    """
    return [
        {"station": row["station"], "hour": int(row["hour"]), "celsius": float(row["celsius"])}
        for row in rows
        if row.get("celsius")
    ]


@task(name="demo.summarise_rows")
def summarise_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean and the span per station.

    Args:
        rows: The cleaned table.
    """
    stations = sorted({row["station"] for row in rows})
    by_station = {name: [row["celsius"] for row in rows if row["station"] == name] for name in stations}
    return {
        name: {"mean": round(statistics.mean(values), 2), "span": max(values) - min(values)}
        for name, values in by_station.items()
    }
