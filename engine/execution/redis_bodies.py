"""Bodies of a local run on Redis workers; the run's channels stand in Redis while it is carried out."""

from __future__ import annotations

from typing import Any

from engine.execution.backends import RemoteBodies
from engine.execution.context import ExecutionContext
from engine.execution.redis_channel import MirroredChannels, RedisChannels
from engine.execution.redis_pool import RedisPool, check_job
from engine.execution.redis_wire import connect, new_prefix, ping
from engine.execution.references import name_for_worker, resolve_loaded


class RedisBodies(RemoteBodies):
    def __init__(
        self, context: ExecutionContext, config: dict[str, Any], width: int | None, task_ids: list[str]
    ) -> None:
        for name, value in context.state.inputs.items():
            check_job(task_ids[0] if task_ids else "", f"the input {name!r}", value)
        client = self._client = connect(config)
        self._is_own_client = config.get("redis_client") is None
        ping(client)
        prefix = new_prefix(config.get("prefix"))
        pool = RedisPool(client, prefix=prefix, queue=config.get("queue"), width=width, lease=config.get("lease"))
        super().__init__(pool, context, name=name_for_worker, find=resolve_loaded)
        self._own, self._mirror = context.channels, RedisChannels(client, prefix)
        self._mirror.load(self._own.data)
        context.channels = self._mirrored = MirroredChannels(self._own, self._mirror)

    def repair(self) -> None:
        """Where Redis itself was lost, the channels went with it."""
        self._mirrored.restore()

    def close(self, *, now: bool = False) -> None:
        super().close(now=now)
        self._context.channels = self._own
        self._mirror.clear()
        if self._is_own_client:
            self._client.close()
