"""Is it alive, is it ready? Open to everybody, cheap, and free of details that only operators need.

`/healthz` says that this process answers. `/readyz` says whether each part a run needs is there, by name, and
answers 503 when one is missing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from engine.runs import api, disk

log = logging.getLogger(__name__)

PARTS = ("database", "broker", "workers", "scheduler", "disk")
_BROKER_SECONDS = 0.5
_FRESH_SECONDS = 1.0  # anybody may ask, so many askers share one look

_lock = threading.Lock()
_last: tuple[float, dict[str, dict[str, Any]]] | None = None


@never_cache
@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    parts = look()
    ready = all(part["ok"] for part in parts.values())
    return JsonResponse({"status": "ok" if ready else "unavailable", "parts": parts}, status=200 if ready else 503)


def look() -> dict[str, dict[str, Any]]:
    """Every part with `ok` and a word of `detail`, at most a second old."""
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] > _FRESH_SECONDS:
            _last = (time.monotonic(), _look())
        return _last[1]


def _look() -> dict[str, dict[str, Any]]:
    try:
        known = api.health()
    except Exception as down:  # the page must answer whatever is broken; the log has the reason
        log.warning("health: the database does not answer: %s", down)
        known = {"database": (False, "does not answer")}
    known = {"broker": _broker(), "disk": disk.health(), **known}
    return {name: _part(known.get(name)) for name in PARTS}


def _part(found: Any) -> dict[str, Any]:
    if found is None:
        return {"ok": False, "detail": "unknown"}
    if isinstance(found, dict):
        return {"ok": bool(found.get("ok")), "detail": str(found.get("detail", ""))}
    if isinstance(found, tuple):
        return {"ok": bool(found[0]), "detail": str(found[1])}
    ok = found is True or found == "ok"
    return {"ok": ok, "detail": "" if ok else str(found)}


def _broker() -> tuple[bool, str]:
    try:
        with Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=_BROKER_SECONDS,
            socket_connect_timeout=_BROKER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except RedisError as down:
        log.warning("health: the broker does not answer: %s", down)
        return False, "does not answer"
    return True, ""
