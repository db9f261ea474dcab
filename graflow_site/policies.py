"""Relaxes the content security policy where the scripts are not ours."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

TRUSTED_TYPES = "require-trusted-types-for"


class ForeignScriptsMiddleware:
    """Django's administration and the API's reference build their pages from text, which trusted types forbid.

    Both come with their packages and are served from here; every other line of the policy holds for them too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if match is not None and ("admin" in match.app_names or match.url_name == "docs"):
            response._csp_replace = {**getattr(response, "_csp_replace", {}), TRUSTED_TYPES: None}  # type: ignore[attr-defined]
        return response
