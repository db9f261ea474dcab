"""Requests that may come twice: the second one gets the answer of the first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from engine.access import Actor
from engine.core.errors import InvalidInput
from engine.runs import database
from engine.runs.fields import dumps
from engine.runs.models import IdempotencyKey

KEPT = timedelta(hours=24)


def known(actor: Actor, scope: str, key: str | None, request: Any) -> str | None:
    """The reference the first request with this key got, None when there was none.

    Raises InvalidInput when the key came with another request.
    """
    row = _row(actor, scope, key) if key is not None else None
    if row is None:
        return None
    if row.request_sha256 != _digest(request):
        raise InvalidInput(
            f"The Idempotency-Key {key!r} was used for another request before. Use a new key for a new request.",
            code="idempotency_key_reused",
        )
    return str(row.response)


def once(actor: Actor, scope: str, key: str | None, request: Any, do: Callable[[], str]) -> str:
    """The reference that `do` gives, or gave when the same actor used the same key before.

    Inside the caller's transaction. Raises InvalidInput when the key came with another request.
    """
    if key is None:
        return do()
    found = known(actor, scope, key, request)
    if found is not None:
        return found
    if not remember(actor, scope, key, request, None):
        return str(known(actor, scope, key, request))
    reference = do()
    IdempotencyKey.objects.filter(**_place(actor, scope, key)).update(response=reference)
    return reference


def remember(actor: Actor, scope: str, key: str | None, request: Any, reference: str | None) -> bool:
    """Keep the reference; False when somebody with the same key was quicker.

    Whoever comes second at the same time waits here for the first one's commit.
    """
    if key is None:
        return True
    row = IdempotencyKey(
        **_place(actor, scope, key), request_sha256=_digest(request), response=reference, created_at=database.now()
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def _row(actor: Actor, scope: str, key: str) -> IdempotencyKey | None:
    row = IdempotencyKey.objects.filter(**_place(actor, scope, key)).first()
    if row is not None and row.created_at < database.now() - KEPT:
        row.delete()
        return None
    return row


def _place(actor: Actor, scope: str, key: str) -> dict[str, str]:
    return {"actor": str(actor.pk or "system"), "scope": scope, "key": key}


def _digest(request: Any) -> str:
    return hashlib.sha256(dumps(request).encode()).hexdigest()
