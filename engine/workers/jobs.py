"""The one Celery task of the engine."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task

from engine.workers import burial  # noqa: F401  its signal is connected by being imported
from engine.workers.execute import execute
from engine.workers.instance import BOOT_ID
from engine.workers.wire import JOB, VERSION

log = logging.getLogger(__name__)


# Limits of 0: each attempt brings its own, which the worker keeps from outside the body too.
@shared_task(name=JOB, ignore_result=True, acks_late=False, time_limit=0, soft_time_limit=0, max_retries=0)
def run_attempt(v: Any = None, a: Any = None, n: Any = None) -> None:
    """Carry out attempt `a`, if `n` is its nonce. A job that means nothing to us is dropped."""
    if v != VERSION or not isinstance(a, int) or isinstance(a, bool) or not isinstance(n, str):
        log.warning("jobs: a malformed job was dropped")
        return
    execute(a, n, BOOT_ID)
