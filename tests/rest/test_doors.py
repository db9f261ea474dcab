"""Who gets in: every address without a login, CSRF, tokens, foreign hosts, roles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from engine.access import policy, tokens
from engine.access.policy import ROLES
from tests.access.people import person

from .calls import API, ASK, Caller, problem

pytestmark = pytest.mark.django_db

NO_HOOK = "hooks/00000000-0000-4000-8000-000000000000/"
OPEN = {"login/", "admin/login/", "healthz", "readyz", "setup/x/", "static/x", "favicon.ico", NO_HOOK}
"""The only addresses that answer somebody who is not signed in. A hook says that it wants POST, and then its secret."""


def addresses(patterns: list[Any] | None = None, before: str = "") -> Iterator[str]:
    """Every address of the site, with something plausible in place of its parameters."""
    for entry in patterns if patterns is not None else get_resolver().url_patterns:
        path = before + _filled(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from addresses(entry.url_patterns, path)
        elif isinstance(entry, URLPattern):
            yield path


def _filled(pattern: Any) -> str:
    text = str(pattern)
    if hasattr(pattern, "regex") and not hasattr(pattern, "_route"):
        text = re.sub(r"\(\?P<[^>]+>[^)]*\)", "x", text).replace("^", "").replace("$", "").replace("\\Z", "")
        return text.replace("\\.", ".")
    text = re.sub(r"<uuid:\w+>", "00000000-0000-4000-8000-000000000000", text)
    return re.sub(r"<(\w+:)?\w+>", "x", re.sub(r"<int:\w+>", "1", text))


def test_nothing_answers_without_a_login_but_the_listed():
    client = Client()
    answered = set()
    for address in addresses():
        for method in ("GET", "POST"):
            answer = client.generic(method, f"/{address}", content_type="application/json")
            to_login = answer.status_code == 302 and "/login/" in answer["Location"]
            if answer.status_code not in (401, 403, 404) and not to_login:
                answered.add(address)
    assert {a for a in answered if a.rstrip("/") not in {o.rstrip("/") for o in OPEN}} == set()


def test_the_api_asks_for_a_token(db):
    refused = Caller(None).get("workflows/")
    assert "Authorization: Token" in problem(refused, 401, "not_authenticated")["detail"]
    assert refused["WWW-Authenticate"].startswith("Token")


@pytest.mark.parametrize("header", ["Token", "Token x", "Token a b", "token gfl_x", "Token \xff"])
def test_a_wrong_token_is_refused(header):
    answer = Client().get(API + "workflows/", headers={"Authorization": header})
    problem(answer, 401, "invalid_token")


def test_a_session_without_the_csrf_token_changes_nothing(boss):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(boss.user, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.get(API + "workflows/").status_code == 200
    body = json.dumps({"name": "Ask", "document": ASK})
    refused = browser.post(API + "workflows/", body, "application/json")
    problem(refused, 403, "csrf_failed")
    assert boss.get("workflows/").json()["results"] == []


def test_a_session_with_the_csrf_token_may(boss):
    browser = Client(enforce_csrf_checks=True)
    browser.get("/login/")
    browser.force_login(boss.user, backend="django.contrib.auth.backends.ModelBackend")
    page = browser.get("/profile/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    body = json.dumps({"name": "Ask", "document": ASK})
    made = browser.post(API + "workflows/", body, "application/json", headers={"X-CSRFToken": token[1]})
    assert made.status_code == 201, made.content


def test_a_bad_token_is_not_saved_by_a_good_session(boss):
    browser = Client()
    browser.force_login(boss.user, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.get(API + "workflows/", headers={"Authorization": "Token x"}).status_code == 401


def test_a_foreign_host_is_refused(boss):
    for path in ("/api/v1/workflows/", "/login/", "/healthz"):
        answer = Client().get(path, headers={"Host": "evil.example", "Authorization": "Token x"})
        assert answer.status_code == 400, path
    problem(Client().get("/api/v1/workflows/", headers={"Host": "evil.example"}), 400, "bad_request")


CALLS = {
    "workflow.view": ("GET", "workflows/{workflow}/"),
    "workflow.edit": ("POST", "workflows/"),
    "workflow.publish": ("POST", "workflows/{workflow}/versions/"),
    "run.view": ("GET", "runs/{run}/"),
    "run.start": ("POST", "runs/"),
    "run.control": ("POST", "runs/{run}/stop/"),
    "automation.edit": ("POST", "workflows/{workflow}/schedules/"),
    "feedback.view": ("GET", "feedback/{feedback}/"),
    "feedback.answer": ("POST", "feedback/{feedback}/answer/"),
    "audit.view": ("GET", "audit/"),
    "monitor.view": ("GET", "unsent/"),
}
BODIES = {
    "workflow.edit": lambda ids: {"name": "Other", "document": ASK},
    "run.start": lambda ids: {"workflow": ids["workflow"]},
    "automation.edit": lambda ids: {"cron": "30 7 * * *"},
    "feedback.answer": lambda ids: {"decision": "approve"},
}


def call(caller: Caller, action: str, ids: dict[str, str]) -> int:
    method, path = CALLS[action]
    if method == "GET":
        return int(caller.get(path.format(**ids)).status_code)
    return int(caller.post(path.format(**ids), BODIES.get(action, lambda _: {})(ids)).status_code)


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_over_rest_what_the_table_says(caller, published, run, question, role, action):
    ids = {"workflow": published["id"], "run": run["id"], "feedback": question["id"]}
    somebody = caller(role)
    status = call(somebody, action, ids)
    assert (status < 300) == policy.can(somebody.user, action), status
    assert status < 300 or status == 403


@pytest.mark.parametrize("action", [action for action in CALLS if "{" in CALLS[action][1]] + ["run.start"])
def test_a_restricted_workflow_does_not_exist_for_outsiders(caller, published, run, question, action):
    restrict(published["id"], "insiders")
    ids = {"workflow": published["id"], "run": run["id"], "feedback": question["id"]}
    roles = ("designer", "operator", "reviewer", "admin")
    assert call(caller(*roles), action, ids) == 404
    assert call(caller(*roles, groups=("insiders",)), action, ids) < 300


def test_a_restricted_workflow_is_missing_from_every_list(caller, published, run, question):
    restrict(published["id"], "insiders")
    outsider, insider = caller("operator", "reviewer"), caller("operator", "reviewer", groups=("insiders",))
    for path in ("workflows/", "runs/", "feedback/"):
        assert outsider.get(path).json()["results"] == []
        assert len(insider.get(path).json()["results"]) == 1


def restrict(workflow: str, group: str) -> None:
    row = apps.get_model("engine", "WorkflowDefinition").objects.get(public_id=workflow)
    row.allowed_groups.add(Group.objects.get_or_create(name=group)[0])


def test_a_revoked_token_stops_working_at_once(db):
    ann = person("ann", "viewer")
    plain = tokens.create(ann, "test")
    headers = {"Authorization": f"Token {plain}"}
    assert Client().get(API + "workflows/", headers=headers).status_code == 200
    tokens.revoke(ann, ann.api_tokens.get().pk)
    assert Client().get(API + "workflows/", headers=headers).status_code == 401


def test_the_reference_is_a_page_for_who_is_signed_in(boss):
    browser = Client()
    assert browser.get(API + "docs/").status_code == 302
    browser.force_login(boss.user, backend="django.contrib.auth.backends.ModelBackend")
    page = browser.get(API + "docs/")
    assert page.status_code == 200
    assert "swagger" in page.content.decode()
    assert "require-trusted-types-for" not in page["Content-Security-Policy"]
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert re.search(r"<script>[^<]", page.content.decode()) is None
