"""Where other systems call to start a workflow: `POST /hooks/{id}/`. No session, no token of a person."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, AuthenticationFailed, ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from engine.access import rates
from engine.rest import limits
from engine.rest.base import ApiView, idempotency_key
from engine.runs import api

MAX_BODY_BYTES = 1_000_000


class HookBodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body is larger than {MAX_BODY_BYTES:,} bytes."


class HookThrottle(BaseThrottle):
    """Counts per address and caller, so that a stranger with a wrong secret does not shut out the right one."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        who = f"{view.kwargs['trigger']}:{request.META.get('REMOTE_ADDR', '')}"
        self._wait = rates.seconds_to_wait("hook", who)
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait


class Hook(ApiView):
    door = "hook"

    def get_authenticators(self) -> list[Any]:
        return []

    def get_permissions(self) -> list[Any]:
        return []

    def get_throttles(self) -> list[Any]:
        return [HookThrottle()]

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"

    @extend_schema(exclude=True)
    def post(self, request: Request, trigger: Any) -> Response:
        raw = request._request.body
        if len(raw) > MAX_BODY_BYTES:
            raise HookBodyTooLarge
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        try:
            run = api.pull_trigger(
                str(trigger),
                raw=raw,
                read=lambda: _parsed(raw),
                bearer=bearer.strip() if scheme.lower() == "bearer" else "",
                signature=request.headers.get("X-Graflow-Signature", ""),
                idempotency_key=idempotency_key(request),
            )
        except api.WrongSecret as wrong:
            raise AuthenticationFailed(str(wrong), code=wrong.code) from None
        return Response({"run": run.id}, status=202)


def _parsed(raw: bytes) -> Any:
    if not raw.strip():
        return None
    try:
        return limits.parse_json(raw)
    except limits.JsonRefused as refused:
        raise ParseError(str(refused), code=refused.code) from None
