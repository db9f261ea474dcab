"""Which values may be stored, and where: beside their row, or as a blob of their own.

Checked before the transaction that keeps them, because a value the database refuses would fail it again and again.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from django.utils import timezone

from engine.core.errors import EngineError
from engine.runs.fields import dumps
from engine.runs.models import Blob

INLINE_BYTES = 64 * 1024
MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
PREVIEW_BYTES = 2_000


class Unstorable(EngineError):
    """A value that cannot be kept; `code` says why."""

    code = "result_invalid"

    def __init__(self, message: str, code: str = "result_invalid") -> None:
        self.code = code
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code)


def check(value: Any, what: str = "The result") -> str:
    """The JSON text of `value`. Raises Unstorable naming the place that cannot be kept."""
    _walk(value, what, "", 0)
    text = dumps(value)
    if len(text) > MAX_BYTES:
        raise Unstorable(
            f"{what} has {len(text)} bytes as JSON; at most {MAX_BYTES} are kept. Store it outside and return where.",
            "result_too_large",
        )
    return text


def _walk(value: Any, what: str, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Unstorable(f"{what} is nested deeper than {MAX_DEPTH} levels.")
    if value is None or isinstance(value, bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable(f"{what} holds {value!r} at {path or 'its top'}; JSON has no such number.")
    elif isinstance(value, str):
        _check_text(value, what, path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _walk(item, what, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Unstorable(f"{what} has the key {key!r} at {path or 'its top'}; JSON keys are texts.")
            _check_text(key, what, path)
            _walk(item, what, f"{path}.{key}" if path else key, depth + 1)
    else:
        raise Unstorable(f"{what} holds a {type(value).__name__} at {path or 'its top'}; only JSON values are kept.")


def _check_text(text: str, what: str, path: str) -> None:
    if "\x00" in text:
        raise Unstorable(f"{what} holds a NUL character at {path or 'its top'}.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unstorable(f"{what} holds half a character (a lone surrogate) at {path or 'its top'}.") from None


def place(value: Any, text: str | None = None) -> tuple[Any, str | None]:
    """(value to keep in the row, hash of the blob it was put into). Call inside the transaction."""
    text = dumps(value) if text is None else text
    if len(text) <= INLINE_BYTES:
        return value, None
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    # One that exists is taken into use again, so that retention does not delete it at this very moment.
    Blob.objects.bulk_create(
        [Blob(sha256=digest, size=len(content), content=content, created_at=timezone.now())],
        update_conflicts=True, unique_fields=["sha256"], update_fields=["unreferenced_at"],
    )  # fmt: skip
    return None, digest


def fetch(value: Any, digest: str | None) -> Any:
    """The inverse of `place`."""
    if digest is None:
        return value
    return json.loads(bytes(Blob.objects.values_list("content", flat=True).get(pk=digest)))


def preview(value: Any) -> Any:
    """`value` where it is small; else the beginning of its text. For people to look at."""
    try:
        text = dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    else:
        if len(text) <= PREVIEW_BYTES:
            return value
    return f"{text[:PREVIEW_BYTES]}…"
