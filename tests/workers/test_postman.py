"""What the engine process sends: mails through Django, webhooks signed and to checked addresses only."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from engine.runs.outgoing import OutboxItem
from engine.workers.postman import Postman
from tests.execution.web import Web, web_server
from tests.runs.driver import Driver, Run, document


def postman() -> Postman:
    return Postman(threading.Event())


def tell(driver: Driver, **step: Any) -> Run:
    notify = {"id": "tell", "kind": "notify", "subject": "News", "message": "It is\nout.", **step}
    return driver.start(document([notify], []))


def again() -> int:
    """One round, with every waiting item due."""
    OutboxItem.objects.filter(state="waiting").update(next_try_at=timezone.now() - timedelta(seconds=1))
    return postman().round()


def test_a_mail_is_sent_once_and_says_which_run_it_is_about(driver: Driver) -> None:
    run = tell(driver, to=["ann@example.com"])
    assert (run.status, len(mail.outbox)) == ("succeeded", 0)
    assert (postman().round(), postman().round()) == (1, 0)
    (sent,) = mail.outbox
    item = OutboxItem.objects.get()
    assert (sent.to, sent.subject, item.state, item.tries) == (["ann@example.com"], "News", "sent", 1)
    assert sent.body.startswith("It is\nout.") and f"/runs/{run.id}/" in sent.body
    assert item.dedupe_key in sent.message()["Message-ID"]


def test_a_death_between_commit_and_sending_loses_nothing(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine dies with the item in hand; the next one sends it when its time is over."""
    tell(driver, to=["ann@example.com"])

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("engine.workers.postman.mail", die)
        with pytest.raises(Killed):
            postman().round()
    assert (postman().round(), len(mail.outbox)) == (0, 0)
    assert (again(), len(mail.outbox), OutboxItem.objects.count()) == (1, 1, 1)


def test_a_mail_server_that_is_down_costs_tries_and_no_run(driver: Driver, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1
    run = tell(driver, to=["ann@example.com"])
    assert (run.status, postman().round()) == ("succeeded", 1)
    item = OutboxItem.objects.get()
    assert (item.state, item.tries, "refused" in (item.error or "")) == ("waiting", 1, True)
    assert item.next_try_at > timezone.now()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert (again(), len(mail.outbox), OutboxItem.objects.get().error) == (1, 1, None)


@pytest.fixture
def web(settings: Any) -> Iterator[Web]:
    with web_server() as server:
        settings.GRAFLOW_WEBHOOKS = {"chat": server.url("/hook?a=b")}
        settings.GRAFLOW_WEBHOOK_SECRET = "sixteen characters"
        settings.GRAFLOW_HTTP_ALLOW_PRIVATE = [ip_network("127.0.0.0/8")]
        yield server


def test_a_webhook_is_called_with_a_signed_body(driver: Driver, web: Web) -> None:
    run = tell(driver, webhook="chat")
    postman().round()
    (seen,) = web.seen
    assert (seen.method, seen.path, OutboxItem.objects.get().state) == ("POST", "/hook?a=b", "sent")
    assert json.loads(seen.body) == {
        "run": run.id, "workflow": "test", "task": "tell", "iteration": 1, "subject": "News", "message": "It is\nout.",
    }  # fmt: skip
    fields = dict(part.split("=") for part in seen.headers["x-graflow-signature"].split(","))
    signed = hmac.new(b"sixteen characters", f"{fields['t']}.".encode() + seen.body, hashlib.sha256).hexdigest()
    assert fields["v1"] == signed
    assert seen.headers["x-graflow-delivery"] == OutboxItem.objects.get().dedupe_key


def test_a_webhook_that_refuses_is_called_again_with_the_same_delivery(driver: Driver, web: Web) -> None:
    web.says(500)
    tell(driver, webhook="chat")
    postman().round()
    assert (OutboxItem.objects.get().state, "status 500" in str(OutboxItem.objects.get().error)) == ("waiting", True)
    web.says(204)
    again()
    assert OutboxItem.objects.get().state == "sent"
    assert len({seen.headers["x-graflow-delivery"] for seen in web.seen}) == 1


def test_a_webhook_may_not_lead_into_the_private_network(driver: Driver, web: Web, settings: Any) -> None:
    settings.GRAFLOW_HTTP_ALLOW_PRIVATE = []
    tell(driver, webhook="chat")
    postman().round()
    item = OutboxItem.objects.get()
    assert (item.state, "not public" in str(item.error), web.seen) == ("failed", True, [])


def test_a_webhook_that_is_gone_is_noted(driver: Driver, web: Web, settings: Any) -> None:
    tell(driver, webhook="chat")
    settings.GRAFLOW_WEBHOOKS = {}
    postman().round()
    assert "has no 'chat' any more" in str(OutboxItem.objects.get().error)


def test_the_thread_sends_and_ends_when_it_is_told(driver: Driver, transactional_db: None) -> None:
    tell(driver, to=["ann@example.com"])
    stop = threading.Event()
    thread = Postman(stop)
    thread.start()
    for _ in range(200):
        if mail.outbox:
            break
        threading.Event().wait(0.05)
    stop.set()
    thread.join(10)
    assert (len(mail.outbox), thread.is_alive()) == (1, False)
