"""Has the pool of a worker look for dead children several times a second.

The pool hears of a death when the child's end of a pipe closes. The system closes it a moment before the process is
gone, so the pool often finds nobody dead yet, and looks again only five seconds later. Whatever the child was doing
would wait that long.
"""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.bootsteps import StartStopStep

LOOK_SECONDS = 0.2


class Burial(StartStopStep):
    """A part of the worker, told again of the event loop whenever the worker has got a new connection."""

    requires = ("celery.worker.components:Pool",)

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        hub.call_repeatedly(LOOK_SECONDS, worker.pool.maintain_pool)


@signals.celeryd_init.connect(dispatch_uid="engine.burial")
def _add(instance: Any = None, **_: Any) -> None:
    instance.app.steps["worker"].add(Burial)
