"""Every error as `application/problem+json` (RFC 9457): type, title, status, detail, code and errors[].

Refusals of the engine carry their own status and code; whatever else they know (the winner of a race, the
current revision) is added as further members.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from engine.core.errors import DefinitionError, EngineError, IllegalTransition, LimitExceeded, RequestError, UnknownTask

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
NOT_SIGNED_IN = "Sign in, or send `Authorization: Token <your token>`; tokens are made on the profile page."
_RESERVED = frozenset({"type", "title", "status", "detail", "code", "errors"})
_CODES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    412: "precondition_failed",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_input",
    428: "precondition_required",
    429: "throttled",
    500: "internal_error",
    503: "unavailable",
}


def problem(
    status: int,
    detail: str = "",
    *,
    code: str | None = None,
    errors: list[dict[str, Any]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail or title,
        "code": code or _CODES.get(status, "error"),
        "errors": errors or [],
    }
    body.update({key: value for key, value in (extra or {}).items() if key not in _RESERVED})
    return body


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: an answer for every error that is somebody's, None for a fault of ours."""
    described = describe(exc)
    if described is None:
        return None
    body, headers = described
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def describe(exc: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """The problem and the response headers for `exc`."""
    if isinstance(exc, RequestError):
        return _refusal(exc)
    if isinstance(exc, DefinitionError):
        errors = [found.as_dict() for found in exc.problems]
        return problem(422, _first_line(str(exc)), code=exc.code, errors=errors), {}
    if isinstance(exc, UnknownTask):
        return problem(404, str(exc), code=exc.code), {}
    if isinstance(exc, EngineError):
        status = 409 if isinstance(exc, IllegalTransition) else 422
        return problem(status, str(exc), code=exc.code), {}
    if isinstance(exc, exceptions.APIException):
        return _of_framework(exc)
    if isinstance(exc, Http404):
        return problem(404, "There is nothing at this address."), {}
    if isinstance(exc, DjangoPermissionDenied):
        return problem(403, str(exc)), {}
    if isinstance(exc, RequestDataTooBig):
        return problem(413, str(exc)), {}
    if isinstance(exc, SuspiciousOperation):
        return problem(400, str(exc)), {}
    if isinstance(exc, OperationalError | InterfaceError):
        log.warning("the database does not answer: %s", exc)
        return problem(503, "The database does not answer. Try again in a moment."), {"Retry-After": "2"}
    return None


def response(status: int, detail: str = "", **members: Any) -> JsonResponse:
    """A problem outside DRF, for middleware and error pages."""
    return JsonResponse(problem(status, detail, **members), status=status, content_type=CONTENT_TYPE)


def _refusal(exc: RequestError) -> tuple[dict[str, Any], dict[str, str]]:
    details = dict(exc.details)
    errors = details.pop("errors", None)
    headers = {"Retry-After": str(details.get("retry_after", 1))} if isinstance(exc, LimitExceeded) else {}
    return problem(exc.status, str(exc), code=exc.code, errors=errors, extra=details), headers


def _of_framework(exc: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {}
    if authenticate := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = authenticate
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_field_errors(exc.get_full_details()))
        detail = "; ".join(": ".join(filter(None, (error["path"], error["message"]))) for error in errors[:3])
        return problem(422, detail, errors=errors), headers
    if isinstance(exc, exceptions.NotAuthenticated):
        return problem(401, NOT_SIGNED_IN), headers
    codes = exc.get_codes()
    known = codes if isinstance(codes, str) and codes not in ("permission_denied", "parse_error", "error") else None
    return problem(exc.status_code, str(exc.detail), code=known, errors=None), headers


def _field_errors(details: Any, path: str = "") -> list[dict[str, Any]]:
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"path": path, "code": details["code"], "message": str(details["message"])}]
    if isinstance(details, dict):
        pairs = [("" if key == "non_field_errors" else str(key), item) for key, item in details.items()]
        return [error for key, item in pairs for error in _field_errors(item, ".".join(filter(None, (path, key))))]
    return [error for item in details for error in _field_errors(item, path)]


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
