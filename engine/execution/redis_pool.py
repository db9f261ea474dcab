"""Hands jobs to Celery workers over Redis and waits for what they tell; the run's end of the Redis backend.

A worker claims a job under a lease and renews it while the body runs. A lease that runs out means a lost
worker, and whatever that worker may still say about the job is refused from then on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import redis

from engine.core.errors import NotPicklable
from engine.execution.redis_wire import (
    JOB_NAME,
    KEEP_SECONDS,
    LEASE_SECONDS,
    QUEUE,
    REPLY_SECONDS,
    Keys,
    check_json,
    dumps,
    make_app,
    script,
    url_of,
)  # fmt: skip
from engine.execution.remote import Job, JobFailed

DEFAULT_WIDTH = 16
"""Jobs of one run that are handed out at once when nothing else is said; the workers decide how many really run."""
POLL_SECONDS = 0.5
UNCLAIMED_SECONDS = 10.0
"""After this long without a worker for a job, say so once."""
TOUCH_SECONDS = 60.0

_NOBODY = (
    "No worker has taken task %r yet. Start one: python -m engine.execution.redis_worker --url URL --import MODULE"
)
Report = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sent:
    job: Job
    future: Future[Report]
    at: float
    worker: str | None = None
    asks: list[str] = field(default_factory=list)


class RedisPool:
    """A JobPool whose workers are `python -m engine.execution.redis_worker` processes, here or elsewhere."""

    name = "redis"

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str,
        queue: str | None = None,
        width: int | None = None,
        lease: float | None = None,
    ) -> None:
        self.width = width or DEFAULT_WIDTH
        self._client, self._keys, self._queue = client, Keys(prefix), queue or QUEUE
        self._lease = lease or LEASE_SECONDS
        self._app = make_app(url_of(client), self._queue)
        # A connection of our own: those that Celery keeps for itself would stay open after the run.
        self._broker = self._app.connection_for_write()
        self._producer: Any = None
        self._sending = threading.Lock()
        self._recall = script(client, "recall")
        self._lock = threading.Lock()
        self._sent: dict[str, _Sent] = {}
        self._listener: threading.Thread | None = None
        self._closing = False
        self._touched = self._checked = time.monotonic()
        self._has_warned = False

    def submit(self, job: Job) -> Future[Report]:
        """Raises NotPicklable, naming the task, when a value has no JSON form."""
        check_job(job.task_id, "a value it is given", job.payload)
        future: Future[Report] = Future()
        future.set_running_or_notify_cancel()
        job_id = uuid.uuid4().hex
        if self._closing:
            raise RuntimeError("The pool is closed.")
        self._client.sadd(self._keys.open, job_id)  # first: a job that is not open counts as lost
        self._client.expire(self._keys.open, KEEP_SECONDS)
        with self._lock:
            self._sent[job_id] = _Sent(job, future, time.monotonic())
        how = {"prefix": self._keys.prefix, "job": job_id, "lease": self._lease, "timeout": job.timeout}
        self._send(job_id, [job.function, job.payload], how)
        self._listen()
        return future

    def _send(self, job_id: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        with self._sending:
            if self._producer is None:
                self._producer = self._app.amqp.Producer(self._broker)
            self._app.send_task(JOB_NAME, args=args, kwargs=kwargs, task_id=job_id, retry=True, producer=self._producer)

    def close(self, *, now: bool = False) -> None:
        """Take back what no worker has begun, let the rest end or give it up, and leave nothing in Redis."""
        with self._lock:
            self._closing = True
            listener = self._listener
        self.recall()
        if now:
            self._give_up()
        if listener is not None:
            listener.join()
        self._client.delete(self._keys.open, self._keys.inbox)
        with self._sending:
            self._broker.release()
        self._app.close()

    # -- what workers tell ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = threading.Thread(target=self._read_inbox, name="graflow-inbox", daemon=True)
                self._listener.start()

    def _read_inbox(self) -> None:
        while not (self._closing and not self._sent):
            try:
                found: Any = self._client.blpop([self._keys.inbox], timeout=POLL_SECONDS)
                if found is not None:
                    self._hear(json.loads(found[1]))
                self._look_after()
            except redis.RedisError as error:
                log.warning("Redis does not answer, trying again: %s", error)
                time.sleep(POLL_SECONDS)

    def _hear(self, message: dict[str, Any]) -> None:
        job_id = message["job"]
        with self._lock:
            sent = self._sent.get(job_id)
        if sent is None:
            return
        if message["kind"] == "began":
            sent.worker = message["worker"]
        elif message["kind"] == "ask":
            sent.asks.append(message["ask"])
            self._reply(sent.job, message)
        else:
            self._forget(job_id, sent)
            sent.future.set_result(message["report"])

    def _reply(self, job: Job, message: dict[str, Any]) -> None:
        try:
            if job.answer is None:
                raise RuntimeError("Nobody answers here.")
            reply = dumps([True, job.answer(message["question"], message["arguments"])])
        except Exception as error:  # the body asked for it and has it raised in its place
            reply = dumps([False, f"{type(error).__name__}: {error}"])
        key = self._keys.reply(message["ask"])
        with self._client.pipeline(transaction=True) as pipe:
            pipe.rpush(key, reply)
            pipe.expire(key, REPLY_SECONDS)
            pipe.execute()

    def _forget(self, job_id: str, sent: _Sent) -> None:
        with self._lock:
            self._sent.pop(job_id, None)
        if sent.asks:
            self._client.delete(*(self._keys.reply(ask) for ask in sent.asks))

    # -- what workers do not tell -----------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Notice lost workers, and keep the keys while somebody waits."""
        now = time.monotonic()
        if now - self._checked < min(POLL_SECONDS, self._lease / 4):
            return
        self._checked = now
        with self._lock:
            sent = dict(self._sent)
        for job_id, item in sent.items():
            self._check(job_id, item)
            if item.worker is None and now - item.at > UNCLAIMED_SECONDS and not self._has_warned:
                self._has_warned = True
                log.warning(_NOBODY, item.job.task_id)
        if now - self._touched > TOUCH_SECONDS:
            self._touched = now
            for key in (self._keys.open, self._keys.channels, self._keys.version):
                self._client.expire(key, KEEP_SECONDS)

    def _check(self, job_id: str, item: _Sent) -> None:
        with self._client.pipeline(transaction=True) as pipe:
            pipe.sismember(self._keys.open, job_id)
            pipe.exists(self._keys.lease(job_id))
            pipe.llen(self._keys.inbox)
            is_open, is_held, unread = pipe.execute()
        if is_open and item.worker is not None and not is_held and self._client.srem(self._keys.open, job_id):
            # Out of the open set: nothing its worker may still tell about it is taken.
            self._lost(job_id, item, f"worker {item.worker} stopped renewing its lease")
        elif not is_open and not unread:
            self._lost(job_id, item, "Redis has lost the job; was it restarted?")

    def _lost(self, job_id: str, item: _Sent, how: str) -> None:
        self._forget(job_id, item)
        item.future.set_exception(JobFailed("worker_lost", how))

    def recall(self) -> None:
        """Take back what no worker has begun: such jobs end as `released`."""
        with self._lock:
            waiting = {job_id: item for job_id, item in self._sent.items() if item.worker is None}
        taken = {
            job_id: item
            for job_id, item in waiting.items()
            if self._recall(keys=[self._keys.open, self._keys.lease(job_id)], args=[job_id])
        }
        queued: Any = self._client.lrange(self._queue, 0, -1) if taken else []
        for raw in queued:
            if json.loads(raw)["headers"].get("id") in taken:
                self._client.lrem(self._queue, 1, raw)
        for job_id, item in taken.items():
            self._forget(job_id, item)
            item.future.set_exception(JobFailed("released", "it was taken back before a worker began it"))

    def _give_up(self) -> None:
        with self._lock:
            sent = dict(self._sent)
        for job_id, item in sent.items():
            # Out of the open set, nothing that its worker tells about it is taken any more.
            if self._client.srem(self._keys.open, job_id):
                self._client.delete(self._keys.lease(job_id))
                self._forget(job_id, item)
                item.future.set_exception(JobFailed("released", "it was given up"))


def check_job(task_id: str, what: str, value: Any) -> None:
    """Raises NotPicklable when `value` has no JSON form."""
    try:
        check_json(value)
    except TypeError as error:
        raise NotPicklable(task_id, f"{what} cannot be written as JSON: {error}") from error
