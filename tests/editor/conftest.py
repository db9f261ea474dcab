from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from engine.runs import api
from engine.runs.data import FeedbackItem, Run, Workflow
from tests.access.people import person

ASK: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Ask",
    "inputs": {
        "type": "object",
        "properties": {"topic": {"type": "string", "default": "loops"}},
        "required": ["topic"],
    },
    "tasks": [
        {
            "id": "ask",
            "kind": "approval",
            "label": "Ask somebody",
            "prompt": "Publish this?",
            "data": {"$": "inputs.topic"},
        }
    ],
    "edges": [],
}


@pytest.fixture(autouse=True)
def fresh_rates() -> None:
    cache.clear()


@pytest.fixture
def boss(db: Any) -> User:
    return person("boss", "designer", "operator", "reviewer", "admin")


@pytest.fixture
def workflow(boss: User) -> Workflow:
    made = api.create_workflow(boss, name="Ask", document=ASK)
    api.publish(boss, made.id, note="first")
    return api.get_workflow(boss, made.id)


@pytest.fixture
def run(boss: User, workflow: Workflow) -> Run:
    """A run that waits for a decision; no worker is needed to come that far."""
    return api.start_run(boss, workflow=workflow.id, inputs={"topic": "<script>alert(1)</script>"})


@pytest.fixture
def question(boss: User, run: Run) -> FeedbackItem:
    found: FeedbackItem = api.list_feedback(boss, run=run.id).results[0]
    return found


def browser(user: User, *, checks_csrf: bool = False) -> Client:
    """A client that is signed in as `user`."""
    client = Client(enforce_csrf_checks=checks_csrf)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
