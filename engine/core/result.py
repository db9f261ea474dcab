"""What a run gave: results, states, history, as its caller reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.core.errors import UnknownTask
from engine.core.history import Entry, Event, number, statuses
from engine.core.routes import HUMAN_SKIP, IGNORED
from engine.core.state import RunState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One try of one iteration. Times are seconds since the epoch; `error` begins with the kind where the
    engine made it (`worker_lost: …`, `timeout: …`).
    """

    iteration: int
    number: int
    worker: str | None
    started_at: float
    ended_at: float | None
    error: str | None
    traceback: str | None


class RunResult:
    """The outcome of `execute()`; covers the whole run, also over several `execute()` calls."""

    def __init__(self, state: RunState, entries: Sequence[Entry], run_id: str) -> None:
        self._state = state
        self._entries = list(entries)
        self.run_id = run_id
        self.status: str = state.status

    @cached_property
    def events(self) -> list[Event]:
        """The whole history in order."""
        return list(number(self._entries))

    @cached_property
    def results(self) -> dict[str, Any]:
        """`{task_id: value}` of the last iteration, for every task that worked; None where a person skipped
        the task or its failure was ignored.
        """
        found: dict[str, Any] = {}
        for task in self._state.tasks.values():
            if task.outcome == "success":
                found[task.task_id] = task.result
            elif task.how in (HUMAN_SKIP, IGNORED) or task.tolerated:
                found[task.task_id] = None
        return found

    def state(self, task_id: str) -> TaskState:
        if task_id not in self._state.tasks:
            raise UnknownTask(task_id, list(self._state.tasks))
        return self._state.tasks[task_id]

    def history(self, task_id: str) -> list[str]:
        """Every status of the task in order, through all its iterations."""
        self.state(task_id)
        return statuses(self.events, task_id) or ["blocked"]

    def reason(self, task_id: str | None = None) -> str | None:
        """Why the task, or the run, ended as it did: `converged`, `cycle_limit`, a reviewer's words, …"""
        return self._state.reason if task_id is None else self.state(task_id).reason

    def error(self, task_id: str) -> str | None:
        """The last error of the task; None after a success."""
        error = self.state(task_id).error
        return None if error is None else str(error)

    def attempts(self, task_id: str) -> list[AttemptRecord]:
        """Every try of the task in order. A try that waited for a person goes on as the same one."""
        self.state(task_id)
        return _attempts(event for event in self.events if event.task_id == task_id and event.type == "task_status")

    def __repr__(self) -> str:
        return f"RunResult(status={self.status!r}, results={self.results!r})"

    def __str__(self) -> str:
        reason = f" ({self._state.reason})" if self._state.reason else ""
        lines = [f"run {self.run_id}: {self.status}{reason}"]
        for task in self._state.tasks.values():
            count = f" ×{task.iteration}" if task.iteration > 1 else ""
            detail = f": {task.error}" if task.error else f" ({task.reason})" if task.reason else ""
            lines.append(f"  {task.task_id}{count}  {task.outcome or task.status.value}{detail}")
        return "\n".join(lines)


def _attempts(events: Any) -> list[AttemptRecord]:
    found: list[dict[str, Any]] = []
    for event in events:
        data: Mapping[str, Any] = event.data or {}
        if event.to == "running":
            resumed = found and (found[-1]["iteration"], found[-1]["number"]) == (event.iteration, event.attempt)
            if not resumed:
                found.append({
                    "iteration": event.iteration, "number": event.attempt, "worker": data.get("worker"),
                    "started_at": event.at, "ended_at": None, "error": None, "traceback": None,
                })  # fmt: skip
        elif event.from_ == "running" and found:
            found[-1]["ended_at"] = event.at
            if event.to == "error":
                found[-1]["error"], found[-1]["traceback"] = data.get("error"), data.get("traceback")
    return [AttemptRecord(**values) for values in found]
