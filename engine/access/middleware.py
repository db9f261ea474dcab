"""Names the door a request came in by, so that the audit log can say it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from engine.access import audit


class AuditDoorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.acting_via("api" if request.path.startswith("/api/") else "web"):
            return self.get_response(request)
