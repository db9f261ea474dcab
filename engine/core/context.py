"""What a task's body can ask of the engine while it runs.

The context only records wishes: new tasks, another iteration, channel writes, questions. They take effect
when the body succeeds (questions when it suspends), so a failed or repeated body leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.core import registry
from engine.core.channel import Channel, ChannelStore, Write
from engine.core.cycle import CycleController
from engine.core.errors import FeedbackRejectedException, FeedbackTimeoutError, WorkflowStateError
from engine.core.feedback import FeedbackAnswer, FeedbackRequest, FeedbackType, asked
from engine.core.news import Spawn, Wishes
from engine.core.question import QuestionError
from engine.core.schema import signature_of
from engine.core.task import TaskWrapper

MAX_SPAWN = 1_000
"""How many tasks one execution of a body may make."""


class Suspended(BaseException):
    """Leaves a body that waits for a person. Not an Exception: an author's `except Exception` lets it pass."""

    def __init__(self, request: FeedbackRequest) -> None:
        self.request = request
        super().__init__(request.prompt)


class FeedbackPort(Protocol):
    """Remembered questions and answers of one execution."""

    def lookup(self, request: FeedbackRequest) -> tuple[str, FeedbackAnswer | None, bool]:
        """(id of the request, its answer if any, whether the old answer was for something else)."""


class StepPort(Protocol):
    """Remembered results of `context.step`."""

    def load(self, key: str) -> tuple[bool, Any]: ...

    def save(self, key: str, value: Any) -> None: ...


@dataclass(slots=True, kw_only=True)
class Execution:
    """Facts about the execution a context belongs to, and the ports it reads through."""

    run_id: str
    task_id: str
    iteration: int
    attempt: int
    cycle_count: int
    inputs: Mapping[str, Any]
    channels: ChannelStore
    feedback: FeedbackPort
    steps: StepPort
    controller: CycleController | None = None
    functions: dict[str, Callable[..., Any]] | None = None  # a local run's unregistered functions
    max_cycle: int = 10
    token: int | None = None  # the number of the attempt over all iterations, where attempts are numbered


@dataclass(slots=True)
class Recorded:
    """What a body asked for."""

    writes: list[Write] = field(default_factory=list)
    spawn: list[Spawn] = field(default_factory=list)
    requests: list[FeedbackRequest] = field(default_factory=list)
    iterate: tuple[str | None, dict[str, Any]] | None = None
    drift: bool = False

    def wishes(self) -> Wishes | None:
        if self.iterate is None and not self.spawn:
            return None
        uses, args = self.iterate or (None, {})
        return Wishes(iterate=self.iterate is not None, iterate_uses=uses, iterate_args=args, spawn=tuple(self.spawn))


