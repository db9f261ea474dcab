"""Coordination over Redis: barriers that any process can reach, and work for Celery workers.

    python -m engine.execution.redis_worker --url URL --import MODULE

starts a worker. Keys are listed in `redis_wire`; they all begin with the coordinator's own prefix.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self

import redis
from redis.client import PubSub

from engine.execution.coordinator import TaskCoordinator, check_count, submit_to_pool
from engine.execution.redis_pool import RedisPool, check_job
from engine.execution.redis_wire import KEEP_SECONDS, Keys, connect, new_prefix, ping, script
from engine.execution.references import name_for_worker
from engine.execution.task_queue import TaskSpec

LOOK_SECONDS = 1.0
"""A waiter looks at the barrier this often even when no message came: messages can be lost, the barrier cannot."""


class RedisCoordinator(TaskCoordinator):
    """Barriers and work over `redis_client`, or over the Redis at `url`.

    Without a `prefix` the coordinator has one of its own and meets nobody. Coordinators with the same prefix,
    in whatever process, share their barriers. `lease` is how many seconds a silent worker counts as alive.
    """

    def __init__(
        self, redis_client: redis.Redis | None = None, *, url: str | None = None, prefix: str | None = None,
        queue: str | None = None, lease: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._client = redis_client if redis_client is not None else connect({"url": url} if url else {})
        self._is_own_client = redis_client is None
        ping(self._client)
        self.prefix = prefix or new_prefix()
        self._keys = Keys(self.prefix)
        self._arrive, self._state = script(self._client, "arrive"), script(self._client, "state")
        self._queue, self._lease = queue, lease
        self._own: set[str] = set()
        self._lock = threading.Lock()
        self._pool: RedisPool | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """`redis_client`, `url` or `host port db`; `prefix` is what the run's own prefix begins with."""
        values = dict(config)
        prefix = new_prefix(values.get("prefix"))
        made = cls(connect(values), prefix=prefix, queue=values.get("queue"), lease=values.get("lease"))
        made._is_own_client = values.get("redis_client") is None
        return made

    # -- barriers ---------------------------------------------------------------------------------------------

    def create_barrier(self, barrier_id: str, participant_count: int) -> str:
        check_count(barrier_id, participant_count)
        barrier = self._keys.barrier(barrier_id)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(self._keys.arrived(barrier_id))
            pipe.hset(barrier, "expected", str(participant_count))
            pipe.expire(barrier, KEEP_SECONDS)
            pipe.execute()
        self._own.add(barrier_id)
        return barrier_id

    def signal_barrier(self, barrier_id: str, participant_id: str) -> bool:
        keys = [self._keys.barrier(barrier_id), self._keys.arrived(barrier_id)]
        return int(self._arrive(keys=keys, args=[participant_id, self._channel(barrier_id), KEEP_SECONDS])) >= 0

    def wait_barrier(self, barrier_id: str, timeout: float = 30) -> bool:
        deadline = time.monotonic() + timeout
        if (now := self._standing(barrier_id)) != 0:
            return now > 0
        news: PubSub = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with news:
            # Subscribed first, looked second: an arrival in between is seen by the look.
            news.subscribe(self._channel(barrier_id))
            news.get_message(timeout=0)
            while (now := self._standing(barrier_id)) == 0:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                news.get_message(timeout=min(left, LOOK_SECONDS))
            return now > 0

    def cleanup_barrier(self, barrier_id: str) -> None:
        self._client.delete(self._keys.barrier(barrier_id), self._keys.arrived(barrier_id))
        self._client.publish(self._channel(barrier_id), "gone")
        self._own.discard(barrier_id)

    def _standing(self, barrier_id: str) -> int:
        keys = [self._keys.barrier(barrier_id), self._keys.arrived(barrier_id)]
        return int(self._state(keys=keys, args=[KEEP_SECONDS]))

    def _channel(self, barrier_id: str) -> str:
        return f"{self._keys.barrier(barrier_id)}:news"

    # -- work -------------------------------------------------------------------------------------------------

    def check(self, task_spec: TaskSpec) -> None:
        name_for_worker(task_spec.task_id, task_spec.func)
        check_job(task_spec.task_id, "an argument", [list(task_spec.args), dict(task_spec.kwargs)])

    def submit(self, task_spec: TaskSpec) -> Future[Any]:
        with self._lock:
            if self._pool is None:
                self._pool = RedisPool(self._client, prefix=self.prefix, queue=self._queue, lease=self._lease)
            pool = self._pool
        return submit_to_pool(pool, task_spec, name_for_worker(task_spec.task_id, task_spec.func))

    def close(self, *, now: bool = False) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(now=now)
        for barrier_id in list(self._own):
            self.cleanup_barrier(barrier_id)
        if self._is_own_client:
            self._client.close()
