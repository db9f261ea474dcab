"""Lists by cursor: newest first, stable while rows are added."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from engine.core.errors import InvalidInput
from engine.runs.data import Page

T = TypeVar("T")
M = TypeVar("M", bound=Model)

MAX_LIMIT = 200


def page(rows: QuerySet[M], limit: int, cursor: str | None, value: Callable[[M], T]) -> Page[T]:
    """One page of `rows`, which have `created_at` and an id."""
    if cursor:
        moment, pk = _decode(cursor)
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=pk))
    size = max(1, min(limit, MAX_LIMIT))
    found = list(rows.order_by("-created_at", "-pk")[: size + 1])
    following = _encode(found[size - 1]) if len(found) > size else None
    return Page([value(row) for row in found[:size]], following)


def number_page(rows: QuerySet[M], name: str, limit: int, cursor: str | None, value: Callable[[M], T]) -> Page[T]:
    """As `page`, for rows ordered by a number of their own, the highest first."""
    if cursor:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
            raise _bad(cursor)
        rows = rows.filter(**{f"{name}__lt": int(cursor)})
    size = max(1, min(limit, MAX_LIMIT))
    found = list(rows.order_by(f"-{name}")[: size + 1])
    following = str(getattr(found[size - 1], name)) if len(found) > size else None
    return Page([value(row) for row in found[:size]], following)


def _encode(row: Any) -> str:
    return urlsafe_b64encode(f"{row.created_at.isoformat()}|{row.pk}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, int]:
    try:
        moment, _, pk = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        when, number = datetime.fromisoformat(moment), int(pk)
    except (binascii.Error, ValueError):
        raise _bad(cursor) from None
    if when.tzinfo is None or not 0 <= number < 2**63:
        raise _bad(cursor)
    return when, number


def _bad(cursor: str) -> InvalidInput:
    return InvalidInput(f"cursor={cursor[:60]!r} is not one that a list of ours gave.", code="invalid_cursor")
