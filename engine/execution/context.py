"""ExecutionContext: one local run, its plan, state and services. Decisions stay in `core.machine`."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from engine.core.channel import Channel, MemoryChannels
from engine.core.cycle import CycleController
from engine.core.feedback import FeedbackAnswer, FeedbackManager, FeedbackRequest
from engine.core.news import Answered, News
from engine.core.plan import Plan
from engine.core.state import RunState, TaskState
from engine.execution.http_policy import HttpPolicy
from engine.execution.notifier import KeptNotices


class MemorySteps:
    """Results of `context.step` in a local run."""

    def __init__(self, values: dict[tuple[str, int, str], Any], task_id: str, iteration: int) -> None:
        self._values, self._task_id, self._iteration = values, task_id, iteration

    def load(self, key: str) -> tuple[bool, Any]:
        place = (self._task_id, self._iteration, key)
        return (True, self._values[place]) if place in self._values else (False, None)

    def save(self, key: str, value: Any) -> None:
        self._values[(self._task_id, self._iteration, key)] = value


class ExecutionContext:
    """What a local run owns: `channels`, `feedback_manager`, results, and the queue of ready tasks."""

    def __init__(
        self, plan: Plan, *, inputs: dict[str, Any] | None = None, max_steps: int | None = None,
        services: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.run_id = str(uuid.uuid4())
        self.plan = plan
        self.services: dict[str, Any] = {"http": HttpPolicy(), "notifier": KeptNotices(), **(services or {})}
        self.state = RunState.for_plan(plan, inputs=inputs, max_steps=max_steps)
        self.channels = MemoryChannels()
        self.state.channels = self.channels.data
        self.inbox: deque[News] = deque()  # news from other threads, folded by the running loop
        self.feedback_manager = FeedbackManager(self._answered)
        self.functions: dict[str, Callable[..., Any]] = {}
        self.step_results: dict[tuple[str, int, str], Any] = {}
        self._other_results: dict[str, Any] = {}
        self._now: Callable[[], float] = lambda: 0.0

    @cached_property
    def wake(self) -> threading.Event:
        """Set whenever news came from another thread."""
        return threading.Event()

    def use_clock(self, clock: Callable[[], float]) -> None:
        self._now = clock

    def _answered(self, request: FeedbackRequest, answer: FeedbackAnswer) -> None:
        self.tell(
            Answered(
                task_id=request.task_id,
                at=self._now(),
                decision=answer.decision,
                feedback_id=answer.feedback_id,
                reason=answer.reason,
                reraise=request.on_reject == "raise",
                data=request.data,
                actor=answer.answered_by,
            )
        )

    def tell(self, news: News) -> None:
        """Hand news to the run from any thread."""
        self.inbox.append(news)
        self.wake.set()

    def get_service(self, name: str) -> Any:
        """`feedback_manager`, `notifier`, `http` (the policy of HTTP steps) or what the workflow was given; else None."""
        return self.feedback_manager if name == "feedback_manager" else self.services.get(name)

    def get_channel(self, name: str) -> Channel:
        """A channel of this run, from outside: writes are seen at once."""
        return Channel(name, self.channels)

    def get_result(self, task_id: str, default: Any = None) -> Any:
        task = self.state.tasks.get(task_id)
        return self._other_results.get(task_id, default) if task is None else task.result

    def set_result(self, task_id: str, value: Any) -> None:
        """Keep the result of work that is done for this run but is no task of its plan."""
        self._other_results[task_id] = value

    def get_task_state(self, task_id: str) -> TaskState:
        return self.state.tasks[task_id]

    @property
    def cycle_controller(self) -> CycleController:
        """Limits and executions so far, by task."""
        controller = CycleController(self.plan.max_cycle)
        for task_id, task in self.plan.tasks.items():
            controller.set_node_max_cycles(task_id, task.max_cycle)
        for task_id, state in self.state.tasks.items():
            controller.cycle_counts[task_id] = state.cycle_count
        return controller


class LocalFeedback:
    """The feedback port of one execution of a local run: requests open at once in the run's manager."""

    def __init__(self, manager: FeedbackManager, clock: Callable[[], float]) -> None:
        self._manager, self._clock = manager, clock

    def lookup(self, request: FeedbackRequest) -> tuple[str, FeedbackAnswer | None, bool]:
        drift = self._manager.was_answered_otherwise(request)
        feedback_id = self._manager.open(request, at=self._clock())
        return feedback_id, self._manager.answer_of(feedback_id), drift
