"""Drives the machine by hand: `Scenario("a >> (b | c) >> d").succeed("a", "b").status("d")`."""

from __future__ import annotations

from typing import Any, Self

from engine.core import news as n
from engine.core.feedback import build_request
from engine.core.history import number, statuses
from engine.core.machine import advance
from engine.core.state import RunState
from engine.core.task import TaskWrapper
from engine.core.workflow import WorkflowContext


def nothing() -> None:
    return None


class Scenario:
    """One run whose bodies are played by the test. `tasks` are settings by task name."""

    def __init__(self, drawing: str = "", *, tasks: dict[str, dict[str, Any]] | None = None, **settings: Any) -> None:
        self.workflow = WorkflowContext("scenario", **settings)
        made = _Names(tasks or {})
        with self.workflow:
            for line in drawing.split(";"):
                if line.strip():
                    part = eval(line, {"__builtins__": {}}, made)
                    self.workflow.add(part)
        self.made = made
        self.now = 1000.0
        self.commands: list[n.Command] = []
        self._state: RunState | None = None

    def edge(self, source: str, target: str, **given: Any) -> Self:
        self.workflow.add_edge(self.made[source], self.made[target], **given)
        return self

    @property
    def state(self) -> RunState:
        if self._state is None:
            self.plan = self.workflow.plan()
            self._state = RunState.for_plan(self.plan)
            self.tell(n.RunStarted(self.now))
        return self._state

    def tell(self, news: n.News) -> Self:
        state = self.state
        decision = advance(self.plan, state, news)
        self.commands.extend(decision.commands)
        return self

    def start(self, *names: str) -> Self:
        for name in names:
            self.tell(n.TaskStarted(name, self._tick()))
        return self

    def succeed(self, *names: str, value: Any = None, **wishes: Any) -> Self:
        for name in names:
            self.start(name).tell(n.TaskFinished(name, self._tick(), value, n.Wishes(**wishes) if wishes else None))
        return self

    def fail(self, *names: str, retryable: bool = False, **more: Any) -> Self:
        for name in names:
            news = n.TaskFailed(task_id=name, at=self._tick(), error="broken", retryable=retryable, **more)
            self.start(name).tell(news)
        return self

    def ask(self, name: str) -> Self:
        request = build_request(name, 1, "#1", {"seen": name})
        return self.start(name).tell(n.TaskSuspended(task_id=name, at=self._tick(), requests=(request,)))

    def answer(self, name: str, decision: Any, **more: Any) -> Self:
        return self.tell(n.Answered(task_id=name, at=self._tick(), decision=decision, **more))

    def status(self, name: str) -> str:
        return self.state.tasks[name].status.value

    def history(self, name: str) -> list[str]:
        self.state
        return statuses(number(self.state.log), name)

    def iteration(self, name: str) -> int:
        return self.state.tasks[name].iteration

    def _tick(self) -> float:
        self.now += 1.0
        return self.now


class _Names(dict[str, Any]):
    def __init__(self, settings: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self._settings = settings

    def __missing__(self, name: str) -> TaskWrapper:
        self[name] = TaskWrapper(name, nothing, **self._settings.get(name, {}))
        return self[name]
