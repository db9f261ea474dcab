"""Before a socket opens: does the page belong to this site, and who is it?

Browsers send cookies with every handshake, also from a foreign page, so the origin must be ours to the port.
Programs send their token as a header and no origin. Nothing is ever taken from the query string but `after`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack, get_user
from channels.db import database_sync_to_async
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http.request import split_domain_port, validate_host

from engine.access import tokens

_DEFAULT_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]


class Gate:
    """Refuses foreign origins (403) and puts `user` and `token` into the scope."""

    def __init__(self, application: Any) -> None:
        self._by_token = application
        self._by_session = AuthMiddlewareStack(application)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        token = _token(headers.get(b"authorization", ""))
        origin = headers.get(b"origin")
        if not (token and origin is None) and not is_same_origin(origin, headers.get(b"host", "")):
            return await WebsocketDenier()(scope, receive, send)
        if token is None:
            return await self._by_session({**scope, "token": None}, receive, send)
        user = await database_sync_to_async(tokens.authenticate)(token)
        return await self._by_token({**scope, "token": token, "user": user or AnonymousUser()}, receive, send)


def is_same_origin(origin: str | None, host: str) -> bool:
    """Does `origin` name the host and port that the request was sent to, and is that one of ours?"""
    if not origin or origin == "null":
        return False
    try:
        parts = urlsplit(origin)
        port = str(parts.port or "") or _DEFAULT_PORTS.get(parts.scheme, "")
    except ValueError:
        return False
    name, host_port = split_domain_port(host)
    allowed = settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else [])
    if parts.scheme not in ("http", "https") or not name or not validate_host(name, allowed):
        return False
    same_port = port == (host_port or _DEFAULT_PORTS[parts.scheme])
    return same_port and (parts.hostname or "") == name.strip("[]")


async def fresh_user(scope: dict[str, Any]) -> Any:
    """Who this socket belongs to by now: read again from the database, nobody after a logout or a revocation."""
    if scope.get("token"):
        user = await database_sync_to_async(tokens.authenticate)(scope["token"])
        return user or AnonymousUser()
    key = getattr(scope.get("session"), "session_key", None)
    if not key:
        return AnonymousUser()
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = await get_user({"session": store})
    return user if isinstance(user, User) and user.is_active else AnonymousUser()


def _token(header: str) -> str | None:
    scheme, _, value = header.partition(" ")
    return value.strip() or None if scheme.lower() == "token" else None
