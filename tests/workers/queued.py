"""A task with a queue of its own, offered to a product under test."""

from __future__ import annotations

from engine import task


@task(name="queued.where", queue="elsewhere")
def where() -> str:
    return "elsewhere"
