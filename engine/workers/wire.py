"""The sending end of the wire: which job goes where. Celery over Redis, and nothing but an id and a nonce."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from celery import Celery
from kombu import Connection, Producer
from kombu.transport import redis as transport
from kombu.utils.json import dumps
from redis import Redis

from engine.runs.attempts import DEFAULT_QUEUE

JOB = "engine.execute"
VERSION = 1

# An application for sending only, so that every process can send, whichever application it belongs to.
wire = Celery("engine", set_as_current=False)
wire.config_from_object("django.conf:settings", namespace="CELERY")


URGENT = "urgent"


class _Channel(transport.Channel):
    """Puts an urgent message at the end of the queue that is read first.

    The transport's own priorities would keep several lists for each queue, and whoever counts what waits, in the
    release before this one too, would have to know them all.
    """

    def _put(self, queue: str, message: dict[str, Any], **more: Any) -> None:
        if not message["headers"].get(URGENT):
            super()._put(queue, message, **more)
            return
        with self.conn_or_acquire() as client:
            client.rpush(queue, dumps(message))


class _Transport(transport.Transport):
    Channel = _Channel


class Sender:
    """One connection to the wire; not for several threads. Raises what the transport raises when it is down."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def send(self, jobs: Iterable[tuple[int, str, str, bool]]) -> None:
        """Publish (attempt id, nonce, queue, whether it goes before all that waits) for each job."""
        try:
            for attempt_id, nonce, queue, is_urgent in jobs:
                wire.send_task(
                    JOB, kwargs={"v": VERSION, "a": attempt_id, "n": nonce}, task_id=str(attempt_id),
                    queue=celery_queue(queue), producer=self._open(), retry=False, ignore_result=True,
                    headers={URGENT: True} if is_urgent else None,
                )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def _open(self) -> Producer:
        if self._producer is None:
            self._connection = wire.connection_for_write()
            self._connection.transport_cls = _Transport  # type: ignore[assignment]
            self._connection.ensure_connection(max_retries=1, timeout=3)
            self._producer = wire.amqp.Producer(self._connection, auto_declare=False)
        return self._producer

    def close(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is broken anyway
                connection.release()


def celery_queue(queue: str) -> str:
    """The name a queue of the engine has on the wire."""
    return str(wire.conf.task_default_queue) if queue == DEFAULT_QUEUE else queue


def engine_queue(name: str) -> str:
    """The inverse of `celery_queue`."""
    return DEFAULT_QUEUE if name == str(wire.conf.task_default_queue) else name


def depth(client: Redis, queues: Iterable[str]) -> int:
    """How many messages wait in these queues."""
    waiting: list[Any] = [client.llen(celery_queue(queue)) for queue in queues]
    return sum(waiting)
