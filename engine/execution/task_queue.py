"""TaskSpec and TaskQueue: work in the order of its priority, then of its arrival.

The queue knows no dependencies: what may run is the machine's business, or the caller's.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from engine.core.errors import WorkflowStateError
from engine.core.state import TaskState, TaskStatus
from engine.execution.context import ExecutionContext

_WAITING = frozenset({TaskStatus.READY, TaskStatus.RUNNING})


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One piece of work: `func(*args, **kwargs)`. `func` is a function or a task; a lower `priority` goes first."""

    task_id: str
    func: Callable[..., Any]
    args: tuple[Any, ...] = field(default=(), kw_only=True)
    kwargs: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    priority: int = field(default=0, kw_only=True)

    def run(self) -> Any:
        return self.func(*self.args, **self.kwargs)


def check_spec(task_spec: Any) -> None:
    """Raises WorkflowStateError for what is no piece of work."""
    if not isinstance(task_spec, TaskSpec):
        raise WorkflowStateError(f"{task_spec!r} is no TaskSpec; write TaskSpec('its id', function, args=(...)).")
    if not callable(task_spec.func):
        raise WorkflowStateError(f"Task {task_spec.task_id!r}: {task_spec.func!r} cannot be called; give a function.")


class TaskQueue:
    """A queue that several threads may fill and empty, and that remembers how every task stands."""

    def __init__(self, execution_context: ExecutionContext | None = None) -> None:
        self.execution_context = execution_context
        self._changed = threading.Condition()
        self._heap: list[tuple[int, int, TaskSpec]] = []
        self._arrival = count()
        self._states: dict[str, TaskState] = {}

    def enqueue(self, task_spec: TaskSpec) -> bool:
        """Add work. False when work of this id already waits or runs; one that ended may come again."""
        check_spec(task_spec)
        with self._changed:
            known = self._states.get(task_spec.task_id)
            if known is not None and known.status in _WAITING:
                return False
            state = self._states[task_spec.task_id] = TaskState(task_spec.task_id)
            state.transition_to(TaskStatus.READY)
            heapq.heappush(self._heap, (task_spec.priority, next(self._arrival), task_spec))
            self._changed.notify()
            return True

    def dequeue(self) -> TaskSpec | None:
        """The next piece of work, now running; None when there is none."""
        with self._changed:
            return self._pop()

    def wait(self, timeout: float) -> TaskSpec | None:
        """Like `dequeue`, but give new work up to `timeout` seconds to come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._heap and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._pop()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def _pop(self) -> TaskSpec | None:
        if not self._heap:
            return None
        spec = heapq.heappop(self._heap)[2]
        self._states[spec.task_id].transition_to(TaskStatus.RUNNING)
        return spec

    def mark_completed(self, task_id: str, result: Any = None) -> None:
        """The work is done; its result is kept here and in the execution context."""
        with self._changed:
            state = self._state(task_id)
            state.transition_to(TaskStatus.SUCCESS, result=result)
            state.transition_to(TaskStatus.COMPLETED)
            state.outcome = "success"
            self._changed.notify_all()
        if self.execution_context is not None:
            self.execution_context.set_result(task_id, result)

    def mark_failed(self, task_id: str, error: BaseException | str) -> None:
        """The work failed. Nothing tries it again by itself: enqueue it once more for that."""
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        with self._changed:
            state = self._state(task_id)
            state.transition_to(TaskStatus.ERROR, error=text, increment_retry=False)
            state.transition_to(TaskStatus.COMPLETED)
            state.outcome = "error"
            self._changed.notify_all()

    def _state(self, task_id: str) -> TaskState:
        if task_id not in self._states:
            raise WorkflowStateError(f"Task {task_id!r} was never put into this queue.")
        return self._states[task_id]

    def get_task_state(self, task_id: str) -> TaskState | None:
        with self._changed:
            return self._states.get(task_id)

    def get_tasks_by_status(self, status: TaskStatus) -> list[str]:
        if status not in list(TaskStatus):
            raise WorkflowStateError(f"status={status!r} is unknown; use one of: {', '.join(TaskStatus)}.")
        with self._changed:
            return [task_id for task_id, state in self._states.items() if state.status == status]

    def is_empty(self) -> bool:
        """Nothing waits and nothing runs."""
        with self._changed:
            return not any(state.status in _WAITING for state in self._states.values())

    def __len__(self) -> int:
        """How much waits."""
        return len(self._heap)
