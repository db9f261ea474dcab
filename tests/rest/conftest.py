from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from engine.runs import plans
from tests.access.people import person

from .calls import ASK, Caller


@pytest.fixture(autouse=True)
def fresh_rates() -> None:
    cache.clear()
    plans.forget()  # on SQLite ids begin anew in each test


@pytest.fixture
def caller(db: Any) -> Callable[..., Caller]:
    """`caller("operator")` is somebody with that role and a token."""
    made = 0

    def make(*roles: str, groups: tuple[str, ...] = ()) -> Caller:
        nonlocal made
        made += 1
        return Caller(person(f"{'-'.join(roles) or 'nobody'}-{made}", *roles, groups=groups))

    return make


@pytest.fixture
def boss(caller: Callable[..., Caller]) -> Caller:
    return caller("designer", "operator", "reviewer", "admin")


@pytest.fixture
def published(boss: Caller) -> dict[str, Any]:
    """A published workflow that asks a person."""
    workflow: dict[str, Any] = boss.post("workflows/", {"name": "Ask", "document": ASK}).json()
    assert boss.post(f"workflows/{workflow['id']}/versions/", {"note": "first"}).status_code == 201
    return workflow


@pytest.fixture
def run(boss: Caller, published: dict[str, Any]) -> dict[str, Any]:
    """A run that waits for an answer."""
    started = boss.post("runs/", {"workflow": published["id"]})
    assert started.status_code == 201, started.content
    found: dict[str, Any] = boss.get(f"runs/{started.json()['id']}/").json()
    return found


@pytest.fixture
def question(boss: Caller, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = boss.get("feedback/", run=run["id"], state="open").json()["results"][0]
    return found
