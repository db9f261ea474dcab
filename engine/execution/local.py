"""LocalRunner: sequential and parallel loops around the machine, in this process."""

from __future__ import annotations

import heapq
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from itertools import count
from typing import Any

from engine.core import kinds
from engine.core import news as n
from engine.core.arguments import Sources
from engine.core.context import Execution
from engine.core.errors import EngineError, UnknownTask, WorkflowStateError
from engine.core.fold import Decision, Fold
from engine.core.machine import advance, after_plain
from engine.core.plain import finish
from engine.core.plan import UNATTENDED_KINDS, Plan, PlanTask
from engine.core.result import RunResult
from engine.core.schema import checked_inputs
from engine.core.scope import upstream
from engine.core.state import TaskState, TaskStatus
from engine.core.task import TaskWrapper
from engine.core.workflow import CoordinationBackend, WorkflowContext
from engine.execution.attempt import Call, Outcome, carry_out, failure_of
from engine.execution.backends import Bodies, ThreadBodies, open_bodies
from engine.execution.children import Children
from engine.execution.context import ExecutionContext, LocalFeedback, MemorySteps
from engine.execution.http_step import http_task
from engine.execution.notifier import hand_over
from engine.execution.references import anonymous

_IDLE_SECONDS = 0.05
_READY, _RUNNING = TaskStatus.READY, TaskStatus.RUNNING


