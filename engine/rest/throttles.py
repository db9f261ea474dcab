"""DRF's throttle on top of `engine.access.rates`: 429 with Retry-After."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from engine.access import rates


class PersonThrottle(BaseThrottle):
    """Counts the calls of one person, or of one address where nobody is signed in."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self._wait: float | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        signed_in = request.user.is_authenticated
        who = f"user:{request.user.pk}" if signed_in else f"ip:{request.META.get('REMOTE_ADDR', '')}"
        self._wait = rates.seconds_to_wait(self.scope, who)
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait
