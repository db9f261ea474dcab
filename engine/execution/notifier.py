"""What becomes of the notices of a local run: handed to the service `notifier`; by default kept and logged."""

from __future__ import annotations

import logging
from typing import Protocol

from engine.core.news import Notice

log = logging.getLogger(__name__)


class Notifier(Protocol):
    """Sends notices, or does with them what it likes. What it raises is logged and fails nothing."""

    def notify(self, notice: Notice) -> None: ...


class KeptNotices:
    """Keeps every notice in `notices`, and logs it."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        to = [*notice.to, *([f"webhook {notice.webhook}"] if notice.webhook else [])]
        log.info("%s: to %s: %s", notice.task_id, ", ".join(to), notice.subject)


def hand_over(notifier: Notifier, notice: Notice) -> None:
    try:
        notifier.notify(notice)
    except Exception:  # a notice that cannot be sent must not stop the run
        log.exception("the notice of %s could not be handed over", notice.task_id)
