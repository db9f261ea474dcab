"""ParallelGroupExecutor: phases of work, one after another, each as wide as it is; the same on every backend."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.errors import TaskFailure, WorkflowStateError
from engine.core.workflow import CoordinationBackend
from engine.execution.context import ExecutionContext
from engine.execution.coordinator import TaskCoordinator, create_coordinator
from engine.execution.task_queue import TaskQueue, TaskSpec, check_spec

WAIT_SLICE = 30.0
"""How long one wait for a phase without a deadline lasts, in seconds; then it waits again."""

Phase = TaskSpec | Sequence[TaskSpec]


class ParallelGroupExecutor:
    """Carries out sequences such as `[a, [b, c], d]`: b and c side by side, d after both have ended.

    `backend_config` by backend: MEMORY `thread_count`; MULTIPROCESSING `process_count start_method`; REDIS `url`,
    or `redis_client`, or `host port db`, and `prefix queue lease`. With `timeout` (seconds) a phase that takes
    longer fails.
    """

    def __init__(
        self,
        backend: CoordinationBackend | str = CoordinationBackend.MEMORY,
        backend_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.backend = CoordinationBackend(backend)
        self.backend_config = dict(backend_config or {})
        self.execution_context: ExecutionContext | None = None

    def execute_sequence(self, sequence: Sequence[Phase]) -> dict[str, Any]:
        """`{task_id: value}` of everything. Raises NotPicklable before anything starts for work that the backend
        cannot carry out, and TaskFailure, after its phase has ended, for work that failed.
        """
        phases = _phases(sequence)
        _check_ids(phases)
        results: dict[str, Any] = {}
        coordinator = create_coordinator(self.backend, self.backend_config)
        is_done = False
        try:
            for spec in (spec for phase in phases for spec in phase):
                coordinator.check(spec)
            for number, phase in enumerate(phases):
                if phase:
                    results.update(self._carry_out(coordinator, number, phase))
            is_done = True
        finally:
            coordinator.close(now=not is_done)
        return results

    def _carry_out(self, coordinator: TaskCoordinator, number: int, phase: list[TaskSpec]) -> dict[str, Any]:
        queue = TaskQueue()
        for spec in phase:
            queue.enqueue(spec)
        group_id = coordinator.create_barrier(f"phase_{number}_{uuid.uuid4().hex[:8]}", len(phase))
        try:
            while (waiting := queue.dequeue()) is not None:
                coordinator.dispatch_task(waiting, group_id)
            self._wait(coordinator, group_id)
        finally:
            coordinator.cleanup_barrier(group_id)
        values, errors = coordinator.take_results(group_id)
        if self.execution_context is not None:
            for task_id, value in values.items():
                self.execution_context.set_result(task_id, value)
        if errors:
            raise TaskFailure(errors)
        return {spec.task_id: values[spec.task_id] for spec in phase}

    def _wait(self, coordinator: TaskCoordinator, group_id: str) -> None:
        timeout = self.backend_config.get("timeout")
        if timeout is not None:
            coordinator.wait_barrier(group_id, timeout)  # what has not ended is an error of its own in the results
            return
        while not coordinator.wait_barrier(group_id, WAIT_SLICE):
            pass


def _phases(sequence: Sequence[Phase]) -> list[list[TaskSpec]]:
    phases: list[list[TaskSpec]] = []
    for phase in sequence:
        together: list[Any] = list(phase) if isinstance(phase, (list, tuple)) else [phase]
        for spec in together:
            check_spec(spec)
        phases.append(together)
    return phases


def _check_ids(phases: list[list[TaskSpec]]) -> None:
    seen: set[str] = set()
    for spec in (spec for phase in phases for spec in phase):
        if spec.task_id in seen:
            raise WorkflowStateError(f"Two pieces of work are called {spec.task_id!r}; give each TaskSpec its own id.")
        seen.add(spec.task_id)
