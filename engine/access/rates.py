"""How often a person may do something: counted in the shared cache, so that all web processes count together.

A cache that does not answer lets everybody in: limits protect the service, they must not stop it. After a
failure the cache is left alone for a few seconds, so that a frozen one costs one request and not each.
"""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.core.cache import caches

log = logging.getLogger(__name__)

DEFAULT_RATES = {  # calls, seconds; per person
    "read": (600, 60),
    "write": (60, 60),
    "start": (10, 1),
    "socket": (120, 60),
    "hook": (600, 60),  # per address and caller
}
QUIET_SECONDS = 5.0
_COUNT = 1_000_000

_quiet_until = 0.0


def rate_of(scope: str) -> tuple[int, int]:
    """Calls and seconds; the setting GRAFLOW_RATES overrides single scopes."""
    chosen: dict[str, tuple[int, int]] = getattr(settings, "GRAFLOW_RATES", {})
    return chosen.get(scope, DEFAULT_RATES[scope])


def seconds_to_wait(scope: str, who: str) -> float | None:
    """Count one call of `who`; None when it may go on, else the seconds until the window closes.

    A window is opened by its first call, so exactly as many calls as the rate says fit into it.
    """
    limit, seconds = rate_of(scope)
    started, count = _count(f"rate:{scope}:{who}", seconds)
    return None if count <= limit else max(0.0, started + seconds - time.time())


def _count(key: str, seconds: int) -> tuple[int, int]:
    """When the window opened, and the calls in it with this one."""
    global _quiet_until
    now = int(time.time())
    if time.monotonic() < _quiet_until:
        return now, 0
    cache = caches["default"]
    try:
        # One number holds the opening time and the count, so that one atomic increment reads both.
        if cache.add(key, now * _COUNT + 1, timeout=seconds):
            return now, 1
        opened, count = divmod(int(cache.incr(key)), _COUNT)
        if opened + seconds >= now:
            return opened, count
        # The window closed in the middle of `incr`, which then makes a key that never ends: a lock for ever.
        cache.set(key, now * _COUNT + 1, timeout=seconds)
        return now, 1
    except ValueError:  # the window closed between the two calls
        return now, 1
    except Exception as down:  # whatever the cache's client raises: see the module's first lines
        _quiet_until = time.monotonic() + QUIET_SECONDS
        log.warning("rates are not counted for %s s: the cache does not answer (%s)", QUIET_SECONDS, down)
        return now, 0
