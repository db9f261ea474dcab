"""Schedules and triggers on the page of a workflow, as a browser without scripts sends them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from engine.runs import api
from engine.runs.data import Workflow
from tests.access.people import person

from .conftest import browser
from .test_pages import text

DAILY = {
    "do": "add-schedule",
    "cron": "30 7 * * *",
    "zone": "Europe/Berlin",
    "missed": "once",
    "inputs": '{"topic": "x"}',
}


@pytest.fixture
def place(workflow: Workflow) -> str:
    return reverse("workflow-starts", args=[workflow.id])


def test_a_schedule_is_added_switched_off_and_deleted(boss: User, workflow: Workflow, place: str) -> None:
    client = browser(boss)
    assert client.post(place, DAILY)["Location"] == reverse("workflow", args=[workflow.id]) + "#starts"
    (made,) = api.list_schedules(boss, workflow.id)
    assert (made.cron, made.zone, made.inputs, made.enabled) == ("30 7 * * *", "Europe/Berlin", {"topic": "x"}, True)
    page = text(client.get(reverse("workflow", args=[workflow.id])))
    assert page.count("<li>") >= 5
    client.post(place, {"do": "schedule-off", "id": made.id})
    assert not api.get_schedule(boss, workflow.id, made.id).enabled
    client.post(place, {"do": "schedule-on", "id": made.id})
    assert api.get_schedule(boss, workflow.id, made.id).enabled
    client.post(place, {"do": "schedule-delete", "id": made.id})
    assert api.list_schedules(boss, workflow.id) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cron": "61 * * * *"}, "is no schedule"),
        ({"cron": ""}, "Say when"),
        ({"zone": "Berlin"}, "is no time zone"),
        ({"inputs": "topic"}, "Inputs are a JSON object"),
        ({"inputs": "[1]"}, "Inputs are a JSON object"),
        ({"inputs": '{"topic": 3}'}, "do not fit the workflow"),
        ({"missed": "twice"}, None),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    boss: User, workflow: Workflow, place: str, wrong: dict[str, str], words: str | None
) -> None:
    answer = browser(boss).post(place, {**DAILY, **wrong})
    assert answer.status_code == 422
    assert words is None or words in text(answer)
    assert wrong.get("zone", DAILY["zone"]) in text(answer)
    assert api.list_schedules(boss, workflow.id) == []


@pytest.mark.parametrize(
    ("signed", "words"), [({}, "Authorization: Bearer"), ({"signed": "on"}, "X-Graflow-Signature")]
)
def test_a_triggers_secret_is_shown_once_and_works(
    boss: User, workflow: Workflow, place: str, signed: dict[str, str], words: str
) -> None:
    client = browser(boss)
    shown = client.post(place, {"do": "add-trigger", "name": "The shop", **signed})
    assert words in text(shown)
    assert "no-store" in shown["Cache-Control"]
    secret = re.search(r'value="(gfh_[^"]+)"', text(shown))
    assert secret
    assert secret[1] not in text(client.get(reverse("workflow", args=[workflow.id])))
    (made,) = api.list_triggers(boss, workflow.id)
    if not signed:
        body: Any = {"topic": "x"}
        called = Client().post(made.path, body, "application/json", headers={"Authorization": f"Bearer {secret[1]}"})
        assert called.status_code == 202
    client.post(place, {"do": "trigger-off", "id": made.id})
    assert not api.get_trigger(boss, workflow.id, made.id).enabled
    client.post(place, {"do": "trigger-delete", "id": made.id})
    assert api.list_triggers(boss, workflow.id) == []


def test_a_trigger_needs_a_name(boss: User, place: str) -> None:
    answer = browser(boss).post(place, {"do": "add-trigger", "name": " "})
    assert answer.status_code == 422
    assert "Name the system" in text(answer)


def test_who_may_not_sees_them_without_a_button(boss: User, workflow: Workflow, place: str) -> None:
    browser(boss).post(place, DAILY)
    client = browser(person("dora", "designer"))
    page = text(client.get(reverse("workflow", args=[workflow.id])))
    assert "30 7 * * *" in page
    assert place not in page
    assert client.post(place, DAILY).status_code == 403
    made = api.list_schedules(boss, workflow.id)[0]
    assert client.post(place, {"do": "schedule-delete", "id": made.id}).status_code == 403


def test_an_unknown_button_or_row_changes_nothing(boss: User, workflow: Workflow, place: str) -> None:
    client = browser(boss)
    assert client.get(place).status_code == 302
    assert client.post(place, {"do": "drop-all"}).status_code == 302
    assert client.post(place, {"do": "trigger-delete", "id": "nobody"}).status_code == 404
