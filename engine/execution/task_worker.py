"""TaskWorker: a thread that empties a TaskQueue. Its durable twin is in `engine.workers`."""

from __future__ import annotations

import logging
import threading

from engine.core.errors import WorkflowStateError
from engine.execution.context import ExecutionContext
from engine.execution.task_queue import TaskQueue, TaskSpec

IDLE_SECONDS = 0.5
log = logging.getLogger(__name__)


class TaskWorker:
    """Carries out what is in `queue`, one piece after another. Several workers may share a queue.

    Results and errors are kept by the queue (`queue.get_task_state(id)`), results also by the execution context.
    """

    def __init__(self, queue: TaskQueue, execution_context: ExecutionContext | None = None) -> None:
        self.queue = queue
        self.execution_context = execution_context
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin in a thread of its own; returns at once. Started twice, it still is one worker."""
        with self._lock:
            if self.running:
                return
            self._leaving.clear()
            self._thread = threading.Thread(target=self._work, name="graflow-worker", daemon=True)
            self._thread.start()

    def stop(self, timeout: float | None = None) -> None:
        """Let everything that is queued be done, then end. Raises WorkflowStateError when that takes longer than
        `timeout` seconds; the worker goes on draining then.
        """
        with self._lock:
            thread = self._thread
        self._leaving.set()
        self.queue.wake()
        if thread is None or thread is threading.current_thread():
            return
        thread.join(timeout)
        if thread.is_alive():
            raise WorkflowStateError(
                f"The worker still drains its queue after {timeout} s ({len(self.queue)} waiting)."
            )

    def _work(self) -> None:
        while True:
            spec = self.queue.dequeue() if self._leaving.is_set() else self.queue.wait(IDLE_SECONDS)
            if spec is not None:
                self._carry_out(spec)
            elif self._leaving.is_set():
                return

    def _carry_out(self, spec: TaskSpec) -> None:
        try:
            result = spec.run()
        except (Exception, SystemExit) as error:  # a task's failure becomes a recorded state
            log.warning("Task %r failed", spec.task_id, exc_info=error)
            self.queue.mark_failed(spec.task_id, error)
            return
        self.queue.mark_completed(spec.task_id, result)
        if self.execution_context is not None and self.execution_context is not self.queue.execution_context:
            self.execution_context.set_result(spec.task_id, result)
