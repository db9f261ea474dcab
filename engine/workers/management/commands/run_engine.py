"""manage.py run_engine: publishes, rings timers, takes back what dead workers had. Ends on SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engine.runs import database
from engine.workers.engine import Engine

PATIENCE_SECONDS = 5.0


class Command(BaseCommand):
    help = "The engine process: publishes work, rings timers, takes back what dead workers had."

    def handle(self, *args: Any, **options: Any) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with database.only_engine() as is_ours:
                if is_ours:
                    self._run()
                    return
            if time.monotonic() > until:
                raise CommandError("Another engine process works on this SQLite file; it allows one.")
            time.sleep(0.1)

    def _run(self) -> None:
        engine = Engine()

        def stop(number: int, frame: FrameType | None) -> None:
            engine.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        engine.run()
