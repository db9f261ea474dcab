"""Errors of Django itself under `/api/` and `/hooks/` (no such address, a foreign host, a crash) as problem+json too."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from engine.rest import problems

_DETAILS = {
    400: "The request was refused: check the Host header and the form of the request.",
    404: "There is nothing at this address. The calls are listed at /api/v1/docs/.",
    500: "Something went wrong here. It has been logged.",
}


class ProblemMiddleware:
    """Stands first, so that it sees the answers of every other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not request.path.startswith(("/api/", "/hooks/")) or response.status_code < 400 or response.streaming:
            return response
        kind = response.get("Content-Type", "")
        if kind.startswith((problems.CONTENT_TYPE, "application/json")):
            return response
        return problems.response(response.status_code, _DETAILS.get(response.status_code, ""))
