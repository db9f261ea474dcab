"""Runs without processes: a driver that claims and finishes attempts as a worker would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.runs import hooks, plans
from engine.runs.invariants import check_all
from tests.access.people import person

from .driver import Driver


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaves the process; ids begin anew in each test, so cached plans must not stay."""
    monkeypatch.setattr(hooks, "dispatch", None)
    monkeypatch.setattr(hooks, "announce", None)
    plans.forget()


@pytest.fixture
def boss(transactional_db: Any) -> Any:
    return person("boss", "designer", "operator", "reviewer", "admin")


@pytest.fixture
def driver(boss: Any) -> Iterator[Driver]:
    """Afterwards every run must hold all invariants."""
    yield Driver(boss)
    assert not list(check_all())
