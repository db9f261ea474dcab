"""Steps of kind http in a local run."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from engine import CoordinationBackend, RunResult, WorkflowContext
from engine.execution.http_client import Answer
from engine.execution.http_policy import HttpPolicy
from engine.execution.http_step import LONGEST_RETRY_AFTER, UnexpectedStatus, _retry_after, content, masked

from .web import Web


def run(step: dict[str, Any], policy: HttpPolicy | None = None, **more: Any) -> RunResult:
    tasks = [{"id": "call", "kind": "http", "retry_delay": 0, **step}]
    document = {"schema": "graflow/1", "name": "calls", "tasks": tasks, **more.pop("document", {})}
    services = {"http": policy} if policy is not None else None
    return WorkflowContext.from_definition(document, services=services).execute(**more)


def test_a_request_is_built_from_expressions_and_gives_status_headers_and_body(web: Web) -> None:
    web.says(201, {"id": 7})
    inputs = {"type": "object", "properties": {"name": {}, "url": {}}}
    step = {
        "method": "POST", "url": {"$": "inputs.url"}, "headers": {"X-Name": {"$": "inputs.name"}},
        "query": {"q": [1, "two words"], "on": True, "none": None}, "body": {"who": {"$": "inputs.name"}, "n": [1]},
    }  # fmt: skip
    result = run(step, web.policy(), document={"inputs": inputs}, inputs={"name": "Ann", "url": web.url("/make?a=1")})
    value = result.results["call"]
    assert (value["status"], value["body"], value["headers"]["content-type"]) == (201, {"id": 7}, "application/json")
    seen = web.seen[0]
    assert (seen.method, seen.path) == ("POST", "/make?a=1&q=1&q=two+words&on=true")
    assert (seen.headers["x-name"], seen.headers["content-type"]) == ("Ann", "application/json")
    assert json.loads(seen.body) == {"who": "Ann", "n": [1]}


def test_by_default_no_host_may_be_called(web: Web) -> None:
    result = run({"url": web.url()})
    assert (result.status, len(result.attempts("call")), web.seen) == ("failed", 1, [])
    assert "GRAFLOW_HTTP_HOSTS" in str(result.error("call"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 599])
def test_a_status_that_may_pass_is_tried_again(web: Web, status: int) -> None:
    result = run({"url": web.url(), "max_retries": 1}, web.policy())
    assert result.status == "succeeded"
    web.says(status)
    result = run({"url": web.url(), "max_retries": 1}, web.policy())
    assert (result.status, len(result.attempts("call"))) == ("failed", 2)
    assert f"status {status}" in str(result.error("call"))


@pytest.mark.parametrize("status", [301, 304, 400, 401, 404, 409])
def test_any_other_unexpected_status_fails_at_once(web: Web, status: int) -> None:
    web.says(status)
    result = run({"url": web.url()}, web.policy())
    assert (result.status, len(result.attempts("call"))) == ("failed", 1)


def test_expect_names_the_statuses_that_are_answers(web: Web) -> None:
    web.says(404, "no such thing")
    assert run({"url": web.url(), "expect": [200, 404]}, web.policy()).results["call"]["status"] == 404
    web.says(204)
    assert run({"url": web.url(), "expect": [200]}, web.policy()).status == "failed"


def test_a_network_error_is_tried_again(web: Web) -> None:
    web.raw = lambda out: setattr(web, "raw", None)  # the first answer breaks off
    result = run({"url": web.url()}, web.policy())
    assert (result.status, len(result.attempts("call"))) == ("succeeded", 2)


def test_retry_after_is_the_delay_before_the_next_try(web: Web) -> None:
    web.says(429, Retry_After="0")
    answers = [(429, {"Retry-After": "0"}, b""), (200, {}, b"fine")]
    web.answer = lambda seen: answers[min(len(web.seen), 2) - 1]
    result = run({"url": web.url(), "retry_delay": 3600}, web.policy())
    assert (result.status, result.results["call"]["body"]) == ("succeeded", "fine")


def test_retry_after_is_read_in_seconds_and_as_a_date_and_is_bounded() -> None:
    def after(text: str) -> float | None:
        return _retry_after(Answer(status=429, headers={"retry-after": text}, body=b""))

    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100))
    assert (after("7"), after("99999999999"), after("soon"), after("")) == (7.0, LONGEST_RETRY_AFTER, None, None)
    assert 90 < (after(soon) or 0) <= 100


@pytest.mark.parametrize(("method", "sent"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)])
def test_unsafe_methods_carry_the_same_key_in_every_try(web: Web, method: str, sent: bool) -> None:
    web.says(503)
    run({"url": web.url(), "method": method, "max_retries": 1}, web.policy())
    keys = {seen.headers.get("idempotency-key") for seen in web.seen}
    assert (len(web.seen), len(keys), None not in keys) == (2, 1, sent)
    assert all(len(key or "") == (64 if sent else 0) for key in keys)


def test_a_key_of_ones_own_is_kept(web: Web) -> None:
    run({"url": web.url(), "method": "POST", "headers": {"idempotency-key": "mine"}}, web.policy())
    assert web.seen[0].headers["idempotency-key"] == "mine"


def test_requests_are_made_by_this_process_whatever_the_backend(web: Web) -> None:
    document = {"defaults": {"execution_mode": "parallel"}}
    tasks = [{"id": name, "kind": "http", "url": web.url(f"/{name}")} for name in ("a", "b")]
    made = WorkflowContext.from_definition(
        {"schema": "graflow/1", "name": "both", "tasks": tasks, **document}, services={"http": web.policy()}
    )
    made.coordination_backend = CoordinationBackend.MULTIPROCESSING
    assert made.execute().status == "succeeded"
    assert sorted(seen.path for seen in web.seen) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("media", "body", "value"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("application/json", b"not json", "not json"),
        ("application/json", b"[NaN]", "[NaN]"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("application/json", b"", ""),
        ("text/plain", b'{"a": 1}', '{"a": 1}'),
        ("text/plain; charset=latin-1", "ä".encode("latin-1"), "ä"),
        ("text/plain; charset=nonsense", b"a", "a"),
        ("text/plain", b"\xff", "�"),
    ],
)
def test_a_body_is_data_where_it_is_json_and_else_text(media: str, body: bytes, value: Any) -> None:
    assert content(Answer(status=200, headers={"content-type": media}, body=body)) == value


def test_what_identifies_the_sender_is_not_shown() -> None:
    shown = masked({"headers": {"Authorization": "Bearer x", "X-Api-Key": "y", "Accept": "z"}, "url": "u"})
    assert shown == {"headers": {"Authorization": "…", "X-Api-Key": "…", "Accept": "z"}, "url": "u"}


def test_the_error_survives_pickling() -> None:

    error = pickle.loads(pickle.dumps(UnexpectedStatus(503, "busy", 2.0)))
    assert (error.status, error.retry_after, error.terminal) == (503, 2.0, False)
