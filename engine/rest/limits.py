"""How large and how deep a JSON body may be, checked on its text before any object is built.

Pure. Python's own parser recurses: a body of nothing but brackets would end in a RecursionError, which is a
fault of ours, where it should be a fault of the sender's.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_BODY_BYTES = 2_000_000
MAX_DEPTH = 64
MAX_KEYS = 10_000  # in one object
MAX_STRING = 1_000_000  # characters as sent

# The closing quote is optional: an open string takes the rest at once, or many of them would cost quadratic time.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]:]', re.DOTALL)
_SUSPECT = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|\x00")


class JsonRefused(ValueError):
    """A body that is not JSON, or more of it than we take. `code` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def parse_json(raw: bytes) -> Any:
    """The value in `raw`. Raises JsonRefused."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise JsonRefused("malformed", f"The body is not UTF-8: {wrong.reason} at byte {wrong.start}.") from None
    check_shape(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except JsonRefused:
        raise
    except ValueError as wrong:
        raise JsonRefused("malformed", f"The body is not JSON: {wrong}.") from None
    if _SUSPECT.search(text):
        _refuse_unstorable(value)
    return value


def check_shape(text: str) -> None:
    """Raise JsonRefused when `text` nests too deep or holds too long a string or too large an object."""
    keys: list[int] = []
    for match in _TOKEN.finditer(text):
        mark = match.group()
        if mark in "{[":
            keys.append(0)
            if len(keys) > MAX_DEPTH:
                raise JsonRefused("too_deep", f"The body nests deeper than {MAX_DEPTH} levels.")
        elif mark in "}]":
            if keys:
                keys.pop()
        elif mark == ":":
            if keys:
                keys[-1] += 1
                if keys[-1] > MAX_KEYS:
                    raise JsonRefused("too_many_keys", f"An object has more than {MAX_KEYS} keys.")
        elif len(mark) > MAX_STRING + 2:
            raise JsonRefused("string_too_long", f"A string is longer than {MAX_STRING} characters.")


def _refuse_constant(name: str) -> Any:
    raise JsonRefused("malformed", f"{name} is not JSON; send null or a string.")


def _refuse_unstorable(value: Any) -> None:
    """NUL and lone surrogates are legal in JSON but no text that a database keeps."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise JsonRefused("unstorable_text", "A string holds a NUL or half a surrogate pair.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
