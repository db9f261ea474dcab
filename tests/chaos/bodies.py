"""Task bodies of the product under fire. Each says when it begins and ends, in a file the harness reads."""

from __future__ import annotations

import ctypes
import os
import signal
import time
import zlib
from pathlib import Path

from engine import TaskExecutionContext, task

ERRORS_PERCENT = 3
LOG = "bodies.log"


def _say(folder: str, what: str, context: TaskExecutionContext) -> None:
    """One short line by one write to a file opened for appending: lines of many processes do not mix."""
    line = (
        f"{what} {os.getpid()} {context.run_id} {context.task_id} {context.iteration} {context.attempt} {time.time()}\n"
    )
    with (Path(folder) / LOG).open("ab", buffering=0) as log:
        log.write(line.encode())


@task(name="chaos.work", max_retries=5, retry_delay=0.2)
def work(context: TaskExecutionContext, folder: str, seconds: float = 0.02) -> dict[str, object]:
    """Take some time; fail now and then, decided by the place of the attempt and not by luck."""
    _say(folder, "begin", context)
    time.sleep(seconds)
    place = f"{context.run_id} {context.task_id} {context.iteration} {context.attempt}"
    if zlib.crc32(place.encode()) % 100 < ERRORS_PERCENT:
        _say(folder, "fail", context)
        raise RuntimeError("three in a hundred fail")
    _say(folder, "end", context)
    return {"round": context.iteration}


@task(name="chaos.step")
def step(context: TaskExecutionContext, folder: str) -> None:
    """So short that a worker goes ahead with what follows."""
    _say(folder, "begin", context)
    _say(folder, "end", context)


@task(name="chaos.starve", max_retries=0)
def starve(context: TaskExecutionContext, folder: str) -> None:
    """Die as the system lets a process die that wants too much memory."""
    _say(folder, "begin", context)
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="chaos.crash", max_retries=0)
def crash(context: TaskExecutionContext, folder: str) -> None:
    _say(folder, "begin", context)
    ctypes.string_at(0)


@task(name="chaos.endless", max_retries=1, retry_delay=0.2, timeout=2.0)
def endless(context: TaskExecutionContext, folder: str) -> None:
    _say(folder, "begin", context)
    while True:
        time.sleep(0.1)


@task(name="chaos.deaf", max_retries=0)
def deaf(context: TaskExecutionContext, folder: str) -> None:
    """Hears no polite request to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say(folder, "begin", context)
    while True:
        time.sleep(0.1)


@task(name="chaos.fail", max_retries=1, retry_delay=60.0)
def fail(context: TaskExecutionContext, folder: str) -> None:
    _say(folder, "begin", context)
    raise RuntimeError("to be retried, much later")
