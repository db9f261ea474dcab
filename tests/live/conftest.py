from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from engine.runs import api
from tests.access.people import person
from tests.rest.calls import ASK

ROUND = {
    **ASK,
    "name": "Round",
    "defaults": {"max_cycle": 100},
    "edges": [
        {"source": "prepare", "target": "ask"},
        {"source": "ask", "target": "prepare", "on": "rejected", "loop": True},
        {"source": "ask", "target": "done"},
    ],
}


@pytest.fixture(autouse=True)
def fresh_rates() -> None:
    cache.clear()


@pytest.fixture
def boss(transactional_db: Any) -> User:
    return person("boss", "designer", "operator", "reviewer", "admin")


@pytest.fixture
def run(boss: User) -> str:
    """A run that waits for an answer and goes round whenever it is rejected."""
    workflow = api.create_workflow(boss, name="Round", document=ROUND)
    api.publish(boss, workflow.id)
    return str(api.start_run(boss, workflow=workflow.id).id)


def decide(boss: User, run: str, decision: str) -> None:
    item = api.list_feedback(boss, run=run, state="open").results[0]
    api.answer_feedback(boss, item.id, decision=decision, reason="again" if decision == "reject" else None)
