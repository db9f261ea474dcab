"""Mails and webhook calls that runs have asked for: written with the step that asks, sent after its commit.

Sending is done elsewhere (`engine.workers.postman`); here is who is told, whose turn it is, and what came of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import F

from engine.core.news import Notice
from engine.runs import database
from engine.runs.outgoing import OutboxItem

if TYPE_CHECKING:
    from engine.runs.ledger import Unit

BATCH = 100
MAX_TRIES = 8
SENDING_SECONDS = 120.0
"""How long an item is left to the process that sends it."""
_FIRST_DELAY, _GROWTH, _LONGEST_DELAY = 15.0, 3.0, 3600.0
_ERROR_TEXT = 1_000
_GROUP = "group:"


def put(unit: Unit, notice: Notice) -> None:
    """Note every message of a notice, once per address."""
    found = {(kind, recipient): error for kind, recipient, error in _recipients(notice)}
    OutboxItem.objects.bulk_create(
        [
            OutboxItem(
                run_id=unit.run.pk,
                key=notice.task_id,
                iteration=notice.iteration,
                kind=kind,
                recipient=recipient,
                subject=notice.subject,
                message=notice.message,
                dedupe_key=dedupe_key(str(unit.run.public_id), notice, kind, recipient),
                state=OutboxItem.FAILED if error else OutboxItem.WAITING,
                error=error,
                next_try_at=unit.moment,
                created_at=unit.moment,
            )
            for (kind, recipient), error in found.items()
        ],
        batch_size=500,
        ignore_conflicts=True,
    )


def dedupe_key(run: str, notice: Notice, kind: str, recipient: str) -> str:
    parts = (run, notice.task_id, str(notice.iteration), kind, recipient)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _recipients(notice: Notice) -> Iterator[tuple[str, str, str | None]]:
    """(kind, address, why it cannot be told) of everybody a notice names."""
    if notice.webhook is not None:
        yield OutboxItem.WEBHOOK, notice.webhook, None
    people = get_user_model()._default_manager.filter(is_active=True)
    for name in map(str.strip, notice.to):
        if name.startswith(_GROUP):
            members = people.filter(groups__name=name.removeprefix(_GROUP))
            addresses = list(members.order_by("pk").values_list("email", flat=True))
            told = [address for address in addresses if address]
            if not told:
                yield OutboxItem.MAIL, name[:320], "nobody in this group has a mail address"
        elif "@" in name:
            told = [name]
        else:
            told = [address for address in people.filter(username=name).values_list("email", flat=True) if address]
            if not told:
                yield OutboxItem.MAIL, name[:320], "there is no such user, or no mail address"
        for address in told:
            yield OutboxItem.MAIL, address[:320], _wrong_address(address)


def _wrong_address(address: str) -> str | None:
    try:
        validate_email(address)
    except ValidationError:
        return "this is no mail address"
    return None


def due() -> list[int]:
    """Items whose turn it is."""
    waiting = OutboxItem.objects.filter(state=OutboxItem.WAITING, next_try_at__lte=database.in_seconds(0))
    return list(waiting.order_by("next_try_at").values_list("pk", flat=True)[:BATCH])


def take(pk: int) -> OutboxItem | None:
    """The item, for one try; None when somebody else has it. Who dies over it leaves it to another after a while."""
    with database.writing():
        mine = OutboxItem.objects.filter(pk=pk, state=OutboxItem.WAITING, next_try_at__lte=database.in_seconds(0))
        taken = mine.update(next_try_at=database.in_seconds(SENDING_SECONDS), tries=F("tries") + 1)
    if taken != 1:
        return None
    return OutboxItem.objects.select_related("run__definition").defer("run__inputs", "run__counters").get(pk=pk)


def sent(item: OutboxItem) -> None:
    with database.writing():
        _at_this_try(item).update(state=OutboxItem.SENT, sent_at=database.in_seconds(0), error=None)


def failed(item: OutboxItem, error: str, *, final: bool = False) -> bool:
    """Note why a try failed; whether the item is given up."""
    over = final or item.tries >= MAX_TRIES
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * _GROWTH ** (item.tries - 1))
    with database.writing():
        _at_this_try(item).update(
            state=OutboxItem.FAILED if over else OutboxItem.WAITING, error=error[:_ERROR_TEXT],
            next_try_at=database.in_seconds(delay),
        )  # fmt: skip
    return over


def _at_this_try(item: OutboxItem) -> models.QuerySet[OutboxItem]:
    return OutboxItem.objects.filter(pk=item.pk, state=OutboxItem.WAITING, tries=item.tries)
