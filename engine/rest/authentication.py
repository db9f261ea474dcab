"""Who calls: a token in the header, or the session of a signed-in browser."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from engine.access import tokens


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Token …`. A request that brings a token is judged by it alone, never by its session."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != self.keyword.lower().encode():
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send the header as: Authorization: Token <your token>.", code="invalid_token")
        user = tokens.authenticate(parts[1].decode("utf-8", "replace"))
        if user is None:
            raise AuthenticationFailed("This token is unknown or was revoked.", code="invalid_token")
        return user, "token"

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class BrowserAuthentication(SessionAuthentication):
    """The session cookie, with the CSRF token on everything that changes something."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        return None if found is None else (found[0], "session")

    def enforce_csrf(self, request: Any) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as refused:
            raise PermissionDenied(
                f"{refused.detail} Send the page's CSRF token in the header X-CSRFToken.", code="csrf_failed"
            ) from None
