"""Every refusal is a problem document, whatever refused."""

import json

import pytest
from django.test import Client

from engine.access import rates
from engine.rest.limits import MAX_BODY_BYTES

from .calls import API, ASK, problem


def test_an_unknown_address(boss):
    for path in ("nothing/", "runs/x/nothing/", "workflows/a b/"):
        problem(boss.get(path), 404, "not_found")


def test_a_wrong_method(boss):
    problem(boss.delete("runs/"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "malformed"),
        (b"[" * 100_000, "too_deep"),
        (b'{"name": "\\u0000"}', "unstorable_text"),
        (b"\xff", "malformed"),
    ],
)
def test_what_cannot_be_read(boss, raw, code):
    answer = boss._client.generic("POST", API + "workflows/", raw, "application/json", headers=boss._headers)
    problem(answer, 400, code)


def test_a_body_that_is_too_large(boss):
    raw = json.dumps({"name": "x", "document": {"a": ["x" * 1000] * 2_100}}).encode()
    assert len(raw) > MAX_BODY_BYTES
    answer = boss._client.generic("POST", API + "workflows/", raw, "application/json", headers=boss._headers)
    problem(answer, 413, "body_too_large")


def test_another_media_type(boss):
    answer = boss._client.generic("POST", API + "workflows/", b"a=1", "text/plain", headers=boss._headers)
    problem(answer, 415, "unsupported_media_type")


def test_wrong_fields_are_named(boss):
    refused = problem(boss.post("workflows/", {"name": "x" * 101}), 422, "invalid_input")
    assert {error["path"] for error in refused["errors"]} == {"name", "document"}


def test_a_key_nobody_knows_is_refused_beside_what_is_wrong_and_nothing_is_made(boss, published):
    slip = {"workflow": published["id"], "bussiness_key": "A3", "mode": "dry"}
    refused = problem(boss.post("runs/", slip), 422, "invalid_input")
    assert {error["path"]: error["code"] for error in refused["errors"]} == {
        "bussiness_key": "unknown_key",
        "mode": "invalid_choice",
    }
    assert "business_key" in refused["detail"]
    assert boss.get("runs/").json()["results"] == []


def test_a_body_that_is_no_object_is_told_so(boss):
    refused = problem(boss.post("runs/", []), 422, "invalid_input")
    assert refused["detail"] == "Invalid data. Expected a dictionary, but got list."


@pytest.mark.parametrize("query", ["q=%00", "cursor=%00", "cursor=nonsense"])
def test_a_hostile_query_is_a_fault_of_the_caller(boss, query):
    for path in ("workflows/", "runs/", "feedback/"):
        assert boss.get(f"{API}{path}?{query}").status_code in (400, 422)


def test_too_many_writes(boss, settings):
    settings.GRAFLOW_RATES = {"write": (3, 60)}
    for _ in range(3):
        assert boss.post("workflows/", {"name": "x", "document": ASK}).status_code == 201
    refused = boss.post("workflows/", {"name": "x", "document": ASK})
    problem(refused, 429, "throttled")
    assert 1 <= int(refused["Retry-After"]) <= 61
    assert boss.get("workflows/").status_code == 200


def test_too_many_starts_and_reads(boss, settings, published):
    settings.GRAFLOW_RATES = {"start": (2, 60), "read": (2, 60)}
    assert [boss.post("runs/", {"workflow": published["id"]}).status_code for _ in range(3)] == [201, 201, 429]
    assert [boss.get("runs/").status_code for _ in range(3)] == [200, 200, 429]


def test_rates_are_per_person(boss, caller, settings):
    settings.GRAFLOW_RATES = {"read": (1, 60)}
    other = caller("viewer")
    assert [boss.get("runs/").status_code, boss.get("runs/").status_code, other.get("runs/").status_code] == [
        200,
        429,
        200,
    ]


def test_a_cache_that_is_away_lets_people_in(boss, monkeypatch):
    def away(*_, **__):
        raise ConnectionError("no cache")

    monkeypatch.setattr("django.core.cache.backends.base.BaseCache.incr", away)
    monkeypatch.setattr(rates, "caches", {"default": type("Away", (), {"add": away, "incr": away})()})
    assert boss.get("workflows/").status_code == 200
    monkeypatch.setattr(rates, "_quiet_until", 0.0)


def test_health_needs_no_login(db):
    assert Client().get("/healthz").json()["status"] == "ok"
    ready = Client().get("/readyz")
    assert set(ready.json()["parts"]) == {"database", "broker", "workers", "scheduler", "disk"}
    assert ready.status_code == (200 if all(part["ok"] for part in ready.json()["parts"].values()) else 503)
