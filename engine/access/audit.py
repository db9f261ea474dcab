"""The audit log: who did what, when, each entry holding the hash of the one before.

Entries are written in the transaction of the deed: either both happened or neither. The head row is locked
last, after the rows of the deed, and held until the commit; keep such transactions short. A deed that is one
statement locks it first, so it must wait for no row that others hold while they append.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from engine import sql
from engine.access.actors import Actor
from engine.access.models import AuditEntry, AuditHead

_HEAD_ID = 1
_via: ContextVar[str] = ContextVar("audit_via", default="system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One place where the chain does not hold."""

    entry_id: int
    message: str


@contextmanager
def acting_via(door: str) -> Iterator[None]:
    """Entries written inside name `door` as the way the deed came in: web, api, socket, command or system."""
    token = _via.set(door)
    try:
        yield
    finally:
        _via.reset(token)


def enter_by(door: str) -> None:
    """Name the door for the rest of the `acting_via` block that is open, once more is known about the caller."""
    _via.set(door)


def write(
    actor: Actor,
    action: str,
    obj_type: str,
    obj_id: object,
    data: Mapping[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """Append an entry to the chain, in the caller's transaction where there is one."""
    with nullcontext() if connection.in_atomic_block else transaction.atomic():
        entry = drafted(actor, action, obj_type, obj_id, data, request)
        if not _append(entry):
            AuditHead.objects.get_or_create(pk=_HEAD_ID)
            _append(entry)
    return entry


def drafted(
    actor: Actor,
    action: str,
    obj_type: str,
    obj_id: object,
    data: Mapping[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """An entry that has no place in the chain yet."""
    return AuditEntry(
        at=timezone.now(),
        actor_id=actor.pk,
        actor_name=actor.get_username()[:150],
        action=action,
        obj_type=obj_type,
        obj_id=str(obj_id)[:100],
        via=_door(request),
        data=_storable(dict(data or {})),
    )


def appended(entry: AuditEntry) -> tuple[str, sql.Row]:
    """The parts of the WITH of a statement that append a drafted entry on PostgreSQL, and their values.

    Part `entry` gives its id, prev_hash and hash, once the end of the chain is locked; nothing where there is none yet. A
    deed that is the rest of the statement has to read from it.
    """
    return _APPENDED, (_HEAD_ID, _middle(entry), _HEAD_ID, *_values(entry))


def verify(batch: int = 1_000) -> list[Flaw]:
    """Every entry that was changed, removed, inserted or moved; empty when the chain holds."""
    flaws: list[Flaw] = []
    head = AuditHead.objects.filter(pk=_HEAD_ID).first()
    expected_id, expected_hash = 1, ""
    for entry in AuditEntry.objects.order_by("id").iterator(chunk_size=batch):
        if entry.id != expected_id:
            flaws.append(Flaw(entry_id=expected_id, message=f"entries {expected_id} to {entry.id - 1} are missing"))
        elif entry.prev_hash != expected_hash:
            flaws.append(Flaw(entry_id=entry.id, message="does not follow the entry before it"))
        if entry.hash != _hash(entry):
            flaws.append(Flaw(entry_id=entry.id, message="was changed after it was written"))
        expected_id, expected_hash = entry.id + 1, entry.hash
    if (head.count if head else 0) != expected_id - 1:
        flaws.append(Flaw(entry_id=expected_id, message="the last entries are missing, or some were added"))
    elif head and head.hash != expected_hash:
        flaws.append(Flaw(entry_id=expected_id - 1, message="is not the entry the chain ends with"))
    return flaws


def _append(entry: AuditEntry) -> bool:
    """Write the entry at the end of the chain, which it becomes; whether there is one."""
    if sql.on_postgresql():
        parts, values = appended(entry)
        place = sql.row(f"WITH {parts} SELECT id, prev_hash, hash FROM entry", values)  # noqa: S608
        if place is not None:
            entry.id, entry.prev_hash, entry.hash = place
        return place is not None
    if (end := sql.row("SELECT count, hash FROM access_audithead WHERE id = %s", (_HEAD_ID,))) is None:
        return False
    entry.id, entry.prev_hash = end[0] + 1, end[1]
    entry.hash = _hash(entry)
    sql.row(f"{_NEW} VALUES ({', '.join(['%s'] * 11)})", (entry.id, *_values(entry), entry.prev_hash, entry.hash))
    sql.row("UPDATE access_audithead SET count = %s, hash = %s WHERE id = %s", (entry.id, entry.hash, _HEAD_ID))
    return True


def _values(entry: AuditEntry) -> sql.Row:
    """In the order of `_NEW`, without its place in the chain."""
    return (
        entry.at, entry.actor_id, entry.actor_name, entry.action, entry.obj_type, entry.obj_id, entry.via,
        json.dumps(entry.data),
    )  # fmt: skip


_NEW = (
    "INSERT INTO access_auditentry (id, at, actor_id, actor_name, action, obj_type, obj_id, via, data, prev_hash, hash)"
)
_APPENDED = (
    # The hash of an entry covers that of the one before, which nobody else can replace from here on.
    "chain AS (SELECT count + 1 AS id, hash AS prev FROM access_audithead WHERE id = %s FOR UPDATE), "  # noqa: S608
    "place AS (SELECT id, prev, encode(sha256(convert_to('[' || id || %s || prev || '\"]', 'UTF8')), 'hex') AS hash FROM chain), "
    "head AS (UPDATE access_audithead AS t SET count = place.id, hash = place.hash FROM place WHERE t.id = %s RETURNING 1), "
    f"entry AS ({_NEW} SELECT place.id, %s::timestamptz, %s::bigint, %s, %s, %s, %s, %s, %s::jsonb, prev, hash "
    "FROM place, head RETURNING id, prev_hash, hash)"
)


def _door(request: HttpRequest | None) -> str:
    if request is None:
        return _via.get()
    return "api" if request.path.startswith("/api/") else "web"


def _hash(entry: AuditEntry) -> str:
    return hashlib.sha256(f'[{entry.id}{_middle(entry)}{entry.prev_hash}"]'.encode()).hexdigest()


def _middle(entry: AuditEntry) -> str:
    """Of the JSON list that is hashed, what stands between the entry's id and the hash of the one before."""
    seen = [
        entry.at.astimezone(timezone.get_default_timezone()).isoformat(),
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.obj_type,
        entry.obj_id,
        entry.via,
        _storable(entry.data),
    ]
    return f',{json.dumps(seen, sort_keys=True, separators=(",", ":"))[1:-1]},"'


def _storable(value: Any) -> Any:
    """`value` in the one JSON form that every database gives back unchanged, so that hashes can be checked.

    PostgreSQL refuses NUL and lone surrogates and gives 1e5 back as 100000.
    """
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, bool | int):
        return value
    return str(value).replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
