"""JSON bodies at the limit and one beyond it."""

import contextlib
import json
import time

import pytest

from engine.rest.limits import MAX_BODY_BYTES, MAX_DEPTH, MAX_KEYS, MAX_STRING, JsonRefused, parse_json


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def refusal(raw: bytes) -> str:
    with pytest.raises(JsonRefused) as caught:
        parse_json(raw)
    return caught.value.code


def test_depth():
    assert parse_json(nested(MAX_DEPTH)) is not None
    assert refusal(nested(MAX_DEPTH + 1)) == "too_deep"
    assert refusal(b'{"a":' * 100_000) == "too_deep"


def test_keys_of_one_object():
    assert len(parse_json(json.dumps({str(i): i for i in range(MAX_KEYS)}).encode())) == MAX_KEYS
    assert refusal(json.dumps({str(i): i for i in range(MAX_KEYS + 1)}).encode()) == "too_many_keys"
    assert len(parse_json(json.dumps([{"a": 1, "b": 2}] * MAX_KEYS).encode())) == MAX_KEYS


def test_length_of_a_string():
    assert len(parse_json(json.dumps("x" * MAX_STRING).encode())) == MAX_STRING
    assert refusal(json.dumps("x" * (MAX_STRING + 1)).encode()) == "string_too_long"


def test_brackets_inside_strings_do_not_count():
    text = "[" * 1_000 + '\\"' + "{" * 1_000
    assert parse_json(json.dumps({text: text}).encode()) == {text: text}


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"nul", b'{"a": NaN}', b"[Infinity]", b"\xff", b'{"a" 1}', b"1" * 5_000, b'"' + b"\\" * 999]
)
def test_what_is_not_json_is_malformed(raw):
    assert refusal(raw) == "malformed"


@pytest.mark.parametrize("raw", [rb'"\u0000"', rb'{"\ud800": 1}', rb'[["\udfff"]]'])
def test_text_that_no_database_keeps_is_refused(raw):
    assert refusal(raw) == "unstorable_text"


def test_a_whole_surrogate_pair_is_text():
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize("piece", [b"[", b"[],", b'"",', b":", b'\\"', b'{"a":1},', b'"\\'])
def test_hostile_bodies_are_judged_quickly(piece):
    raw = (piece * MAX_BODY_BYTES)[:MAX_BODY_BYTES]
    started = time.monotonic()
    for body in (raw, b"[" + raw):
        with contextlib.suppress(JsonRefused):
            parse_json(body)
    assert time.monotonic() - started < 5