class TaskExecutionContext:
    """Given to a task that has a parameter named `context`. `iteration` and `attempt` count from 1."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._channels: dict[str, Channel] = {}
        self._ordinal = 0
        self._asked: dict[str, tuple[str, str]] = {}
        self._result: Any = None
        self.recorded = Recorded()

    @property
    def task_id(self) -> str:
        return self._execution.task_id

    current_task_id = task_id

    @property
    def run_id(self) -> str:
        return self._execution.run_id

    @property
    def iteration(self) -> int:
        return self._execution.iteration

    @property
    def attempt(self) -> int:
        return self._execution.attempt

    @property
    def cycle_count(self) -> int:
        """Executions of this task that ended since its loop was entered."""
        return self._execution.cycle_count

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs of the run."""
        return self._execution.inputs

    @property
    def cycle_controller(self) -> CycleController:
        """Executions and limits by task, as they were when this execution began."""
        if self._execution.controller is None:
            controller = CycleController(self._execution.max_cycle)
            controller.cycle_counts[self.task_id] = self._execution.cycle_count
            self._execution.controller = controller
        return self._execution.controller

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this iteration: hand it to systems that can ignore a repeat."""
        return self._key()

    @property
    def fencing_token(self) -> int:
        """Grows with every attempt: systems that remember it can refuse an older one."""
        if self._execution.token is not None:
            return self._execution.token
        return self._execution.iteration * 1_000 + self._execution.attempt

    # -- data ---------------------------------------------------------------------------------------------------

    def get_channel(self, name: str) -> Channel:
        """The channel `name` of this run; writes become visible to others when this task succeeds."""
        if name not in self._channels:
            self._channels[name] = Channel(name, self._execution.channels, self.recorded.writes)
        return self._channels[name]

    def step(self, key: str, fn: Callable[[], Any]) -> Any:
        """Run `fn` once per run, task, iteration and `key`, and remember its result.

        For effects outside the engine: a body that starts again after a question or a failure does not repeat it.
        """
        found, value = self._execution.steps.load(key)
        if not found:
            value = fn()
            self._execution.steps.save(key, value)
        return value

    # -- more work ----------------------------------------------------------------------------------------------

    def next_task(self, func: Any, *, join: bool = False, name: str | None = None, **kwargs: Any) -> str:
        """Have `func` run after this task succeeds; returns the new task's id `<name>_<8 hex>`.

        With `join` the successors of this task wait for it. In a durable run `func` must be a registered task.
        """
        return self._spawn(func, kwargs, join=join, name=name)

    def _spawn(self, func: Any, args: dict[str, Any], *, join: bool, name: str | None = None) -> str:
        if len(self.recorded.spawn) >= MAX_SPAWN:
            raise WorkflowStateError(
                f"Task {self.task_id!r} made {MAX_SPAWN} tasks, which is the most one execution may. "
                "Hand several items to one task, or make further tasks from those."
            )
        uses, label, settings = self._function(func)
        task_id = f"{name or label}_{self._key(str(len(self.recorded.spawn)))[:8]}"
        self.recorded.spawn.append(Spawn(task_id=task_id, uses=uses, args=args, join=join, settings=settings))
        return task_id

    def map(self, func: Any, items: Iterable[Any], join: bool = True) -> list[str]:
        """One task per item, which fills the first parameter of `func`; returns the ids in item order."""
        target = func.func if isinstance(func, TaskWrapper) else func
        if isinstance(func, str) and func in registry.tasks():
            target = registry.tasks()[func].func
        parameters = _signature_names(target)
        if not parameters:
            raise WorkflowStateError(f"{_name_of(func)!r} takes no parameter that an item could fill.")
        return [self._spawn(func, {parameters[0]: item}, join=join) for item in items]

    def next_iteration(self, func: Any = None, /, **kwargs: Any) -> None:
        """Run this task again with these arguments after it succeeds; its successors wait for the last time.

        Counts against `max_cycle`. With `func` the next iteration runs that function instead.
        """
        uses = None if func is None else self._function(func)[0]
        self.recorded.iterate = (uses, kwargs)

    def _function(self, func: Any) -> tuple[str, str, dict[str, Any]]:
        """(name to find it by, short name, settings) of a function, a task or a registered name."""
        if isinstance(func, str):
            if func not in registry.tasks():
                raise WorkflowStateError(f"There is no registered task {func!r}.")
            func = registry.tasks()[func]
        label = _name_of(func).rpartition(".")[2]
        if isinstance(func, TaskWrapper):
            if self._execution.functions is not None:
                self._execution.functions[func.name] = func
            return func.name, label, func.defaults()
        if not callable(func):
            raise WorkflowStateError(f"{func!r} cannot run: it is neither a task nor a function.")
        if self._execution.functions is None:
            raise WorkflowStateError(
                f"{label!r} is not registered: in a durable run decorate it with @task in a task module."
            )
        uses = f"{label}@{id(func):x}"
        self._execution.functions[uses] = func
        return uses, label, {}

    # -- people -------------------------------------------------------------------------------------------------

    def get_service(self, name: str) -> Any:
        """`feedback_manager` asks people; other names give None."""
        return TaskFeedback(self) if name == "feedback_manager" else None

    def ask(
        self,
        kind: FeedbackType | str,
        prompt: str | None = None,
        data: Any = None,
        *,
        key: str | None = None,
        **settings: Any,
    ) -> Any:
        """Ask a person and return the answer. The body leaves here and starts again from its top once answered,
        so put effects that must not repeat into `step`.
        """
        request, _ = self._request(data, kind, prompt, key=key, **settings)
        return self._wait(request)

    def suspend_until_feedback(self, feedback_id: str) -> None:
        """Wait for the answer of a request made in this body; `get_result` gives its value."""
        for request in self.recorded.requests:
            if self._execution.feedback.lookup(request)[0] == feedback_id:
                self._result = self._wait(request)
                return
        raise WorkflowStateError(f"There is no request {feedback_id!r} in this body; request it before waiting for it.")

    def get_result(self) -> Any:
        """The value of the answer that was waited for last."""
        return self._result

    def _request(
        self,
        data: Any,
        kind: FeedbackType | str,
        prompt: str | None = None,
        options: Any = None,
        *,
        key: str | None = None,
        **settings: Any,
    ) -> tuple[FeedbackRequest, str]:
        self._ordinal += 1
        request = asked(self.task_id, self.iteration, self._ordinal, key, data, kind, prompt, options, settings)
        content = (request.fingerprint, request.prompt)
        if self._asked.setdefault(request.key, content) != content:
            raise QuestionError(
                f"Task {self.task_id!r} asks two questions with key={request.key!r}: the second, {request.prompt!r}, "
                "would get the answer of the first. Give each question a key of its own, or none."
            )
        feedback_id, _, drift = self._execution.feedback.lookup(request)
        self.recorded.requests = [known for known in self.recorded.requests if known.key != request.key]
        self.recorded.requests.append(request)
        self.recorded.drift = self.recorded.drift or drift
        return request, feedback_id

    def _wait(self, request: FeedbackRequest) -> Any:
        _, answer, _ = self._execution.feedback.lookup(request)
        if answer is None:
            raise Suspended(request)
        if answer.decision == "reject":
            raise FeedbackRejectedException(answer.reason)
        if answer.decision == "expire":
            raise FeedbackTimeoutError(f"Nobody answered {request.prompt!r} within {request.timeout} s.")
        self._result = answer.value
        return answer.value

    def _key(self, extra: str = "") -> str:
        parts = (self.run_id, self.task_id, str(self.iteration), extra)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


class TaskFeedback:
    """The feedback manager as a body sees it: its requests belong to this task and iteration."""

    def __init__(self, context: TaskExecutionContext) -> None:
        self._context = context

    def request_feedback(
        self, task_id: str, data: Any = None, feedback_type: FeedbackType | str = FeedbackType.APPROVAL,
        prompt: str | None = None, options: Any = None, *, key: str | None = None, **settings: Any,
    ) -> str:  # fmt: skip
        """Ask; returns the request's id for `context.suspend_until_feedback`. `task_id` is the asking task."""
        if task_id != self._context.task_id:
            raise WorkflowStateError(f"Task {self._context.task_id!r} cannot ask in the name of {task_id!r}.")
        return self._context._request(data, feedback_type, prompt, options, key=key, **settings)[1]

    def request_approval(self, task_id: str, data: Any = None, prompt: str | None = None, **settings: Any) -> str:
        return self.request_feedback(task_id, data, FeedbackType.APPROVAL, prompt, **settings)

    def request_text_input(self, task_id: str, data: Any = None, prompt: str | None = None, **settings: Any) -> str:
        return self.request_feedback(task_id, data, FeedbackType.TEXT, prompt, **settings)


def _name_of(func: Any) -> str:
    return func if isinstance(func, str) else str(getattr(func, "name", None) or getattr(func, "__name__", "task"))


def _signature_names(func: Callable[..., Any]) -> list[str]:
    return [parameter.name for parameter in signature_of(func).parameters]
