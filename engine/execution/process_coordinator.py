"""Coordination with processes of this machine.

Barriers live in the process that made the coordinator. A coordinator that is handed to another process becomes
a client of it there, so that participants can signal, and others wait, from anywhere.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Self

from engine.execution.coordinator import TaskCoordinator, submit_to_pool
from engine.execution.memory_coordinator import LocalBarriers
from engine.execution.process_pool import ProcessPool, check_value
from engine.execution.references import reference
from engine.execution.task_queue import TaskSpec


class MultiprocessingCoordinator(TaskCoordinator):
    """Work in a pool of processes that survives the death of any of them.

    Functions and values must be picklable and found at the top level of a module. Work whose process died is
    tried again, three times at most, then it fails with an error that begins with `worker_lost`.
    """

    def __init__(self, process_count: int | None = None, *, start_method: str | None = None) -> None:
        super().__init__()
        self.barriers = LocalBarriers()
        self._pool = ProcessPool(process_count, start_method)
        self._door: _Door | None = None
        self._door_lock = threading.Lock()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(config.get("process_count"), start_method=config.get("start_method"))

    @property
    def process_count(self) -> int:
        return self._pool.width

    def create_barrier(self, barrier_id: str, participant_count: int) -> str:
        return self.barriers.create(barrier_id, participant_count)

    def signal_barrier(self, barrier_id: str, participant_id: str) -> bool:
        return self.barriers.signal(barrier_id, participant_id)

    def wait_barrier(self, barrier_id: str, timeout: float = 30) -> bool:
        return self.barriers.wait(barrier_id, timeout)

    def cleanup_barrier(self, barrier_id: str) -> None:
        self.barriers.cleanup(barrier_id)

    def check(self, task_spec: TaskSpec) -> None:
        reference(task_spec.task_id, task_spec.func)
        check_value(task_spec.task_id, "an argument", (task_spec.args, dict(task_spec.kwargs)))

    def submit(self, task_spec: TaskSpec) -> Future[Any]:
        return submit_to_pool(self._pool, task_spec, reference(task_spec.task_id, task_spec.func))

    def close(self, *, now: bool = False) -> None:
        self._pool.close(now=now)
        with self._door_lock:
            if self._door is not None:
                self._door.close()
                self._door = None

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process this is a handle to the barriers here."""
        with self._door_lock:
            if self._door is None:
                self._door = _Door(self.barriers)
            return RemoteBarriers, (self._door.address, self._door.secret)


class RemoteBarriers:
    """The barriers of a MultiprocessingCoordinator, seen from another process."""

    def __init__(self, address: Any, secret: bytes) -> None:
        self._address, self._secret = address, secret

    def create_barrier(self, barrier_id: str, participant_count: int) -> str:
        return str(self._call("create", barrier_id, participant_count))

    def signal_barrier(self, barrier_id: str, participant_id: str) -> bool:
        return bool(self._call("signal", barrier_id, participant_id))

    def wait_barrier(self, barrier_id: str, timeout: float = 30) -> bool:
        return bool(self._call("wait", barrier_id, timeout))

    def cleanup_barrier(self, barrier_id: str) -> None:
        self._call("cleanup", barrier_id)

    def _call(self, *request: Any) -> Any:
        with Client(self._address, authkey=self._secret) as line:
            line.send(request)
            good, value = line.recv()
        if not good:
            raise value
        return value


class _Door:
    """Lets other processes of this machine reach the barriers; opened when a coordinator is first handed on."""

    def __init__(self, barriers: LocalBarriers) -> None:
        self._calls: dict[str, Callable[..., Any]] = {
            "create": barriers.create, "signal": barriers.signal, "wait": barriers.wait, "cleanup": barriers.cleanup,
        }  # fmt: skip
        self.secret = secrets.token_bytes(32)
        self._listener = Listener(authkey=self.secret)
        self.address = self._listener.address
        self._is_closing = False
        self._thread = threading.Thread(target=self._welcome, name="graflow-barriers", daemon=True)
        self._thread.start()

    def _welcome(self) -> None:
        while not self._is_closing:
            try:
                line = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):  # a stranger, or one who hung up
                continue
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: Connection) -> None:
        with line:
            try:
                name, *arguments = line.recv()
                reply = (True, self._calls[name](*arguments))
            except EOFError:  # whoever called has hung up
                return
            except Exception as error:  # raised again where the call was made
                reply = (False, error)
            with contextlib.suppress(OSError):
                line.send(reply)

    def close(self) -> None:
        self._is_closing = True
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            Client(self.address, authkey=self.secret).close()  # wakes the thread that waits for the next caller
        self._thread.join()
        self._listener.close()