class LocalRunner:
    """One local run. `execute` returns when the run is over or only people can move it."""

    def __init__(
        self, workflow: WorkflowContext, start_node: str | None, max_steps: int | None, inputs: dict[str, Any] | None,
        *, depth: int = 0, services: Mapping[str, Any] | None = None, limit: float | None = None,
    ) -> None:  # fmt: skip
        """`limit`: the seconds this run may take, if the workflow grants no fewer."""
        self._workflow = workflow
        self._plan: Plan = workflow.plan()
        self._seconds = min((limit or math.inf), (self._plan.deadline or math.inf))
        self._deadline = math.inf  # set by the start
        if start_node is not None and start_node not in self._plan.tasks:
            raise UnknownTask(start_node, list(self._plan.tasks))
        self._start_node = start_node
        given = checked_inputs(self._plan.inputs_schema, inputs or {})
        services = {**(services or {}), **workflow.services}
        self.execution_context = ExecutionContext(self._plan, inputs=given, max_steps=max_steps, services=services)
        self._state = self.execution_context.state
        self._offset = time.time() - time.monotonic()
        self.execution_context.use_clock(self._clock)
        self._ready: deque[str] = deque()
        self._requests = frozenset(task.id for task in self._plan.tasks.values() if task.kind == "http")
        self._by_priority = any(task.priority for task in self._plan.tasks.values())
        self._heap: list[tuple[int, int, str]] = []
        self._arrival = count()
        self._timers: list[tuple[float, str]] = []
        self._executing = False
        self._is_untold = False  # stopped while nobody executed it: the next `execute` gives its result
        self._turn = threading.RLock()  # for who looks at, or changes, `_executing`
        self._bodies = workflow.bare_bodies()
        self._own_threads: ThreadBodies | None = None
        self._child_runs: set[Future[Outcome | None]] = set()

        def child(of: WorkflowContext, given: dict[str, Any], limit: float | None) -> LocalRunner:
            return LocalRunner(of, None, None, given, depth=depth + 1, services=services, limit=limit)

        self._children = Children(workflow, self.execution_context, child, depth=depth, clock=self._clock)

    def _clock(self) -> float:
        """Seconds since the epoch that never go back."""
        return self._offset + time.monotonic()

    @property
    def is_waiting(self) -> bool:
        return not self._state.is_final() or self._is_untold

    def stop(self, reason: str | None) -> None:
        self.execution_context.tell(n.StopRequested(self._clock(), reason))
        self._children.stop(reason)
        with self._turn:
            if self._executing or self._state.status == "pending" or self._state.is_final():
                return  # who carries the run on reads it, or will
            self._executing = self._is_untold = True
            try:
                self._take_up()
                self._run_sequential()  # nothing starts any more: this only closes what is open
            finally:
                self._executing = False

    def execute(self) -> RunResult:
        with self._turn:
            if self._executing:
                raise WorkflowStateError(
                    f"Workflow {self._workflow.name!r} is already running; use another workflow object."
                )
            if self._is_untold and self._state.is_final():
                self._is_untold = False
                return self._result()
            self._executing = True
        pool: Bodies | None = None
        is_interrupted = True
        try:
            if self._is_parallel():  # before anything starts: work that cannot leave this process is refused here
                pool = open_bodies(self._workflow, self._plan, self.execution_context)
            if self._state.status == "pending":
                self._deadline = self._clock() + self._seconds
                self._tell(n.RunStarted(self._clock(), self._start_node))
            else:
                self._take_up()
            self.execution_context.feedback_manager.expire_due(self._clock())
            self._heed_deadline()
            if pool is not None:
                self._run_parallel(pool)
            else:
                self._run_sequential()
            is_interrupted = False
        finally:
            if pool is not None:
                pool.close(now=is_interrupted)
            if (
                self._own_threads is not None and not is_interrupted
            ):  # what an interrupt leaves there is waited for later
                self._own_threads.close()
                self._own_threads = None
            self._executing = False
        if self._children and not self._state.is_final():
            self._say("waiting")  # for people, in a workflow that runs as a step
        return self._result()

    def _result(self) -> RunResult:
        return RunResult(self._state, self._state.log, self.execution_context.run_id)

    def _take_up(self) -> None:
        """Go on with a run that waited, or that an interrupt has left in the middle.

        What was running then is tried again; that costs no retry, for it has not failed.
        """
        if self._children:
            self._say("running")
            self._children.wake()
        queued = set(self._ready)
        for task in list(self._state.tasks.unfinished()):
            kind = self._plan.tasks[task.task_id].kind if task.task_id in self._plan.tasks else "task"
            if task.status is _RUNNING and kind not in UNATTENDED_KINDS:
                news = n.TaskFailed(task_id=task.task_id, at=self._clock(), error="interrupted", kind="released")
                self._tell(news)
            elif task.status is _READY and task.task_id not in queued:
                self._push(task.task_id)

    def _say(self, status: str) -> None:
        Fold(self._plan, self._state, self._clock()).run_status(status)

    def _is_parallel(self) -> bool:
        """Who names a backend wants its tasks side by side there, whatever the mode."""
        is_here = self._workflow.coordination_backend is CoordinationBackend.MEMORY
        return self._plan.execution_mode == "parallel" or not is_here

    # -- loops --------------------------------------------------------------------------------------------------

    def _run_plain(self) -> None:
        """Carry out tasks that need nothing from the engine, until one comes that does (see `core.plain`)."""
        state, ready, inbox, bodies = self._state, self._ready, self.execution_context.inbox, self._bodies
        tasks, plain, offset, monotonic = state.tasks, self._plan.plain, self._offset, time.monotonic
        following: list[str] = []
        while ready and not inbox:
            task_id = ready[0]
            body, task = bodies.get(task_id), tasks[task_id]
            if (
                body is None
                or task_id not in plain
                or task.status is not _READY
                or task.attempt != 1
                or task.resumed
                or state.closing is not None
            ):
                return
            ready.popleft()
            task.status = _RUNNING
            started = offset + monotonic()
            try:
                value = body()
            except Exception as error:  # the machine has to know it from its start
                task.status = _READY
                self._tell(n.TaskStarted(task_id, started))
                self._failed(task, error)
                continue
            except BaseException:  # an interrupt: the history has to begin with the start all the same
                task.status = _READY
                self._tell(n.TaskStarted(task_id, started))
                raise
            ended = offset + monotonic()
            goes_on = finish(state, task, plain[task_id], started, ended, value, following)
            if following:
                ready.extend(following)
                following.clear()
            if not goes_on:
                self._obey(after_plain(self._plan, state, task, plain[task_id]))

    def _run_bare(self, task_id: str, body: Callable[[], Any]) -> None:
        """Call a function that needs nothing from the engine, and tell the machine."""
        self._tell(n.TaskStarted(task_id, self._clock(), ""))
        task = self._state.tasks[task_id]
        if task.status is not _RUNNING:
            return
        try:
            value = body()
        except Exception as error:  # a task's failure becomes a recorded event
            self._failed(task, error)
        else:
            self._tell(n.TaskFinished(task_id, self._clock(), value))

    def _failed(self, task: TaskState, error: Exception) -> None:
        call = self._call(self._plan.tasks[task.task_id], task)
        self._finish(Outcome(failure_of(call, error, self._clock(), _jitter())))

    def _run_sequential(self) -> None:
        may_be_plain = not self._by_priority and self._state.max_steps is None and self._deadline == math.inf
        while not self._state.is_final():
            if may_be_plain:
                self._run_plain()
            self._read_inbox()
            self._heed_deadline()
            task_id = self._next_ready()
            if task_id is not None:
                if (body := self._bodies.get(task_id)) is not None and self._state.tasks[task_id].uses is None:
                    self._run_bare(task_id, body)
                elif (call := self._begin(task_id)) is not None:
                    self._finish(carry_out(call, clock=self._clock, jitter=_jitter()))
            elif (child := self._children.due()) is not None:
                outcome = self._children.carry_on(child)
                self._read_inbox()  # a stop reaches this run before the end of its child
                if outcome is not None:
                    self._finish(outcome)
            elif not self._wait_for_timer():
                return

    def _run_parallel(self, pool: Bodies) -> None:
        running: set[Future[Outcome | None]] = set(self._child_runs)
        while not self._state.is_final():
            self._read_inbox()
            self._heed_deadline()
            self._fire_timers()
            while len(running) < pool.width and (task_id := self._next_ready()) is not None:
                if (call := self._begin(task_id, pool.worker)) is not None:
                    bodies = self._here() if task_id in self._requests else pool
                    running.add(bodies.submit(call, clock=self._clock, jitter=_jitter()))  # type: ignore[arg-type]
            while (child := self._children.due()) is not None:
                self._child_runs.add(carried := self._here().do(self._children.carry_on, child))
                running.add(carried)
            if self._state.closing is not None:
                pool.recall()
            if running:
                done, running = wait(running, timeout=self._patience(), return_when=FIRST_COMPLETED)
                self._child_runs -= done
                self._read_inbox()
                ended = [outcome for future in done if (outcome := future.result()) is not None]
                for outcome in sorted(ended, key=lambda outcome: outcome.news.at):
                    self._finish(outcome)
            elif not self._ready and not self._heap and not self._wait_for_timer():
                return

    def _here(self) -> ThreadBodies:
        """Threads of this process, for what never leaves it: requests and other workflows."""
        if self._own_threads is None:
            self._own_threads = ThreadBodies(self._workflow.max_workers)
        return self._own_threads

    def _patience(self) -> float:
        return max(0.0, min(self._next_due() - self._clock(), _IDLE_SECONDS))

    def _next_due(self) -> float:
        return min(self._timers[0][0], self._deadline) if self._timers else self._deadline

    def _heed_deadline(self) -> None:
        if self._clock() >= self._deadline:
            self._deadline = math.inf
            self._tell(n.RunFailed(self._clock(), kinds.DEADLINE, kinds.PAST_DEADLINE))

    def _wait_for_timer(self) -> bool:
        """Sleep until the next retry or news from another thread. False when there is nothing to wait for."""
        if self._state.is_final() or self._fire_timers() or self._ready or self._heap:
            return True
        context = self.execution_context
        if not self._timers:
            return bool(context.inbox)
        context.wake.clear()
        if not context.inbox:
            context.wake.wait(max(0.0, self._next_due() - self._clock()))
        self._fire_timers()
        return True

    def _fire_timers(self) -> bool:
        fired = False
        while self._timers and self._timers[0][0] <= self._clock():
            _, task_id = heapq.heappop(self._timers)
            self._tell(n.TimerRang(task_id, self._clock()))
            fired = True
        return fired

    def _read_inbox(self) -> None:
        inbox = self.execution_context.inbox
        while inbox:
            self._tell(inbox.popleft())

    # -- the machine --------------------------------------------------------------------------------------------

    def _tell(self, news: n.News) -> None:
        self._obey(advance(self._plan, self._state, news))

    def _obey(self, decision: Decision) -> None:
        for command in decision.commands:
            if isinstance(command, n.RunTask):
                self._push(command.task_id)
            elif isinstance(command, n.ArmTimer):
                heapq.heappush(self._timers, (command.due, command.task_id))
            elif isinstance(command, n.WithdrawRequests):
                self.execution_context.feedback_manager.withdraw(command.task_id)
            elif isinstance(command, n.StartChild):
                if (refused := self._children.start(command)) is not None:
                    self._tell(replace(refused, at=self._clock()))
            elif isinstance(command, n.CancelTask):
                self._children.cancel(command.task_id)
            elif isinstance(command, n.Notify):
                hand_over(self.execution_context.services["notifier"], command.notice)

    def _push(self, task_id: str) -> None:
        if not self._by_priority:
            self._ready.append(task_id)
            return
        task = self._plan.tasks.get(task_id)
        heapq.heappush(self._heap, (task.priority if task else 0, next(self._arrival), task_id))

    def _next_ready(self) -> str | None:
        """The next task that is still ready, by priority and arrival."""
        while self._ready or self._heap:
            task_id = heapq.heappop(self._heap)[2] if self._by_priority else self._ready.popleft()
            if self._state.tasks[task_id].status is _READY:
                return task_id
        return None

    def _begin(self, task_id: str, worker: str = "") -> Call | None:
        """Start an execution; None when it was carried out in place, or is not to run any more."""
        self._tell(n.TaskStarted(task_id, self._clock(), worker))
        state = self._state.tasks[task_id]
        if state.status is not TaskStatus.RUNNING:
            return None
        task = self._plan.tasks.get(task_id)
        if task is not None and kinds.is_inline(task):
            port = LocalFeedback(self.execution_context.feedback_manager, self._clock)
            self._tell(kinds.carry_out(self._plan, self._state, task_id, feedback=port, at=self._clock()))
            return None
        try:
            return self._call(task or self._plan.dynamic(task_id, state.uses, state.settings), state)
        except EngineError as error:
            self._tell(
                n.TaskFailed(task_id=task_id, at=self._clock(), error=str(error), kind="invalid", retryable=False)
            )
            return None

    def _call(self, task: PlanTask, state: TaskState) -> Call:
        context = self.execution_context
        wrapper = self._wrapper(state)
        by_name, main = upstream(self._plan, self._state, state.task_id)
        execution = Execution(
            run_id=context.run_id, task_id=state.task_id, iteration=state.iteration, attempt=state.attempt,
            cycle_count=state.cycle_count, inputs=self._state.inputs, channels=context.channels,
            feedback=LocalFeedback(context.feedback_manager, self._clock),
            steps=MemorySteps(context.step_results, state.task_id, state.iteration),
            functions=context.functions, max_cycle=task.max_cycle,
        )  # fmt: skip
        sources = Sources(
            params=kinds.resolved_params(self._plan, self._state, state.task_id), given=state.args or {},
            inputs=self._state.inputs, by_name=by_name, main=main,
        )  # fmt: skip
        return Call(task=wrapper, execution=execution, sources=sources, timeout=task.timeout)

    def _wrapper(self, state: TaskState) -> TaskWrapper:
        """The function of an execution: its own, or the one it was made or iterated with."""
        if state.task_id in self._requests:
            return http_task(self.execution_context.services["http"])
        if state.uses is None:
            planned = self._workflow.wrapper(state.task_id)
            if planned is not None:
                return planned
            raise WorkflowStateError(f"Task {state.task_id!r} has no function.")
        found: Callable[..., Any] | None = self.execution_context.functions.get(state.uses)
        if found is None:
            found = self._workflow.function(state.uses)
        if found is None:
            raise WorkflowStateError(f"Task {state.task_id!r}: there is no function {state.uses!r}.")
        return found if isinstance(found, TaskWrapper) else anonymous(state.uses, found)

    def _finish(self, outcome: Outcome) -> None:
        """Fold the outcome in; the writes of a body count only if its success does."""
        news = outcome.news
        if outcome.writes and self._state.tasks[news.task_id].status is TaskStatus.RUNNING:
            try:
                self.execution_context.channels.commit(outcome.writes)
            except TypeError as error:
                news = n.TaskFailed(
                    task_id=news.task_id, at=news.at, error=f"channel write: {error}", kind="invalid", retryable=False
                )
        if isinstance(news, n.TaskSuspended):
            self._suspend(news)
        else:
            self._tell(news)
            if isinstance(news, n.TaskFinished):  # what it asked without waiting is of no use any more
                self.execution_context.feedback_manager.withdraw(news.task_id)

    def _suspend(self, news: n.TaskSuspended) -> None:
        """An answer that came between asking and suspending was told already: tell it again afterwards."""
        self._tell(news)
        if self._state.tasks[news.task_id].status is not TaskStatus.FEEDBACK_REQUIRED:
            return
        manager = self.execution_context.feedback_manager
        feedback_id = manager.open(news.requests[-1], at=self._clock())
        answer = manager.answer_of(feedback_id)
        if answer is not None:
            self._tell(
                n.Answered(
                    task_id=news.task_id,
                    at=self._clock(),
                    decision=answer.decision,
                    feedback_id=feedback_id,
                    reason=answer.reason,
                    reraise=news.requests[-1].on_reject == "raise",
                    data=news.requests[-1].data,
                )
            )


def _jitter() -> float:
    return random.uniform(0.5, 1.5)


def local_runner(
    workflow: WorkflowContext, start_node: str | None, max_steps: int | None, inputs: dict[str, Any] | None
) -> LocalRunner:
    return LocalRunner(workflow, start_node, max_steps, inputs)
