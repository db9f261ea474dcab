"""Ends sessions that nobody has used for a while; Django itself only knows an end after the login."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

SEEN = "last_seen"
WRITE_SECONDS = 60  # not each request writes its session


class IdleMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            now = int(time.time())
            seen = request.session.get(SEEN, now)
            if now - seen > settings.SESSION_IDLE_SECONDS:
                logout(request)
            elif SEEN not in request.session or now - seen >= WRITE_SECONDS:
                # The session's own end stays where the login put it.
                end = request.session.get_expiry_date()
                request.session[SEEN] = now
                request.session.set_expiry(end)
        return self.get_response(request)
