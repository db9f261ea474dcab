"""The pages, seen from the server: who gets which, what stands in them, what they send."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_vite.core.exceptions import DjangoViteAssetNotFoundError

from engine.access import policy
from engine.runs import api
from engine.runs.data import FeedbackItem, Run, Workflow
from engine.runs.models import Run as RunRow
from engine.runs.outgoing import OutboxItem
from tests.access.people import person

from .conftest import ASK, browser

LISTS = ("home", "workflows", "runs", "inbox", "monitor")
NEEDS = {"/workflows/new/": ("designer", "admin"), "/monitor/": ("operator", "admin")}
NOBODYS_ID = "00000000-0000-0000-0000-000000000000"


def text(answer: Any) -> str:
    words: str = answer.content.decode()
    return words


def page_data(answer: Any) -> dict[str, Any]:
    found = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', text(answer), re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture
def addresses(workflow: Workflow, run: Run, question: FeedbackItem) -> list[str]:
    return [
        *(reverse(name) for name in LISTS),
        reverse("workflow-new"),
        reverse("workflow", args=[workflow.id]),
        reverse("workflow", args=[workflow.slug]),
        reverse("workflow-edit", args=[workflow.id]),
        reverse("workflow-run", args=[workflow.id]),
        reverse("run", args=[run.id]),
        reverse("inbox-item", args=[question.id]),
    ]


def test_a_stranger_is_sent_to_the_login(addresses: list[str], client: Client) -> None:
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 302, address
        assert answer["Location"].startswith(reverse("login")), address


@pytest.mark.parametrize("role", policy.ROLES)
def test_every_role_sees_every_page_it_may(role: str, addresses: list[str]) -> None:
    client = browser(person(f"a-{role}", role))
    for address in addresses:
        allowed = role in NEEDS.get(address, policy.ROLES)
        assert client.get(address).status_code == (200 if allowed else 403), address


def test_an_empty_site_says_what_to_do_next(boss: User) -> None:
    client = browser(boss)
    assert "Nothing waits for you" in text(client.get(reverse("home")))
    assert "No workflows yet" in text(client.get(reverse("workflows")))
    assert "Nothing has run yet" in text(client.get(reverse("runs")))
    assert "Nothing waits for you" in text(client.get(reverse("inbox")))


def test_a_filter_that_finds_nothing_offers_to_clear_it(boss: User, run: Run) -> None:
    assert "Clear the filters" in text(browser(boss).get(reverse("runs"), {"status": "failed"}))
    assert "No workflow is called" in text(browser(boss).get(reverse("workflows"), {"q": "nothing like it"}))


@pytest.mark.parametrize(("status", "found"), [("waiting", True), ("active", True), ("succeeded", False)])
def test_runs_are_filtered_by_status(boss: User, run: Run, status: str, found: bool) -> None:
    assert (run.id in text(browser(boss).get(reverse("runs"), {"status": status}))) is found


def test_an_ill_typed_filter_is_said_and_not_applied(boss: User, run: Run) -> None:
    answer = browser(boss).get(reverse("runs"), {"started_after": "yesterday", "status": "asleep"})
    assert answer.status_code == 200
    assert "Enter a valid date" in text(answer)
    assert run.id in text(answer)


def test_pages_have_no_script_or_handler_of_their_own(boss: User, addresses: list[str]) -> None:
    for address in addresses:
        words = text(browser(boss).get(address))
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", words)
        assert all('type="application/json"' in script for script in scripts), address
        assert not re.search(r"\son\w+=", words), address
        assert "<script>alert(1)" not in words, address


def test_every_form_that_changes_something_carries_the_token(boss: User, addresses: list[str]) -> None:
    for address in addresses:
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", text(browser(boss).get(address)), re.S):
            assert "csrfmiddlewaretoken" in form, address


def test_a_form_without_the_token_changes_nothing(boss: User, workflow: Workflow) -> None:
    answer = browser(boss, checks_csrf=True).post(reverse("workflow-run", args=[workflow.id]))
    assert answer.status_code == 403
    assert "reload the page and send it again" in text(answer)
    assert api.list_runs(boss).results == []


def test_one_click_starts_a_run_with_its_defaults(boss: User, workflow: Workflow) -> None:
    answer = browser(boss).post(reverse("workflow-run", args=[workflow.id]))
    run = api.list_runs(boss).results[0]
    assert answer["Location"] == reverse("run", args=[run.id])
    assert run.inputs == {"topic": "loops"}


def test_a_page_starts_no_more_runs_than_the_api(boss: User, workflow: Workflow, settings: Any) -> None:
    settings.GRAFLOW_RATES = {"start": (2, 60)}
    client, address = browser(boss), reverse("workflow-run", args=[workflow.id])
    assert [client.post(address).status_code for _ in range(2)] == [302, 302]
    refused = client.post(address)
    assert (refused.status_code, int(refused["Retry-After"]) > 0) == (429, True)
    assert len(api.list_runs(boss).results) == 2


def test_a_missing_input_is_asked_for(boss: User) -> None:
    properties = {"topic": {"type": "string"}, "times": {"type": "integer", "default": 2}}
    needs = ASK | {"inputs": {"type": "object", "properties": properties, "required": ["topic"]}}
    made = api.create_workflow(boss, name="Needs", document=needs)
    api.publish(boss, made.id)
    client, address = browser(boss), reverse("workflow-run", args=[made.id])
    assert 'name="topic"' in text(client.post(address))
    assert client.post(address, {"asked": "1", "topic": "", "times": "x"}).status_code == 422
    assert api.list_runs(boss).results == []
    client.post(address, {"asked": "1", "topic": "cats", "times": "3"})
    assert api.list_runs(boss).results[0].inputs == {"topic": "cats", "times": 3}


def test_a_refused_start_keeps_what_was_filled_in(boss: User, workflow: Workflow, settings: Any) -> None:
    settings.GRAFLOW_RATES = {"start": (0, 60)}
    refused = browser(boss).post(reverse("workflow-run", args=[workflow.id]), {"asked": "1", "topic": "rare otters"})
    assert refused.status_code == 429
    assert 'value="rare otters"' in text(refused) and "So many runs at once" in text(refused)


def test_a_designer_starts_test_runs_only(workflow: Workflow, db: Any) -> None:
    designer = person("dora", "designer")
    client = browser(designer)
    assert "Test run" in text(client.get(reverse("workflow", args=[workflow.id])))
    client.post(reverse("workflow-run", args=[workflow.id]))
    run = api.list_runs(designer).results[0]
    assert run.mode == "test"
    assert page_data(client.get(reverse("run", args=[run.id])))["can"]["control"] is True


def test_the_way_to_the_monitor_is_shown_to_those_who_may_go(boss: User, db: Any) -> None:
    assert reverse("monitor") in text(browser(boss).get(reverse("home")))
    assert reverse("monitor") not in text(browser(person("vera", "viewer")).get(reverse("home")))


def test_a_viewer_gets_no_button_and_no_run(workflow: Workflow, db: Any) -> None:
    client = browser(person("vera", "viewer"))
    assert reverse("workflow-run", args=[workflow.id]) not in text(client.get(reverse("workflows")))
    assert client.post(reverse("workflow-run", args=[workflow.id])).status_code == 403


@pytest.mark.parametrize("template", ["blank", "approval-loop", "side-by-side"])
def test_a_new_workflow_begins_with_a_template(boss: User, template: str) -> None:
    answer = browser(boss).post(reverse("workflow-new"), {"name": "Mine", "template": template})
    made = api.list_workflows(boss).results[0]
    assert answer["Location"] == reverse("workflow-edit", args=[made.id])
    assert (made.name, made.document["name"]) == ("Mine", "Mine")


@pytest.mark.parametrize("template", ["approval-loop", "side-by-side"])
def test_templates_can_be_published_as_they_are(boss: User, template: str) -> None:
    browser(boss).post(reverse("workflow-new"), {"name": "Mine", "template": template})
    made = api.list_workflows(boss).results[0]
    assert api.validate(boss, made.document) == []


def test_a_workflow_needs_a_name(boss: User) -> None:
    answer = browser(boss).post(reverse("workflow-new"), {"name": "  ", "template": "blank"})
    assert answer.status_code == 422
    assert "Give the workflow a name" in text(answer)


def test_the_run_page_brings_the_run_with_its_graph(boss: User, run: Run) -> None:
    data = page_data(browser(boss).get(reverse("run", args=[run.id])))
    assert data["run"]["id"] == run.id
    assert data["run"]["definition"]["tasks"][0]["id"] == "ask"
    assert data["can"] == {"control": True, "run": True, "answer": True}


def test_the_run_page_knows_the_limit_in_force_of_each_task(boss: User, run: Run) -> None:
    answer = browser(boss).get(reverse("run", args=[run.id]))
    (ask,) = page_data(answer)["run"]["tasks"]
    assert (ask["max_cycle"], ask["max_cycle_from"], ask["cycle_count"]) == (10, "engine", 0)


@pytest.mark.parametrize(
    ("reason", "words"),
    [("stalled", "nothing could go on"), ("a_b said: no_way", "a_b said: no_way")],
)
def test_a_reason_is_told_in_words(boss: User, run: Run, reason: str, words: str) -> None:
    RunRow.objects.filter(public_id=run.id).update(status="failed", reason=reason)
    assert words in text(browser(boss).get(reverse("home")))
    assert words in text(browser(boss).get(reverse("runs")))


def test_a_new_schedule_begins_with_the_inputs_a_run_has_by_default(boss: User, workflow: Workflow) -> None:
    page = text(browser(boss).get(reverse("workflow", args=[workflow.id])))
    assert "{&quot;topic&quot;: &quot;loops&quot;}" in page


def test_the_editor_page_says_what_this_person_may(workflow: Workflow, db: Any) -> None:
    answer = browser(person("vera", "viewer")).get(reverse("workflow-edit", args=[workflow.id]))
    assert page_data(answer)["can"] == {"edit": False, "publish": False, "run": False}


def test_the_badge_counts_what_waits(boss: User, question: FeedbackItem) -> None:
    badge = re.search(r'data-testid="inbox-count" data-count="(\d+)">(\d+)<', text(browser(boss).get(reverse("home"))))
    assert badge
    assert badge.groups() == ("1", "1")


def test_looking_at_a_request_decides_nothing(boss: User, question: FeedbackItem) -> None:
    client = browser(boss)
    client.get(reverse("inbox-item", args=[question.id]), {"decision": "approve"})
    client.head(reverse("inbox-item", args=[question.id]))
    assert api.get_feedback(boss, question.id).state == "open"


def test_a_decision_can_be_sent_without_scripts(boss: User, question: FeedbackItem) -> None:
    sent = {"decision": "reject", "reason": "Too long.", "payload_hash": question.payload_hash}
    answer = browser(boss).post(reverse("inbox-item", args=[question.id]), sent)
    assert answer["Location"] == reverse("inbox")
    decided = api.get_feedback(boss, question.id)
    assert decided.decision is not None
    assert (decided.state, decided.decision.reason, decided.decision.via) == ("rejected", "Too long.", "web")


def test_what_is_done_is_listed_without_what_is_open(boss: User, question: FeedbackItem) -> None:
    done = text(browser(boss).get(reverse("inbox"), {"view": "done"}))
    assert question.id not in done
    api.answer_feedback(boss, question.id, decision="reject", reason="Too long.")
    assert question.id in text(browser(boss).get(reverse("inbox"), {"view": "done"}))


def test_a_second_decision_is_told_who_was_quicker(boss: User, question: FeedbackItem) -> None:
    api.answer_feedback(person("rita", "reviewer"), question.id, decision="approve")
    answer = browser(boss).post(reverse("inbox-item", args=[question.id]), {"decision": "reject"})
    assert answer.status_code == 409
    assert "rita was quicker" in text(answer)


def test_a_decision_about_other_content_is_refused(boss: User, question: FeedbackItem) -> None:
    sent = {"decision": "approve", "payload_hash": "0" * 64}
    assert browser(boss).post(reverse("inbox-item", args=[question.id]), sent).status_code == 409
    assert api.get_feedback(boss, question.id).state == "open"


def test_who_may_not_answer_can_still_read(question: FeedbackItem, db: Any) -> None:
    client = browser(person("vera", "viewer"))
    address = reverse("inbox-item", args=[question.id])
    assert "Publish this?" in text(client.get(address))
    assert client.post(address, {"decision": "approve"}).status_code == 403


@pytest.mark.parametrize("name", ["run", "inbox-item", "workflow"])
def test_what_is_not_there_is_a_page_that_helps(boss: User, name: str) -> None:
    answer = browser(boss).get(reverse(name, args=[NOBODYS_ID]))
    assert answer.status_code == 404
    assert "Go to the home page" in text(answer)


def test_the_theme_stands_on_the_first_byte(boss: User) -> None:
    client = browser(boss)
    assert "data-theme" not in text(client.get(reverse("home"))).split(">", 3)[1]
    client.cookies["graflow_theme"] = "dark"
    assert '<html lang="en" data-theme="dark">' in text(client.get(reverse("home")))
    client.cookies["graflow_theme"] = '"><script>'
    assert '<html lang="en">' in text(client.get(reverse("home")))


def test_older_rows_are_one_link_away(boss: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editor.views.LIST_ROWS", 2)
    ids = [api.start_run(boss, workflow=workflow.id, inputs={"topic": "x"}).id for _ in range(3)]
    client = browser(boss)
    first = text(client.get(reverse("runs"), {"status": "waiting"}))
    link = re.search(r'href="([^"]*cursor=[^"]*)"', first)
    assert link
    assert "status=waiting" in link[1]
    second = text(client.get(link[1].replace("&amp;", "&")))
    assert [run in second for run in ids] == [True, False, False]


def test_a_missing_build_leaves_pages_readable(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> str:
        raise DjangoViteAssetNotFoundError("no build", "manifest.json")

    monkeypatch.setattr("django_vite.core.asset_loader.DjangoViteAssetLoader.generate_vite_asset", nothing)
    answer = browser(boss).get(reverse("workflows"))
    assert answer.status_code == 200
    assert "The interface has not been built" in text(answer)


def test_operators_see_what_could_not_be_sent_and_send_it_again(boss: User, run: Run) -> None:
    page = reverse("monitor")
    assert "was given up" in text(browser(boss).get(page))
    row = RunRow.objects.get(public_id=run.id)
    item = OutboxItem.objects.create(
        run=row, key="ask", iteration=1, kind="mail", recipient="desk@example.com", subject="News", message="<b>",
        dedupe_key="1", state="failed", tries=8, error="550 no such <user>", next_try_at=timezone.now(),
        created_at=timezone.now(),
    )  # fmt: skip
    shown = text(browser(boss).get(page))
    assert "desk@example.com" in shown
    assert "550 no such &lt;user&gt;" in shown
    assert "Tried 8 times" in shown
    again = reverse("send-again", args=[item.pk])
    assert browser(boss).get(again).status_code == 405
    assert browser(boss, checks_csrf=True).post(again).status_code == 403
    assert browser(boss).post(again)["Location"] == page
    item.refresh_from_db()
    assert (item.state, item.tries) == ("waiting", 0)
    assert browser(boss).post(again).status_code == 409
