"""Steps of kind http in a durable run: a worker makes the request, under the settings of the site."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.utils import timezone

from engine.runs.models import Attempt, Timer
from engine.workers import network
from tests.execution.web import Web, web_server
from tests.runs.driver import Driver, Run, document, fire_timers

from .test_execute import work


@pytest.fixture
def web(settings: Any) -> Iterator[Web]:
    with web_server() as server:
        settings.GRAFLOW_HTTP_HOSTS = ["127.0.0.1"]
        settings.GRAFLOW_HTTP_PORTS = [server.port]
        settings.GRAFLOW_HTTP_ALLOW_PRIVATE = [ip_network("127.0.0.0/8")]
        yield server


def call(driver: Driver, url: str, **more: Any) -> Run:
    step = {"id": "call", "kind": "http", "url": url, **more}
    after = {"id": "after", "kind": "transform", "value": {"$": "call.body"}}
    return driver.start(document([step, after], ["call>after"]), who="ann")


def test_a_request_waits_for_a_worker_and_its_answer_is_the_result(driver: Driver, web: Web) -> None:
    web.says(200, {"n": 1})
    run = call(
        driver, web.url("/x"), method="POST", headers={"Authorization": "Bearer secret"}, body={"$": "inputs.who"}
    )
    assert (run.task("call").status, web.seen) == ("ready", [])
    work(run)
    assert (run.status, run.task("after").result, web.seen[0].body) == ("succeeded", {"n": 1}, b'"ann"')
    shown = Attempt.objects.get().inputs
    assert (shown["method"], shown["headers"]) == ("POST", {"Authorization": "…"})


def test_by_default_nothing_may_be_called(driver: Driver, web: Web, settings: Any) -> None:
    settings.GRAFLOW_HTTP_HOSTS = []
    run = work(call(driver, web.url()))
    assert (run.status, len(web.seen)) == ("failed", 0)
    assert "GRAFLOW_HTTP_HOSTS" in (run.task("call").error or "")


def test_retry_after_is_the_delay_of_the_timer_and_every_try_has_one_key(driver: Driver, web: Web) -> None:
    web.says(503, Retry_After="1800")
    run = work(call(driver, web.url(), method="PUT"))
    timer = Timer.objects.get(fired_at=None)
    assert run.task("call").status == "retry_waiting"
    assert timedelta(minutes=29) < timer.due_at - timezone.now() <= timedelta(minutes=30)
    Timer.objects.update(due_at=timezone.now())
    fire_timers()
    web.says(200)
    work(run)
    assert run.status == "succeeded"
    keys = [seen.headers["idempotency-key"] for seen in web.seen]
    assert (len(keys), len(set(keys)), len(keys[0])) == (2, 1, 64)


def test_an_answer_that_cannot_be_kept_fails_the_step(driver: Driver, web: Web) -> None:
    web.says(200, b"a\x00b")
    web.answer = lambda seen: (200, {"Content-Type": "text/plain"}, b"a\x00b")
    run = work(call(driver, web.url()))
    assert (run.status, (run.task("call").error or "").partition(":")[0]) == ("failed", "result_invalid")


def test_own_services_are_not_called_by_a_wildcard(settings: Any) -> None:
    settings.GRAFLOW_HTTP_HOSTS, settings.GRAFLOW_OWN_NAMES = ["*"], ["db.example.com"]
    with pytest.raises(Exception, match="service of this network"):
        network.policy().check_url("https://db.example.com/")
