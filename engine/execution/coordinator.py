"""TaskCoordinator: barriers and dispatch, the same on every backend, and the factory that picks one.

The coordinator waits, participants signal. Arrivals are a set of participant ids: whoever signals twice counts
once, and whoever starts to wait after the last arrival finds the barrier open.
"""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from engine.core.errors import WorkflowStateError
from engine.core.workflow import CoordinationBackend
from engine.execution.remote import Job, JobFailed, JobPool, RemoteFailure, plain_job, value_from
from engine.execution.task_queue import TaskSpec

LOSS_BUDGET = 3
"""How often one piece of work is tried again because its worker died."""

_MODULES = {
    CoordinationBackend.MEMORY: ("engine.execution.memory_coordinator", "MemoryCoordinator"),
    CoordinationBackend.MULTIPROCESSING: ("engine.execution.process_coordinator", "MultiprocessingCoordinator"),
    CoordinationBackend.REDIS: ("engine.execution.redis_coordinator", "RedisCoordinator"),
}


class TaskCoordinator(ABC):
    """Barriers, and work that signals them. Use it as a context manager, or call `close`."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Future[Any]]] = {}
        self._groups_lock = threading.Lock()

    # -- barriers ---------------------------------------------------------------------------------------------

    @abstractmethod
    def create_barrier(self, barrier_id: str, participant_count: int) -> str:
        """A closed barrier for this many participants; returns its id. An id that exists begins anew."""

    @abstractmethod
    def signal_barrier(self, barrier_id: str, participant_id: str) -> bool:
        """A participant has arrived. False when there is no such barrier."""

    @abstractmethod
    def wait_barrier(self, barrier_id: str, timeout: float = 30) -> bool:
        """Wait, without arriving, until all have arrived. False after `timeout` seconds, or without such a barrier."""

    @abstractmethod
    def cleanup_barrier(self, barrier_id: str) -> None:
        """Forget the barrier; whoever waits for it gets False. Nothing of it is left anywhere."""

    # -- work -------------------------------------------------------------------------------------------------

    @abstractmethod
    def check(self, task_spec: TaskSpec) -> None:
        """Raises NotPicklable when the backend cannot carry this work out."""

    @abstractmethod
    def submit(self, task_spec: TaskSpec) -> Future[Any]:
        """Have the work carried out; the future gives its value or raises what ended it."""

    def dispatch_task(self, task_spec: TaskSpec, group_id: str) -> None:
        """Have the work carried out; when it ends, well or not, it arrives at the barrier `group_id`."""
        future = self.submit(task_spec)
        with self._groups_lock:
            self._groups.setdefault(group_id, {})[task_spec.task_id] = future
        future.add_done_callback(lambda _: self.signal_barrier(group_id, task_spec.task_id))

    def take_results(self, group_id: str) -> tuple[dict[str, Any], dict[str, str]]:
        """(values, errors) by task id of the work dispatched for `group_id` that has ended; forgets them."""
        with self._groups_lock:
            futures = self._groups.pop(group_id, {})
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for task_id, future in futures.items():
            if not future.done():
                errors[task_id] = "timeout: it had not ended when its phase was given up"
            elif (error := future.exception()) is None:
                values[task_id] = future.result()
            else:
                errors[task_id] = _error_text(error)
        return values, errors

    @abstractmethod
    def close(self, *, now: bool = False) -> None:
        """Let running work end, or give it up `now`, and leave nothing behind. Closed twice is no error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _error_text(error: BaseException) -> str:
    is_told = isinstance(error, (JobFailed, RemoteFailure))
    return str(error) if is_told else f"{type(error).__name__}: {error}"


def check_count(barrier_id: str, participant_count: int) -> None:
    if type(participant_count) is not int or participant_count < 1:
        raise WorkflowStateError(
            f"Barrier {barrier_id!r} needs at least 1 participant, as a whole number, not {participant_count!r}."
        )


def submit_to_pool(pool: JobPool, task_spec: TaskSpec, function: str) -> Future[Any]:
    """Work on a pool of other processes. Work whose worker died is tried again, within LOSS_BUDGET."""
    job = plain_job(task_spec.task_id, function, task_spec.args, dict(task_spec.kwargs))
    value: Future[Any] = Future()
    value.set_running_or_notify_cancel()
    _attempt(pool, job, value, LOSS_BUDGET)
    return value


def _attempt(pool: JobPool, job: Job, value: Future[Any], losses_left: int) -> None:
    def settle(told: Future[dict[str, Any]]) -> None:
        try:
            value.set_result(value_from(told.result()))
        except JobFailed as error:
            if error.kind == "worker_lost" and losses_left:
                _attempt(pool, job, value, losses_left - 1)
            else:
                value.set_exception(error)
        except Exception as error:  # the work's failure is the future's
            value.set_exception(error)

    try:
        told = pool.submit(job)
    except Exception as error:  # a callback of the pool may be who calls: nobody else would hear of it
        value.set_exception(error)
    else:
        told.add_done_callback(settle)


def create_coordinator(backend: CoordinationBackend | str, config: Mapping[str, Any] | None = None) -> TaskCoordinator:
    """The coordinator of a backend, made from its `backend_config`."""
    module, name = _MODULES[CoordinationBackend(backend)]
    # Loaded when asked for: the library starts without Redis' client and Celery.
    kind: Any = getattr(importlib.import_module(module), name)
    made: Callable[[Mapping[str, Any]], TaskCoordinator] = kind.from_config
    return made(config or {})
