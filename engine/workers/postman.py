"""Sends what runs have asked to be told: mails through Django, webhooks through the guarded client.

A thread of the engine process, because a mail server may be slow and timers must not wait for it. At least once:
a process that dies between sending and noting it sends again, under the same Message-ID or delivery number.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import InterfaceError, OperationalError, connection

from engine.core.errors import TerminalError
from engine.execution.http_client import send
from engine.runs import outbox
from engine.runs.outgoing import OutboxItem
from engine.workers import network

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0


class Postman(threading.Thread):
    """Sends until `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="graflow-postman", daemon=True)
        self._stopping = stop

    def run(self) -> None:
        try:
            while not self._stopping.wait(IDLE_SECONDS):
                try:
                    self.round()
                except (OperationalError, InterfaceError) as down:
                    log.warning("postman: the database does not answer: %s", down)
                    connection.close()
        finally:
            connection.close()

    def round(self) -> int:
        """Send everything whose turn it is; how much that was."""
        count = 0
        for pk in outbox.due():
            if self._stopping.is_set():
                break
            item = outbox.take(pk)
            if item is not None:
                deliver(item)
                count += 1
        return count


def deliver(item: OutboxItem) -> bool:
    """One try; whether it worked. What it raises is noted with the item."""
    try:
        (call if item.kind == OutboxItem.WEBHOOK else mail)(item)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a mail server or another site may fail in any way; no run depends on it
        given_up = outbox.failed(item, f"{type(error).__name__}: {error}", final=isinstance(error, TerminalError))
        what = "given up" if given_up else "tried again later"
        log.warning("postman: %s to %s of %s is %s: %s", item.kind, item.recipient, item.key, what, error)
        return False
    outbox.sent(item)
    return True


def mail(item: OutboxItem) -> None:
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    footer = f"-- \n{item.run.definition.name}: {settings.PUBLIC_URL}/runs/{item.run.public_id}/"
    EmailMessage(
        item.subject or item.run.definition.name, f"{item.message}\n\n{footer}", settings.DEFAULT_FROM_EMAIL,
        [item.recipient], headers={"Message-ID": f"<{item.dedupe_key}@{host}>"},
    ).send()  # fmt: skip


def call(item: OutboxItem) -> None:
    url = settings.GRAFLOW_WEBHOOKS.get(item.recipient)
    if url is None:
        raise LookupError(f"GRAFLOW_WEBHOOKS has no {item.recipient!r} any more")
    told = {
        "run": str(item.run.public_id), "workflow": item.run.definition.slug, "task": item.key,
        "iteration": item.iteration, "subject": item.subject, "message": item.message,
    }  # fmt: skip
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json", "X-Graflow-Delivery": item.dedupe_key,
        "X-Graflow-Signature": signature(settings.GRAFLOW_WEBHOOK_SECRET, int(time.time()), body),
    }  # fmt: skip
    answer = send(network.policy().for_target(url), "POST", url, headers=headers, body=body)
    if not 200 <= answer.status < 300:
        raise OSError(f"the webhook answered with status {answer.status}")


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`; the time is signed too, so that an old call cannot be played again."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
