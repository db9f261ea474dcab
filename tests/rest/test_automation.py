"""What starts a workflow without a person at hand: schedules and triggers over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from engine.access import rates
from engine.access.models import AuditEntry
from engine.runs.models import Run, WorkflowTrigger

from .calls import ASK, problem

pytestmark = pytest.mark.both_databases

DAILY = {"cron": "30 7 * * *", "zone": "Europe/Berlin"}


@pytest.fixture
def schedules(published):
    return f"workflows/{published['id']}/schedules/"


def test_a_schedule_is_made_shown_changed_and_deleted(boss, schedules):
    made = boss.post(schedules, {**DAILY, "missed": "skip"})
    assert made.status_code == 201, made.content
    shown = made.json()
    assert (shown["cron"], shown["zone"], shown["missed"], shown["enabled"]) == (*DAILY.values(), "skip", True)
    assert len(shown["upcoming"]) == 5
    assert shown["upcoming"][0] == shown["next_at"]
    assert boss.get(schedules).json() == {"results": [shown], "next": None}
    off = boss.patch(f"{schedules}{shown['id']}/", {"enabled": False}).json()
    assert (off["enabled"], off["next_at"], off["cron"]) == (False, None, DAILY["cron"])
    assert boss.delete(f"{schedules}{shown['id']}/").status_code == 204
    problem(boss.get(f"{schedules}{shown['id']}/"), 404, "not_found")


@pytest.mark.parametrize(("body", "path"), [({"cron": "61 * * * *"}, "cron"), ({**DAILY, "zone": "Mars/Base"}, "zone")])
def test_a_wrong_value_is_named_with_an_example(boss, schedules, body, path):
    refused = problem(boss.post(schedules, body), 422, "invalid_input")
    assert refused["errors"][0]["path"] == path
    assert body[path] in refused["detail"]
    assert ("MON-FRI" if path == "cron" else "Europe/Berlin") in refused["detail"]
    assert boss.get(schedules).json()["results"] == []


def test_the_same_key_makes_one_schedule(boss, schedules):
    first, again = (boss.post(schedules, DAILY, Idempotency_Key="k") for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert len(boss.get(schedules).json()["results"]) == 1


def test_a_designer_sees_schedules_and_keeps_none(boss, caller, schedules):
    made = boss.post(schedules, DAILY).json()
    dora = caller("designer")
    assert dora.get(schedules).status_code == 200
    problem(dora.post(schedules, DAILY), 403, "forbidden")
    problem(dora.patch(f"{schedules}{made['id']}/", {"enabled": False}), 403, "forbidden")
    assert dora.delete(f"{schedules}{made['id']}/").status_code == 403


# -- triggers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def triggers(published):
    return f"workflows/{published['id']}/triggers/"


@pytest.fixture
def trigger(boss, triggers):
    made = boss.post(triggers, {"name": "shop"})
    assert made.status_code == 201, made.content
    return made.json()


def pull(trigger, body=b"{}", secret=None, **headers):
    """Call the address as another system does: no cookie, no token of a person."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if secret is not None:
        sent["Authorization"] = f"Bearer {secret}"
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(enforce_csrf_checks=True).post(trigger["path"], raw, "application/json", headers=sent)


def signature(secret, raw):
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def test_a_trigger_starts_a_run_in_its_makers_name(boss, trigger):
    answer = pull(trigger, {"order": 7}, trigger["secret"])
    assert answer.status_code == 202, answer.content
    run = boss.get(f"runs/{answer.json()['run']}/").json()
    assert (run["inputs"], run["started_by"]) == ({"body": {"order": 7}}, boss.user.username)
    assert AuditEntry.objects.filter(action="run.start", via="hook").exists()


def test_declared_inputs_are_filled_from_the_body(boss):
    inputs = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
    workflow = boss.post("workflows/", {"name": "Orders", "document": {**ASK, "inputs": inputs}}).json()
    boss.post(f"workflows/{workflow['id']}/versions/", {})
    trigger = boss.post(f"workflows/{workflow['id']}/triggers/", {"name": "shop"}).json()
    answer = pull(trigger, {"order": 7}, trigger["secret"])
    assert boss.get(f"runs/{answer.json()['run']}/").json()["inputs"] == {"order": 7}
    problem(pull(trigger, {"order": "seven"}, trigger["secret"]), 422, "invalid_input")
    problem(pull(trigger, [7], trigger["secret"]), 422, "invalid_input")


