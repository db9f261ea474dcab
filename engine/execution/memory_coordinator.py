"""Coordination inside this process: threads and conditions."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from engine.execution.coordinator import TaskCoordinator, check_count
from engine.execution.task_queue import TaskSpec

DEFAULT_THREADS = 8


class LocalBarriers:
    """Barriers between the threads of one process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._expected: dict[str, int] = {}
        self._arrived: dict[str, set[str]] = {}

    def create(self, barrier_id: str, participant_count: int) -> str:
        check_count(barrier_id, participant_count)
        with self._changed:
            self._expected[barrier_id], self._arrived[barrier_id] = participant_count, set()
        return barrier_id

    def signal(self, barrier_id: str, participant_id: str) -> bool:
        with self._changed:
            if barrier_id not in self._expected:
                return False
            self._arrived[barrier_id].add(participant_id)
            self._changed.notify_all()
            return True

    def wait(self, barrier_id: str, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._changed:
            while barrier_id in self._expected:
                if len(self._arrived[barrier_id]) >= self._expected[barrier_id]:
                    return True
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                self._changed.wait(left)
            return False

    def cleanup(self, barrier_id: str) -> None:
        with self._changed:
            self._expected.pop(barrier_id, None)
            self._arrived.pop(barrier_id, None)
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._expected)


class MemoryCoordinator(TaskCoordinator):
    """Work in threads of this process. `thread_count` of it at once; more waits for its turn."""

    def __init__(self, thread_count: int | None = None) -> None:
        super().__init__()
        self.barriers = LocalBarriers()
        self._threads = ThreadPoolExecutor(thread_count or DEFAULT_THREADS, thread_name_prefix="graflow")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(config.get("thread_count"))

    def create_barrier(self, barrier_id: str, participant_count: int) -> str:
        return self.barriers.create(barrier_id, participant_count)

    def signal_barrier(self, barrier_id: str, participant_id: str) -> bool:
        return self.barriers.signal(barrier_id, participant_id)

    def wait_barrier(self, barrier_id: str, timeout: float = 30) -> bool:
        return self.barriers.wait(barrier_id, timeout)

    def cleanup_barrier(self, barrier_id: str) -> None:
        self.barriers.cleanup(barrier_id)

    def check(self, task_spec: TaskSpec) -> None:
        """Everything can run here."""

    def submit(self, task_spec: TaskSpec) -> Future[Any]:
        return self._threads.submit(task_spec.run)

    def close(self, *, now: bool = False) -> None:
        # A thread cannot be stopped: what runs goes on, and nobody waits for it.
        self._threads.shutdown(wait=not now, cancel_futures=now)
