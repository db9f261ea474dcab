"""Which queues work waits in, and who listens to them.

Work in a queue nobody listens to stays in the database: on the wire it would take the room of other work.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from engine.core import registry
from engine.runs import database
from engine.runs.attempts import DEFAULT_QUEUE
from engine.runs.hooks import DispatchMessage
from engine.runs.models import Attempt, Timer, WorkerInstance

FRESH = timedelta(seconds=20)
UNHEARD = timedelta(seconds=5)
"""How long work may wait before its queue counts as one nobody listens to; a worker needs a moment to start."""
STRANGE_TRIES = 3
"""After so many workers gave a task back because they lack its function, it is said aloud."""
_SHOWN = 5


def to_consume() -> list[str]:
    """The queues a worker of this site listens to: those of GRAFLOW_QUEUES, else every one a task names."""
    chosen: list[str] = list(getattr(settings, "GRAFLOW_QUEUES", ()))
    named = {task.queue for task in registry.tasks().values() if task.queue}
    return chosen or [DEFAULT_QUEUE, *sorted(named - {DEFAULT_QUEUE})]


def fresh_workers() -> QuerySet[WorkerInstance]:
    return WorkerInstance.objects.filter(last_seen__gt=database.now() - FRESH, draining=False)


def listened() -> set[str] | None:
    """Queues with a living worker; None while there is no worker at all, and whoever comes first decides."""
    found = list(fresh_workers().values_list("queues", flat=True))
    return {name for names in found for name in (names or DEFAULT_QUEUE).split(",")} if found else None


def heard(messages: list[DispatchMessage]) -> list[DispatchMessage]:
    """Those that somebody listens for, by a look that is at most a few seconds old.

    The others stay with the engine process, which asks anew: a worker that has just come waits that long for them.
    """
    global _last
    looked, found = _last
    if not looked or time.monotonic() - looked > _LOOK_SECONDS:
        found = listened()
        _last = (time.monotonic(), found)
    return messages if found is None else [message for message in messages if message.queue in found]


_LOOK_SECONDS = 5.0
_last: tuple[float, set[str] | None] = (0.0, None)


def forget() -> None:
    """Look anew at the next message; for tests, whose workers come and go at once."""
    global _last
    _last = (0.0, None)


def complaints() -> list[str]:
    """What waits for a worker that is not there, in words: queues nobody listens to, functions nobody knows."""
    return [*_unheard(), *_strange()]


def _unheard() -> list[str]:
    heard = listened()
    if heard is None:
        return []
    old = Attempt.objects.filter(state=Attempt.DISPATCHED, held=False, created_at__lt=database.now() - UNHEARD)
    rows: Any = old.exclude(queue__in=heard).values_list("queue", flat=True)[:1_000]
    counted = Counter(rows)
    return [f"nobody listens to the queue {name!r}, where {count} wait" for name, count in sorted(counted.items())]


def _strange() -> list[str]:
    waiting = Timer.objects.filter(
        fired_at=None, kind=Timer.RETRY, task__attempt__gt=STRANGE_TRIES, task__error__startswith=STRANGE
    )
    errors = waiting.order_by("task__error").values_list("task__error", flat=True).distinct()[:_SHOWN]
    return [str(error).removeprefix("released: ") for error in errors]


STRANGE = "released: no worker so far knows the function "
"""How the error of a task begins whose function the workers that took it lack."""
