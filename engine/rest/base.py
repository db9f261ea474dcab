"""What all API views share: who calls, how often, what a body may be, how a list is paged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from engine.access import audit
from engine.rest import problems
from engine.rest.authentication import BrowserAuthentication, TokenAuthentication
from engine.rest.openapi import Described
from engine.rest.parsers import LimitedJSONParser
from engine.rest.throttles import PersonThrottle

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
MAX_EVENTS = 1_000
MAX_KEY = 200
MAX_NAMED = 20  # unknown keys that a refusal names
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class JsonOnly(BaseContentNegotiation):
    """There is one form of answer, so `Accept` and `?format=` choose nothing."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = (request.content_type or "").split(";")[0].strip()
        return parsers[0] if media_type in ("application/json", "") else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """Parse, call one function of `engine.runs.api`, render."""

    authentication_classes = (TokenAuthentication, BrowserAuthentication)
    permission_classes = (IsAuthenticated,)
    parser_classes = (LimitedJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonOnly
    schema = Described()
    write_scope = "write"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        audit.enter_by(self.door)
        given = [*request.query_params.values(), *(str(value) for value in kwargs.values())]
        if any("\x00" in value for value in given):
            raise ParseError("The address holds a NUL character.", code="unstorable_text")

    @property
    def door(self) -> str:
        """`web` for a signed-in browser, `api` for a token."""
        return "web" if self.request.auth == "session" else "api"

    def get_throttles(self) -> list[Any]:
        return [PersonThrottle("read" if self.request.method in SAFE_METHODS else self.write_scope)]

    def get_exception_handler(self) -> Any:
        return problems.handle

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault("Cache-Control", "no-store")
        return response


def body(request: Request, shape: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """The checked body; raises ValidationError naming every field at fault."""
    checked = shape(data=request.data)
    wrong: dict[str, Any] = {} if checked.is_valid() else dict(checked.errors)
    known: dict[str, Any] = getattr(checked, "fields", {})
    sent = request.data if isinstance(request.data, dict) and not getattr(shape, "is_open", False) else {}
    if unknown := sent.keys() - known.keys():
        # A key with a slip of the pen would otherwise count as left out, and an order be handled twice.
        text = f"There is no such key here; there are: {', '.join(known)}."
        wrong |= {key[:MAX_KEY]: [ErrorDetail(text, code="unknown_key")] for key in sorted(unknown)[:MAX_NAMED]}
    if wrong:
        raise ValidationError(wrong)
    values: dict[str, Any] = checked.validated_data
    return values


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip().strip('"')
    if len(key) > MAX_KEY:
        raise ParseError(f"An Idempotency-Key may have {MAX_KEY} characters.", code="invalid_idempotency_key")
    return key or None


def limit_of(request: Request, *, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    limit = integer(request, "limit", default)
    if not 1 <= limit <= most:
        raise ParseError(f"limit={limit}: expected 1 to {most}.", code="invalid_parameter")
    return limit


def integer(request: Request, name: str, default: int) -> int:
    raw = request.query_params.get(name)
    if raw is None or raw == "":
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 15):
        raise ParseError(f"{name}={raw[:40]!r}: expected a whole number.", code="invalid_parameter")
    return int(raw)


def moment(request: Request, name: str) -> datetime | None:
    """A time of the query, in UTC when it names no zone."""
    raw = request.query_params.get(name)
    if not raw:
        return None
    try:
        # A "+" of the offset arrives as a space where the caller did not quote it.
        value = datetime.fromisoformat(raw.replace(" ", "+") if raw.count(" ") == 1 and "T" in raw else raw)
    except ValueError:
        raise ParseError(f"{name}={raw[:40]!r}: expected a time such as 2030-01-31T12:00:00Z.") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def page(request: Request, found: Any) -> Response:
    """`{"results", "next"}` for a Page of values; `next` is the address of what follows, or null."""
    following = None
    if found.next_cursor:
        query = {**request.query_params.dict(), "cursor": found.next_cursor}
        following = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
    return Response({"results": [shown(item) for item in found.results], "next": following})


def paging(request: Request) -> dict[str, Any]:
    return {"limit": limit_of(request), "cursor": request.query_params.get("cursor") or None}


def shown(value: Any) -> Any:
    """The JSON form of a value that left `engine.runs`."""
    return value.as_dict() if hasattr(value, "as_dict") else value
