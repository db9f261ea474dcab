"""The audit log: who did what, when, each entry holding the hash of the one before.

Entries are written in the transaction of the deed: either both happened or neither. The head row is locked
last, after the rows of the deed, and held until the commit; keep such transactions short.
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

Head = tuple[int, str]
"""How many entries there are and the hash of the last one."""
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
        entry = drafted(_locked_head(), actor, action, obj_type, obj_id, data, request)
        _append(entry)
    return entry


def drafted(
    head: Head,
    actor: Actor,
    action: str,
    obj_type: str,
    obj_id: object,
    data: Mapping[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> AuditEntry:
    """An entry that follows `head`, not written yet."""
    count, last = head
    entry = AuditEntry(
        id=count + 1,
        at=timezone.now(),
        actor_id=actor.pk,
        actor_name=actor.get_username()[:150],
        action=action,
        obj_type=obj_type,
        obj_id=str(obj_id)[:100],
        via=_door(request),
        data=_storable(dict(data or {})),
        prev_hash=last,
    )
    entry.hash = _hash(entry)
    return entry


def appended(entry: AuditEntry) -> tuple[str, sql.Row]:
    """For a deed that is one statement on PostgreSQL: the parts of its WITH that append a drafted entry, and their values.

    Part `head` gives a row if the chain still ends where the entry was drafted for. The deed has to read from it, so
    that nothing of it is done where the chain has moved on.
    """
    return _APPENDED, (entry.id, entry.hash, _HEAD_ID, entry.id - 1, entry.prev_hash, *_values(entry))


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


def _locked_head() -> Head:
    """The end of the chain; nobody else appends before the transaction ends."""
    head = _LOOK + (" FOR UPDATE" if sql.on_postgresql() else "")
    if (found := sql.row(head, (_HEAD_ID,))) is None:
        AuditHead.objects.get_or_create(pk=_HEAD_ID)
        found = sql.row(head, (_HEAD_ID,))
    count, last = found
    return count, last


def _append(entry: AuditEntry) -> None:
    """Write the entry and move the head on to it."""
    new, head = _values(entry), (entry.id, entry.hash, _HEAD_ID)
    if sql.on_postgresql():
        sql.row(f"WITH entry AS ({_NEW} VALUES ({_MARKS})) {_NEXT} RETURNING id", (*new, *head))
    else:
        sql.row(f"{_NEW} VALUES ({_MARKS})", new)
        sql.row(_NEXT, head)


def _values(entry: AuditEntry) -> sql.Row:
    """In the order of `_NEW`."""
    return (
        entry.id, entry.at, entry.actor_id, entry.actor_name, entry.action, entry.obj_type, entry.obj_id, entry.via,
        json.dumps(entry.data), entry.prev_hash, entry.hash,
    )  # fmt: skip


HEAD = ", ".join(f"(SELECT {column} FROM access_audithead WHERE id = {_HEAD_ID})" for column in ("count", "hash"))  # noqa: S608
"""Columns of a SELECT: the end of the chain as `Head`, or two NULLs before the first entry."""
_LOOK = "SELECT count, hash FROM access_audithead WHERE id = %s"
_NEXT = "UPDATE access_audithead SET count = %s, hash = %s WHERE id = %s"
_NEW = (
    "INSERT INTO access_auditentry (id, at, actor_id, actor_name, action, obj_type, obj_id, via, data, prev_hash, hash)"
)
_MARKS = "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s"
_APPENDED = (
    f"head AS ({_NEXT} AND count = %s AND hash = %s RETURNING 1), entry AS ({_NEW} "  # noqa: S608
    "SELECT %s::bigint, %s::timestamptz, %s::bigint, %s, %s, %s, %s, %s, %s::jsonb, %s, %s FROM head)"
)


def _door(request: HttpRequest | None) -> str:
    if request is None:
        return _via.get()
    return "api" if request.path.startswith("/api/") else "web"


def _hash(entry: AuditEntry) -> str:
    seen = [
        entry.id,
        entry.at.astimezone(timezone.get_default_timezone()).isoformat(),
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.obj_type,
        entry.obj_id,
        entry.via,
        _storable(entry.data),
        entry.prev_hash,
    ]
    return hashlib.sha256(json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


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
