"""Figures of one or many runs, as a fold over their events: the same live and after the fact."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.core.history import Event


@dataclass(slots=True)
class TaskFigures:
    """Successful and failed tries of one task; times in seconds."""

    tasks_executed: int = 0
    tasks_failed: int = 0
    total_time: float = 0.0
    first: float | None = None  # when the first try began, and the last one ended
    last: float = 0.0

    @property
    def uptime(self) -> float:
        """Seconds from the start of the first try to the end of the last."""
        return 0.0 if self.first is None else self.last - self.first

    @property
    def average_execution_time(self) -> float:
        tries = self.tasks_executed + self.tasks_failed
        return self.total_time / tries if tries else 0.0

    def record(self, duration: float, success: bool) -> None:
        self.total_time += duration
        if success:
            self.tasks_executed += 1
        else:
            self.tasks_failed += 1


@dataclass
class WorkflowMonitor:
    """Counts tries: `tasks_executed` worked, `tasks_failed` did not, the average is over both (seconds)."""

    by_task: dict[str, TaskFigures] = field(default_factory=dict)
    _total: TaskFigures = field(default_factory=TaskFigures)
    _running: dict[str, float] = field(default_factory=dict)
    _first: float | None = None
    _last: float | None = None
    _born: float = field(default_factory=time.monotonic)

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> WorkflowMonitor:
        """The figures after `events`; uptime is the time from the first to the last of them."""
        monitor = cls()
        for event in events:
            monitor.feed(event)
        return monitor

    def feed(self, event: Event) -> None:
        """Fold one event in; they must come in order."""
        self._first = event.at if self._first is None else self._first
        self._last = event.at
        if event.type != "task_status" or event.task_id is None:
            return
        if event.to == "running":
            self._running[event.task_id] = event.at
            figures = self.by_task.setdefault(event.task_id, TaskFigures())
            figures.first = event.at if figures.first is None else figures.first
            figures.last = event.at
        elif event.from_ == "running" and event.to in ("success", "planned", "error"):
            started = self._running.pop(event.task_id, event.at)
            self.record_task_execution(event.task_id, event.at - started, event.to != "error")
            self.by_task[event.task_id].last = event.at

    def record_task_execution(self, task_id: str, duration_s: float, success: bool) -> None:
        self._total.record(duration_s, success)
        self.by_task.setdefault(task_id, TaskFigures()).record(duration_s, success)

    @property
    def tasks_executed(self) -> int:
        return self._total.tasks_executed

    @property
    def tasks_failed(self) -> int:
        return self._total.tasks_failed

    @property
    def average_execution_time(self) -> float:
        return self._total.average_execution_time

    @property
    def uptime(self) -> float:
        """Seconds between the first and the last event, or since this monitor was made."""
        if self._first is None or self._last is None:
            return time.monotonic() - self._born
        return self._last - self._first
