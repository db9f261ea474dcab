"""Mails and webhook calls that were given up: what operators see of them, and another try."""

from __future__ import annotations

from engine.access import Actor, audit, policy
from engine.core.errors import Conflict, NotFound
from engine.runs import data, database
from engine.runs.outgoing import OutboxItem

MOST = 50


def list_unsent(actor: Actor) -> list[data.Unsent]:
    """The newest messages that were given up, at most fifty."""
    policy.require(actor, "monitor.view")
    given_up = policy.for_user(actor, OutboxItem.objects.filter(state=OutboxItem.FAILED))
    rows = given_up.select_related("run__definition").defer("run__inputs", "run__counters", "message")
    return [_shown(row) for row in rows.order_by("-pk")[:MOST]]


def send_again(actor: Actor, unsent: int) -> None:
    """Give a message as many tries as a new one has. Raises Conflict when it is not given up any more."""
    row = policy.for_user(actor, OutboxItem.objects.select_related("run__definition")).filter(pk=unsent).first()
    if row is None:
        policy.require(actor, "monitor.view")
        raise NotFound("There is no such message, or it is not open to you.")
    policy.require(actor, "run.control", row.run)
    with database.writing():
        given_up = OutboxItem.objects.filter(pk=row.pk, state=OutboxItem.FAILED)
        if not given_up.update(state=OutboxItem.WAITING, tries=0, error=None, next_try_at=database.in_seconds(0)):
            raise Conflict(f"The message to {row.recipient} is {row.state}; only one that was given up is sent again.")
        audit.write(actor, "message.retry", "run", row.run.public_id, {"recipient": row.recipient, "task": row.key})


def _shown(row: OutboxItem) -> data.Unsent:
    return data.Unsent(
        id=row.pk, kind=row.kind, recipient=row.recipient, subject=row.subject, tries=row.tries, error=row.error or "",
        created_at=row.created_at, run=str(row.run.public_id), task=row.key, workflow=row.run.definition.name,
    )  # fmt: skip
