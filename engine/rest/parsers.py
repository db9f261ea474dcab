"""Reads request bodies: JSON only, within the limits of `limits.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from engine.rest import limits


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body is larger than {limits.MAX_BODY_BYTES:,} bytes."


class LimitedJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(limits.MAX_BODY_BYTES + 1)
        if len(raw) > limits.MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            return limits.parse_json(raw)
        except limits.JsonRefused as refused:
            raise ParseError(str(refused), code=refused.code) from None
