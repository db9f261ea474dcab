"""The worker of the Redis backend: a small Celery worker that carries out tasks it finds by name.

    python -m engine.execution.redis_worker --url redis://localhost:6379/0 --import my_tasks

It serves until SIGTERM, then lets running tasks end. It runs registered tasks and the functions of the modules
it was told to import, and nothing else: a message names work, it never brings any.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.worker.request import Request

from engine.core import registry
from engine.core.errors import EngineError, WorkflowStateError
from engine.execution.redis_channel import RedisChannels
from engine.execution.redis_wire import JOB_NAME, KEEP_SECONDS, QUEUE, REPLY_SECONDS, Keys, dumps, make_app, script
from engine.execution.references import name_for_worker
from engine.execution.remote import failure_report, perform

_modules: set[str] = set()
"""Modules whose functions may be called."""


def redis_worker_main(url: str, modules: Sequence[str] = (), *, queue: str = QUEUE, concurrency: int = 2) -> int:
    """Serve until SIGTERM; returns the exit code."""
    for name in modules:
        importlib.import_module(name)
        _modules.add(name)
    app = make_app(url, queue)
    register(app, url)
    worker = app.Worker(
        concurrency=concurrency, hostname=f"graflow-{uuid.uuid4().hex[:8]}@%h", without_gossip=True, without_mingle=True,
        without_heartbeat=True, loglevel="INFO", task_events=False,
    )  # fmt: skip
    worker.start()
    return int(worker.exitcode or 0)


def register(app: Celery, url: str) -> None:
    """Give the app its only job."""
    clients: dict[int, redis.Redis] = {}

    def client() -> redis.Redis:
        # Pool processes are forked: a connection belongs to the process that opened it.
        return clients.setdefault(os.getpid(), redis.Redis.from_url(url))

    @app.task(name=JOB_NAME, ignore_result=True, Request=_watched(url))
    def carry_out(function: str, payload: dict[str, Any], **how: Any) -> None:
        _Held(client(), **how).carry_out(function, payload)


def _watched(url: str) -> type[Request]:
    """Jobs as the worker's main process sees them, which notices when the process that had one dies."""

    class Watched(Request):
        def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            error = getattr(exc_info.exception, "exc", exc_info.exception)
            if isinstance(error, WorkerLostError):
                # Without its lease the run counts the job as lost at once, and need not wait for it to run out.
                client = redis.Redis.from_url(url)
                client.delete(Keys(self.kwargs["prefix"]).lease(self.kwargs["job"]))
                client.close()

    return Watched


class _Held:
    """One job in this worker's hands."""

    def __init__(self, client: redis.Redis, *, prefix: str, job: str, lease: float, timeout: float | None) -> None:
        self._client, self._keys, self._job = client, Keys(prefix), job
        self._lease_ms, self._timeout = int(lease * 1000), timeout
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._prefix = prefix
        self._tell_script = script(client, "tell")
        self._done = threading.Event()

    def carry_out(self, function: str, payload: dict[str, Any]) -> None:
        """Claim the job, run its body under the lease, tell how it went. A job that is taken or unwanted is left."""
        if not self._claim():
            return
        renewing = threading.Thread(target=self._renew, daemon=True, name="graflow-lease")
        renewing.start()
        try:
            report = perform(
                payload, function, find=find, name=name_for_worker, ask=self._ask,
                channels=RedisChannels(self._client, self._prefix), timeout=self._timeout,
            )  # fmt: skip
            self._tell("done", {"report": report}, is_last=True)
        finally:
            self._done.set()
            renewing.join()

    def _claim(self) -> bool:
        keys = [self._keys.open, self._keys.lease(self._job), self._keys.inbox]
        message = dumps({"job": self._job, "kind": "began", "worker": self._worker})
        return bool(
            script(self._client, "claim")(
                keys=keys, args=[self._job, self._worker, self._lease_ms, message, KEEP_SECONDS]
            )
        )

    def _renew(self) -> None:
        renew = script(self._client, "renew")
        while not self._done.wait(self._lease_ms / 4000):
            try:
                renew(keys=[self._keys.lease(self._job)], args=[self._worker, self._lease_ms])
            except redis.RedisError:  # the next beat tries again; the lease outlasts a few
                continue

    def _tell(self, kind: str, more: dict[str, Any], *, is_last: bool = False) -> bool:
        try:
            message = dumps({"job": self._job, "kind": kind, **more})
        except TypeError as error:
            if not is_last:
                raise WorkflowStateError(
                    f"What the task hands to the engine cannot be written as JSON: {error}."
                ) from error
            text = f"its result cannot be written as JSON: {error}. Return plain values"
            message = json.dumps({"job": self._job, "kind": kind, "report": failure_report("invalid", text)})
        keys = [self._keys.open, self._keys.lease(self._job), self._keys.inbox]
        return bool(self._tell_script(keys=keys, args=[self._job, self._worker, message, int(is_last), KEEP_SECONDS]))

    def _ask(self, question: str, arguments: list[Any]) -> Any:
        ask = uuid.uuid4().hex
        if not self._tell("ask", {"ask": ask, "question": question, "arguments": arguments}):
            raise WorkflowStateError("The run does not want this task any more.")
        found: Any = self._client.blpop([self._keys.reply(ask)], timeout=REPLY_SECONDS)
        if found is None:
            raise WorkflowStateError(f"The run has not answered for {REPLY_SECONDS} s.")
        good, value = json.loads(found[1])
        if not good:
            raise WorkflowStateError(value)
        return value


def find(name: str) -> Callable[..., Any]:
    """The registered task `name`, or the function `module:path` of an imported module."""
    if name in registry.tasks():
        return registry.tasks()[name]
    module_name, colon, path = name.partition(":")
    if colon and module_name in _modules:
        found: Any = sys.modules[module_name]
        for part in path.split("."):
            found = getattr(found, part, None)
        if callable(found) and getattr(getattr(found, "func", found), "__module__", None) == module_name:
            return found  # type: ignore[no-any-return]
    missing = module_name if colon else "MODULE"
    raise EngineError(f"This worker knows no task {name!r}. Start it with --import {missing}.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.execution.redis_worker",
        description="Carry out tasks of workflows that use the Redis backend.",
    )
    parser.add_argument("--url", help="the Redis to serve, for example redis://localhost:6379/0 (default: $REDIS_URL)")
    parser.add_argument(
        "--import", dest="modules", action="append", default=[], metavar="MODULE", help="a module with tasks"
    )
    parser.add_argument("--queue", default=QUEUE, help="the queue to serve (default: %(default)s)")
    parser.add_argument(
        "--concurrency", type=int, default=2, help="tasks at once, each in a process (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    url = given.url or os.environ.get("REDIS_URL")  # the environment keeps a password out of the list of processes
    if not url:
        parser.error("name the Redis to serve: --url URL, or REDIS_URL in the environment")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return redis_worker_main(url, given.modules, queue=given.queue, concurrency=given.concurrency)
    except ModuleNotFoundError as error:
        parser.error(f"{error}; --import takes the name of a module that can be imported from here")


if __name__ == "__main__":
    # Under its own name too: a second import of this module would have its own list of modules.
    from engine.execution.redis_worker import main as run

    sys.exit(run())
