"""Runs of other workflows that the steps of one local run wait for.

A child is a local run like any other, carried on whenever it can go on; its questions are open in the parent's
feedback manager too. A child that waits for people makes its parent wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from engine.core import kinds
from engine.core.errors import EngineError, WorkflowStateError
from engine.core.news import StartChild, TaskFailed, TaskFinished
from engine.core.result import RunResult
from engine.core.workflow import WorkflowContext
from engine.execution.attempt import Outcome
from engine.execution.context import ExecutionContext


class ChildRun(Protocol):
    execution_context: ExecutionContext

    def execute(self) -> RunResult: ...

    def stop(self, reason: str | None) -> None: ...


Make = Callable[[WorkflowContext, dict[str, Any], float | None], ChildRun]
"""(workflow, inputs, seconds it may take) -> a run that has not begun. Raises EngineError."""


@dataclass(slots=True)
class _Child:
    command: StartChild
    run: ChildRun
    busy: bool = False
    waits: bool = False  # for people


class Children:
    """The children of one run, by the task that waits for them."""

    def __init__(
        self, workflow: WorkflowContext, context: ExecutionContext, make: Make, *, depth: int, clock: Callable[[], float]
    ) -> None:  # fmt: skip
        self._workflow, self._context, self._make = workflow, context, make
        self._depth, self._clock = depth, clock
        self._by_task: dict[str, _Child] = {}

    def __bool__(self) -> bool:
        return bool(self._by_task)

    def start(self, command: StartChild) -> TaskFailed | None:
        """Have the workflow of a step run; what is wrong with it, if anything is."""
        task_id = command.task_id
        if self._depth >= kinds.MAX_DEPTH:
            return kinds.too_deep(task_id)
        try:
            limit = self._context.plan.tasks[task_id].timeout
            run = self._make(self._named(command.workflow), command.inputs, limit)
        except EngineError as error:
            text = f"workflow {command.workflow!r}: {error}"
            return TaskFailed(task_id=task_id, at=0.0, error=text, kind="invalid", retryable=False)
        self._by_task[task_id] = _Child(command, run)
        self._context.feedback_manager.attach(run.execution_context.feedback_manager)
        return None

    def _named(self, slug: str) -> WorkflowContext:
        found = self._workflow.workflow_named(slug)
        if found is None:
            raise WorkflowStateError(f"There is no workflow {slug!r} here; give it with workflows={{...}}.")
        return found

    def due(self) -> str | None:
        """A task whose child can go on; it is the caller's until `carry_on` has returned."""
        for task_id, child in self._by_task.items():
            if not child.busy and not (child.waits and not child.run.execution_context.inbox):
                child.busy = True
                return task_id
        return None

    def carry_on(self, task_id: str) -> Outcome | None:
        """Run the child as far as it goes; the news of its end for its step, None while it waits for people."""
        child = self._by_task[task_id]
        try:
            result = child.run.execute()
        finally:
            child.busy = False
        context = child.run.execution_context
        if self._by_task.get(task_id) is not child:
            return None  # cancelled meanwhile; the step may be waiting for another run by now
        if not context.state.is_final():
            child.waits = True
            return None
        self._forget(task_id)
        if result.status == "succeeded":
            value = kinds.outcome_value(context.plan, result.results)
            return Outcome(TaskFinished(task_id, self._clock(), value))
        name, status = child.command.workflow, result.status
        return Outcome(kinds.child_failed(task_id, self._clock(), result.run_id, name, status, result.reason()))

    def wake(self) -> None:
        """Look at every child again: deadlines of its questions may have passed."""
        for child in self._by_task.values():
            child.waits = False

    def cancel(self, task_id: str) -> None:
        """Nobody waits for this child any more."""
        if (child := self._by_task.get(task_id)) is not None:
            child.run.stop("its parent does not want it any more")
            self._forget(task_id)

    def stop(self, reason: str | None) -> None:
        """From any thread: what runs below ends."""
        for child in list(self._by_task.values()):
            child.run.stop(reason)

    def _forget(self, task_id: str) -> None:
        child = self._by_task.pop(task_id)
        self._context.feedback_manager.detach(child.run.execution_context.feedback_manager)
