"""What may be asked of a person: the arguments of a question from Python code, checked before anybody sees it.

Settings of documents are checked when they are compiled, and published ones must go on: they do not come by here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from engine.core.errors import InvalidInput
from engine.core.schema import schema_error

MAX_KEY = 200
"""Characters of a question's key."""
ARGUMENTS = (
    "data", "prompt", "options", "key", "schema", "editable", "timeout", "on_timeout", "on_reject", "assignees",
)  # fmt: skip
_WITH_A_FORM = (str, int, float, bytes, Decimal, UUID, PurePath, Enum, date, time, timedelta, type(None))


class QuestionError(InvalidInput):
    """A question that cannot be asked; asking again would not mend it."""

    terminal = True


def check_question(given: Mapping[str, Any]) -> None:
    """Raises QuestionError naming the argument that does not fit. A key of None means that none was given."""
    for name in given:
        if name not in ARGUMENTS:
            raise QuestionError(f"{name!r} is no argument of a question; known are: {', '.join(ARGUMENTS)}.")
    for name, (fits, words) in _CHECKS.items():
        if name in given and not fits(given[name]):
            text = repr(given[name])
            text = text if len(text) <= 60 else text[:57] + "…"
            raise QuestionError(f"{name}={text} must be {words}.")
    if (schema := given.get("schema")) and (wrong := schema_error(schema)):
        place, message = wrong
        raise QuestionError(f"schema is no JSON Schema: {place or 'its top'}: {message}. Correct it there.")
    _check_data(given.get("data"), "", 0)


def _is_seconds(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _are_assignees(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and all(
        kind in ("users", "groups")
        and isinstance(names, (list, tuple, set, frozenset))
        and all(isinstance(name, str) for name in names)
        for kind, names in value.items()
    )


def _is_list(value: Any) -> bool:
    return value is None or (isinstance(value, Iterable) and not isinstance(value, (str, bytes)))


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "prompt": (lambda v: v is None or isinstance(v, str), "text, or None for the usual one"),
    "key": (
        lambda v: v is None or (isinstance(v, str) and 0 < len(v) <= MAX_KEY),
        f"text of 1 to {MAX_KEY} characters, or None to go by the number of the question",
    ),
    "options": (_is_list, "a list of texts, for example ['yes', 'no']"),
    "schema": (lambda v: v is None or isinstance(v, dict), "a JSON Schema, which is a dict"),
    "editable": (lambda v: isinstance(v, bool), "True or False"),
    "timeout": (_is_seconds, "a number of seconds from 0, or None to wait for ever"),
    "assignees": (_are_assignees, "a dict of lists of names: {'users': [...], 'groups': [...]}"),
}


def _check_data(value: Any, path: str, depth: int) -> None:
    """An answer binds to the data by its hash: what looks different whenever it is made would be asked for ever."""
    if depth > 64:
        raise QuestionError("data is nested deeper than 64 levels, or holds itself; hand over less of it.")
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) for key in value) or all(isinstance(key, (int, float)) for key in value)
        if not plain:
            raise QuestionError(f"data has the keys {list(value)!r:.60} at {path or 'its top'}; use texts as keys.")
        for key, item in value.items():
            _check_data(item, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            _check_data(item, f"{path}[{index}]", depth + 1)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _check_data(getattr(value, field.name), f"{path}.{field.name}" if path else field.name, depth + 1)
    elif not isinstance(value, _WITH_A_FORM):
        raise QuestionError(
            f"data holds a {type(value).__name__} at {path or 'its top'}, which looks different whenever it is made; "
            "hand over plain values (dicts, lists, texts, numbers) that tell what it is about."
        )


def stable(value: Any) -> Any:
    """What JSON has no form for, in one that is the same whenever it is made. For `json.dumps`."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {field.name: getattr(value, field.name) for field in fields(value)}]
    return repr(value)
