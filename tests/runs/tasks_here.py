"""Functions that the definitions of these tests name."""

from __future__ import annotations

from typing import Any

from engine import task


@task(name="test.echo", max_retries=2)
def echo(value: Any = None) -> Any:
    return value


@task(name="test.thrice", max_cycle=3)
def thrice(value: Any = None) -> Any:
    return value