def test_the_secret_is_shown_once_and_not_stored(boss, triggers, trigger):
    assert boss.get(f"{triggers}{trigger['id']}/").json()["secret"] is None
    assert boss.get(triggers).json()["results"][0]["secret"] is None
    signed = boss.post(triggers, {"name": "signed", "signed": True}).json()
    for row in WorkflowTrigger.objects.all():
        stored = " ".join(str(value) for value in vars(row).values())
        assert trigger["secret"] not in stored
        assert signed["secret"] not in stored
    assert not any(
        made["secret"] in json.dumps(entry.data) for entry in AuditEntry.objects.all() for made in (trigger, signed)
    )


def test_a_signed_trigger_takes_signatures_and_nothing_else(boss, triggers):
    trigger = boss.post(triggers, {"name": "signed", "signed": True}).json()
    raw = b'{"order": 7}'
    right = signature(trigger["secret"], raw)
    assert pull(trigger, raw, X_Graflow_Signature=right).status_code == 202
    problem(pull(trigger, raw + b" ", X_Graflow_Signature=right), 401, "wrong_secret")
    problem(pull(trigger, raw, X_Graflow_Signature=signature("guess", raw)), 401, "wrong_secret")
    problem(pull(trigger, raw, trigger["secret"]), 401, "wrong_secret")
    assert Run.objects.count() == 1


@pytest.mark.parametrize("secret", [None, "", "gfh_wrong", "\xff"])
def test_a_wrong_secret_changes_nothing_and_tells_nothing(boss, trigger, secret):
    before = AuditEntry.objects.count()
    refused = pull(trigger, {}, secret)
    problem(refused, 401, "wrong_secret")
    assert refused["WWW-Authenticate"] == "Bearer"
    unknown = pull({"path": "/hooks/00000000-0000-4000-8000-000000000000/"}, {}, trigger["secret"])
    assert (unknown.status_code, unknown.json()) == (401, refused.json())
    assert (Run.objects.count(), AuditEntry.objects.count()) == (0, before)
    assert WorkflowTrigger.objects.get().last_used_at is None


def test_a_persons_token_or_session_opens_no_trigger(boss, trigger):
    assert boss.send("POST", trigger["path"]).status_code == 401
    browser = Client()
    browser.force_login(boss.user, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.post(trigger["path"], b"{}", "application/json").status_code == 401


def test_the_same_idempotency_key_starts_one_run(boss, trigger):
    first, again = (pull(trigger, {"n": 1}, trigger["secret"], Idempotency_Key="k") for _ in range(2))
    assert first.json() == again.json()
    problem(pull(trigger, {"n": 2}, trigger["secret"], Idempotency_Key="k"), 422, "idempotency_key_reused")
    assert Run.objects.count() == 1


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b'"' + b"x" * 1_000_001 + b'"', 413), (b"", 202)])
def test_a_body_is_small_json_or_nothing(trigger, body, status):
    assert pull(trigger, body, trigger["secret"]).status_code == status


def test_a_trigger_can_be_switched_off_and_deleted(boss, triggers, trigger):
    assert boss.patch(f"{triggers}{trigger['id']}/", {"enabled": False}).json()["enabled"] is False
    problem(pull(trigger, {}, trigger["secret"]), 409, "disabled")
    problem(pull(trigger, {}, "wrong"), 401, "wrong_secret")
    assert boss.delete(f"{triggers}{trigger['id']}/").status_code == 204
    problem(pull(trigger, {}, trigger["secret"]), 401, "wrong_secret")


def test_a_trigger_has_no_more_rights_than_its_maker(boss, caller, triggers):
    otto = caller("operator")
    trigger = otto.post(triggers, {"name": "shop"}).json()
    otto.user.groups.remove(Group.objects.get(name="operator"))
    problem(pull(trigger, {}, trigger["secret"]), 403, "forbidden")
    assert Run.objects.count() == 0


def test_a_trigger_is_throttled(trigger, settings):
    settings.GRAFLOW_RATES = {"hook": (2, 60)}
    codes = [pull(trigger, {}, trigger["secret"]).status_code for _ in range(3)]
    assert codes == [202, 202, 429]
    assert rates.rate_of("hook") == (2, 60)


def test_a_designer_keeps_no_triggers(caller, triggers, trigger):
    dora = caller("designer")
    assert dora.get(triggers).status_code == 200
    problem(dora.post(triggers, {"name": "x"}), 403, "forbidden")
    assert dora.delete(f"{triggers}{trigger['id']}/").status_code == 403
