"""Where the bodies of a parallel local run are carried out: threads here, processes here, workers over Redis."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.core.errors import EngineError
from engine.core.plan import Plan
from engine.core.task import TaskWrapper
from engine.core.workflow import CoordinationBackend, WorkflowContext
from engine.execution.attempt import Call, Outcome, carry_out
from engine.execution.context import ExecutionContext
from engine.execution.process_pool import ProcessPool, check_value
from engine.execution.references import name_for_worker, reference, resolve
from engine.execution.remote import Find, JobFailed, JobPool, Name, body_job, failed_outcome, outcome_from

if TYPE_CHECKING:
    from engine.execution.redis_bodies import RedisBodies

DEFAULT_THREADS = 8
Clock = Callable[[], float]
T = TypeVar("T")


class Bodies(Protocol):
    """Carries out bodies side by side. `worker` names this place in the history."""

    width: int
    worker: str

    def submit(self, call: Call, *, clock: Clock, jitter: float) -> Future[Outcome]:
        """Begin a body. Never raises: what cannot begin is a failed outcome."""

    def recall(self) -> None:
        """The run stops: take back what has not begun."""

    def close(self, *, now: bool = False) -> None:
        """Let what runs end; or, where that can be, give it up `now`."""


class ThreadBodies:
    """Bodies in threads of this process."""

    worker = ""

    def __init__(self, width: int | None) -> None:
        self.width = width or DEFAULT_THREADS
        self._pool = ThreadPoolExecutor(self.width, thread_name_prefix="graflow")

    def submit(self, call: Call, *, clock: Clock, jitter: float) -> Future[Outcome]:
        return self._pool.submit(carry_out, call, clock=clock, jitter=jitter)

    def do(self, work: Callable[[str], T], task_id: str) -> Future[T]:
        """Anything else of a task."""
        return self._pool.submit(work, task_id)

    def recall(self) -> None:
        """A thread takes a body up at once."""

    def close(self, *, now: bool = False) -> None:
        self._pool.shutdown(wait=not now, cancel_futures=now)


class RemoteBodies:
    """Bodies in other processes, which a JobPool reaches."""

    def __init__(self, pool: JobPool, context: ExecutionContext, *, name: Name, find: Find) -> None:
        self.width, self.worker = pool.width, pool.name
        self._pool, self._context, self._name, self._find = pool, context, name, find

    def submit(self, call: Call, *, clock: Clock, jitter: float) -> Future[Outcome]:
        task_id = call.execution.task_id
        outcome: Future[Outcome] = Future()
        try:
            told: Future[dict[str, Any]] = self._pool.submit(body_job(call, self._name(task_id, call.task)))
        except EngineError as error:
            outcome.set_result(failed_outcome(task_id, "invalid", str(error), at=clock(), jitter=jitter))
            return outcome

        def settle(done: Future[dict[str, Any]]) -> None:
            try:
                report = done.result()
                self._learn(report)
                found = outcome_from(report, call, at=clock(), jitter=jitter)
            except JobFailed as error:
                self.repair()
                found = failed_outcome(task_id, error.kind, error.detail, at=clock(), jitter=jitter)
            except EngineError as error:
                found = failed_outcome(task_id, "invalid", str(error), at=clock(), jitter=jitter)
            outcome.set_result(found)

        told.add_done_callback(settle)
        return outcome

    def repair(self) -> None:
        """A job was lost; put right what may have gone with it."""

    def _learn(self, report: dict[str, Any]) -> None:
        """Functions that a body wants to have run next, by the names it gave them."""
        for name in (report.get("wishes") or {}).get("functions", ()):
            self._context.functions[name] = self._find(name)

    def recall(self) -> None:
        self._pool.recall()

    def close(self, *, now: bool = False) -> None:
        self._pool.close(now=now)


def open_bodies(workflow: WorkflowContext, plan: Plan, context: ExecutionContext) -> Bodies:
    """The bodies of a workflow's backend. Raises before anything starts: NotPicklable, naming the task, for work
    that cannot leave this process.
    """
    backend, config = workflow.coordination_backend, workflow.backend_config
    if backend is CoordinationBackend.MEMORY:
        return ThreadBodies(workflow.max_workers)
    functions = {task_id: made for task_id in plan.tasks if (made := workflow.wrapper(task_id)) is not None}
    if backend is CoordinationBackend.REDIS:
        check_functions(functions, name_for_worker)
        return _redis_bodies()(context, config, workflow.max_workers, list(functions))
    check_functions(functions, reference)
    _check_inputs(list(functions), context.state.inputs)
    pool = ProcessPool(workflow.max_workers or config.get("process_count"), config.get("start_method"))
    return RemoteBodies(pool, context, name=reference, find=resolve)


def check_functions(functions: dict[str, TaskWrapper], name: Name) -> None:
    for task_id, func in functions.items():
        name(task_id, func)


def _check_inputs(task_ids: list[str], inputs: Any) -> None:
    for name, value in inputs.items():
        check_value(task_ids[0] if task_ids else "", f"the input {name!r}", value)


def _redis_bodies() -> type[RedisBodies]:
    # Only here is Redis needed: the library starts without its client and without Celery.
    module = importlib.import_module("engine.execution.redis_bodies")
    return module.RedisBodies  # type: ignore[no-any-return]
