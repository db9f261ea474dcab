"""When a cron expression comes round in a time zone. Pure; all times are aware, all answers in UTC.

Changes of the clock go as in Debian's cron: a time of day that a change skips comes right after it, one that comes
twice counts once; expressions that name every hour or minute follow real time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from engine.core.errors import InvalidInput

FIELDS = 5
EXAMPLE, EXAMPLE_ZONE = "30 7 * * MON-FRI", "Europe/Berlin"


def check(cron: str, zone: str) -> None:
    """Raise InvalidInput naming what is wrong, or an expression whose time never comes."""
    if zone not in _zones():
        raise _wrong("zone", zone, "is no time zone; use a name such as", EXAMPLE_ZONE)
    try:
        if len(cron.split()) != FIELDS:
            raise CronSimError(f"{FIELDS} fields are expected: minute, hour, day of month, month, day of week")
        upcoming(cron, zone, datetime(2024, 1, 1, tzinfo=UTC), 1)
    except (CronSimError, StopIteration) as wrong:
        why = str(wrong) or "this time never comes"
        raise _wrong("cron", cron, f"is no schedule ({why}); an example is", EXAMPLE) from None


def next_after(cron: str, zone: str, moment: datetime) -> datetime:
    """The first time after `moment`."""
    return upcoming(cron, zone, moment, 1)[0]


def upcoming(cron: str, zone: str, moment: datetime, count: int) -> list[datetime]:
    """The `count` times after `moment`. Raises CronSimError, or StopIteration when there is none in 50 years."""
    times = CronSim(cron, moment.astimezone(ZoneInfo(zone)))
    first = next(times).astimezone(UTC)
    while first <= moment:  # within an hour that comes twice the library may look back
        first = next(times).astimezone(UTC)
    return [first, *(time.astimezone(UTC) for time in islice(times, count - 1))]


def latest(cron: str, zone: str, planned: datetime, now: datetime) -> datetime:
    """The newest time from `planned`, which is one, up to `now`."""
    # A little later: the library looks for times before the one it is given.
    back = CronSim(cron, (now + timedelta(microseconds=1)).astimezone(ZoneInfo(zone)), reverse=True)
    found = next(back).astimezone(UTC)
    return found if planned < found <= now else planned


def _wrong(path: str, value: str, words: str, example: str) -> InvalidInput:
    message = f"{path}={value[:100]!r} {words} {example!r}."
    return InvalidInput(message, errors=[{"path": path, "message": message}])


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
