"""Addresses that start a workflow: kept by operators, called by other systems with a secret.

A run is started in the name and with the rights of whoever made the trigger. Nobody learns from an answer whether
an address exists: an unknown one and a wrong secret are refused alike.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q

from engine.access import Actor, audit, sealing
from engine.core.errors import Conflict, Forbidden, InvalidInput, NotFound, RequestError
from engine.runs import data, database, idempotency, starting
from engine.runs.models import WorkflowTrigger
from engine.runs.plans import plan_of
from engine.runs.workflows import as_uuid, find

ACTION = "automation.edit"
MOST = 100
MAX_NAME = 100
_MARK = "gfh_"  # lets secret scanners recognise a leaked secret
_PREFIX_LENGTH = 10
_NOTE_USE_EVERY = timedelta(minutes=1)


class WrongSecret(RequestError):
    code, status = "wrong_secret", 401


def list_triggers(actor: Actor, workflow: str) -> list[data.Trigger]:
    definition = find(actor, "workflow.view", workflow)
    return [_trigger(row) for row in _rows().filter(definition=definition)]


def create_trigger(
    actor: Actor, workflow: str, *, name: str, signed: bool = False, enabled: bool = True,
    idempotency_key: str | None = None,
) -> data.Trigger:  # fmt: skip
    """A new address and its secret, which this answer alone holds. `signed`: callers sign their bodies with it."""
    definition = find(actor, ACTION, workflow)
    if definition.archived_at is not None:
        raise Conflict(f"Workflow {definition.name!r} is archived and cannot be started.", code="archived")
    given = {"name": _checked_name(name), "signed": signed, "enabled": enabled}
    if WorkflowTrigger.objects.filter(definition=definition).count() >= MOST:
        raise Conflict(f"Workflow {definition.name!r} has {MOST} triggers already; delete one first.", code="too_many")
    secret = _MARK + secrets.token_urlsafe(32)
    made: list[str] = []

    def make() -> str:
        row = WorkflowTrigger.objects.create(
            definition=definition, created_by_id=actor.pk, created_at=database.now(), prefix=secret[:_PREFIX_LENGTH],
            digest=_digest(secret), sealed=sealing.seal(secret) if signed else "", **given,
        )  # fmt: skip
        made[:] = [secret]
        audit.write(actor, "trigger.create", "trigger", row.public_id, {"workflow": str(definition.public_id), **given})
        return str(row.public_id)

    def once() -> str:
        with database.writing():
            request = [str(definition.public_id), given]
            return idempotency.once(actor, "create_trigger", idempotency_key, request, make)

    row = _find(actor, ACTION, workflow, database.retried(once))
    return _trigger(row, secret=made[0] if made else None)


def get_trigger(actor: Actor, workflow: str, trigger: str) -> data.Trigger:
    return _trigger(_find(actor, "workflow.view", workflow, trigger))


def change_trigger(
    actor: Actor, workflow: str, trigger: str, *, name: str | None = None, enabled: bool | None = None
) -> data.Trigger:
    found = _find(actor, ACTION, workflow, trigger)
    given = {"name": None if name is None else _checked_name(name), "enabled": enabled}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}

    def once() -> None:
        with database.writing():
            WorkflowTrigger.objects.filter(pk=found.pk).update(**changes)
            audit.write(actor, "trigger.change", "trigger", found.public_id, changes)

    if changes:
        database.retried(once)
    return get_trigger(actor, workflow, trigger)


def delete_trigger(actor: Actor, workflow: str, trigger: str) -> None:
    """The address is gone at once; its runs stay."""
    found = _find(actor, ACTION, workflow, trigger)

    def once() -> None:
        with database.writing():
            WorkflowTrigger.objects.filter(pk=found.pk).delete()
            audit.write(actor, "trigger.delete", "trigger", found.public_id, {"name": found.name})

    database.retried(once)


# -- called from outside ----------------------------------------------------------------------------------------


def pull(
    trigger: str, *, raw: bytes, read: Callable[[], Any], bearer: str = "", signature: str = "",
    idempotency_key: str | None = None,
) -> data.Run:  # fmt: skip
    """Start the workflow of an address. `raw` is the body as it came, which `read` parses once the secret was right.

    The body becomes the inputs where the workflow declares inputs, else the one input `body`. Raises WrongSecret.
    """
    row = _opened(trigger, raw, bearer, signature)
    if not row.enabled:
        raise Conflict("This trigger is switched off.", code="disabled")
    if row.created_by is None:
        raise Forbidden("The account that made this trigger is gone; delete it and make a new one.")
    plan = plan_of(starting.version_of(row.definition, None).pk)
    inputs = _inputs(read(), declared=plan.inputs_schema is not None)
    _note_use(row)
    return starting.start_run(
        row.created_by, workflow=str(row.definition.public_id), inputs=inputs, idempotency_key=idempotency_key,
        scope=f"trigger:{row.pk}",
    )  # fmt: skip


def _opened(trigger: str, raw: bytes, bearer: str, signature: str) -> WorkflowTrigger:
    public_id = as_uuid(trigger)
    row: WorkflowTrigger | None = _rows().filter(public_id=public_id).first() if public_id else None
    if row is not None and (_is_signed(row, raw, signature) if row.signed else _is_known(row, bearer)):
        return row
    raise WrongSecret(
        "There is no such trigger, or the secret is wrong. Send `Authorization: Bearer <secret>`, or, for a trigger that "
        "takes signatures, `X-Graflow-Signature: sha256=<HMAC of the body>`."
    )


def _is_known(row: WorkflowTrigger, bearer: str) -> bool:
    return bool(bearer) and hmac.compare_digest(_digest(bearer), row.digest)


def _is_signed(row: WorkflowTrigger, raw: bytes, signature: str) -> bool:
    secret = sealing.unseal(row.sealed)
    if secret is None or not signature.isascii():
        return False
    expected = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature.strip().lower())


def _inputs(body: Any, *, declared: bool) -> dict[str, Any]:
    if not declared:
        return {"body": body}
    if body is None:
        return {}
    if not isinstance(body, dict):
        message = f"The workflow declares inputs, so the body must be a JSON object; it is a {type(body).__name__}."
        raise InvalidInput(message, errors=[{"path": "", "message": message}])
    return body


def _note_use(row: WorkflowTrigger) -> None:
    # One write a minute at most: a busy trigger must not turn every start into one more write.
    moment = database.now()
    if row.last_used_at is not None and row.last_used_at > moment - _NOTE_USE_EVERY:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=moment - _NOTE_USE_EVERY)
    with database.writing():
        WorkflowTrigger.objects.filter(stale, pk=row.pk).update(last_used_at=moment)


def _checked_name(name: str) -> str:
    cleaned = name.strip()
    if not 0 < len(cleaned) <= MAX_NAME:
        message = f"name={name[:40]!r}: expected 1 to {MAX_NAME} characters, for example 'shop orders'."
        raise InvalidInput(message, errors=[{"path": "name", "message": message}])
    return cleaned


def _digest(secret: str) -> str:
    # A fast hash is right here: the secret holds 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _rows() -> Any:
    return WorkflowTrigger.objects.select_related("definition", "created_by").defer("definition__draft")


def _find(actor: Actor, action: str, workflow: str, trigger: str) -> WorkflowTrigger:
    definition = find(actor, action, workflow)
    row: WorkflowTrigger | None = _rows().filter(definition=definition, public_id=as_uuid(trigger)).first()
    if row is None:
        raise NotFound(f"Workflow {definition.name!r} has no trigger {trigger[:80]!r}.")
    return row


def _trigger(row: WorkflowTrigger, secret: str | None = None) -> data.Trigger:
    return data.Trigger(
        id=str(row.public_id), workflow=str(row.definition.public_id), name=row.name, signed=row.signed,
        prefix=row.prefix, path=f"/hooks/{row.public_id}/", enabled=row.enabled, last_used_at=row.last_used_at,
        created_by=row.created_by.get_username() if row.created_by else "", created_at=row.created_at, secret=secret,
    )  # fmt: skip
