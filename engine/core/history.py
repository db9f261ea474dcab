"""The history of a run: entries in order, never edited. Folding them gives the state back.

The machine appends plain tuples (`Entry`), because a run of a hundred thousand tasks makes half a million
of them; readers see them as `Event`s with their place `seq`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Entry = tuple[str, str | None, str | None, str | None, int, int, float, dict[str, Any] | None]
"""type, task_id, from, to, iteration, attempt, at, data"""

EVENT_TYPES = (
    "run_status",  # from, to: the run's status; data: reason
    "task_status",  # from, to: the task's status; data: outcome, reason, error, worker, …
    "task_created",  # a task made while running, or a new life in a loop; data: parent
    "loop_taken",  # task_id: the head; data: loop, source, passes
    "loop_ended",  # task_id: the head; data: loop, reason
    "iteration_refused",  # next_iteration beyond its limit; data: limit
    "feedback_requested",
    "feedback_answered",
    "delay_started",  # data: due
    "workflow_started",  # data: workflow, version
    "notified",  # data: to, webhook
    "convergence_unknown",  # a loop's value could not be computed; data: error
)


class Event(NamedTuple):
    """One line of a run's history. `seq` counts from 1 without gaps; `at` is in seconds since the epoch."""

    seq: int
    type: str
    task_id: str | None
    from_: str | None
    to: str | None
    iteration: int
    attempt: int
    at: float
    data: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form of REST and sockets (times are added there)."""
        return {
            "seq": self.seq,
            "type": self.type,
            "task_id": self.task_id,
            "from": self.from_,
            "to": self.to,
            "iteration": self.iteration,
            "attempt": self.attempt,
            "at": self.at,
            "data": self.data or {},
        }


READY_IN_SHORT, DONE_IN_SHORT = "ready", "done"
PLANNED_IN_SHORT = "planned"
"""Entries of `core.plain`: (READY_IN_SHORT, task, iteration, at); (DONE_IN_SHORT or PLANNED_IN_SHORT, task,
iteration, started, ended).
"""


def number(entries: Iterable[tuple[Any, ...]], *, after: int = 0) -> Iterator[Event]:
    """Events for `entries` that follow event `after`; those in short form become the events they stand for."""
    seq = after
    for entry in entries:
        for full in _in_full(entry):
            seq += 1
            yield Event(seq, *full)


def _in_full(entry: tuple[Any, ...]) -> tuple[Entry, ...]:
    kind = entry[0]
    if kind == DONE_IN_SHORT:
        _, task_id, round_, started, ended = entry
        return (
            ("task_status", task_id, "ready", "running", round_, 1, started, None),
            ("task_status", task_id, "running", "success", round_, 1, ended, None),
            ("task_status", task_id, "success", "completed", round_, 1, ended, {"outcome": "success"}),
        )
    if kind == PLANNED_IN_SHORT:
        _, task_id, round_, started, ended = entry
        return (
            ("task_status", task_id, "ready", "running", round_, 1, started, None),
            ("task_status", task_id, "running", "planned", round_, 1, ended, None),
        )
    if kind == READY_IN_SHORT:
        return (("task_status", entry[1], "blocked", "ready", entry[2], 1, entry[3], None),)
    return (entry,)


def statuses(events: Iterable[Event], task_id: str) -> list[str]:
    """Every status of one task in order, through all its iterations. A life begins `blocked`."""
    seen: list[str] = []
    for event in events:
        if event.task_id == task_id and event.type in ("task_status", "task_created"):
            if not seen and event.type == "task_status" and event.from_ is not None:
                seen.append(event.from_)
            if event.to is not None:
                seen.append(event.to)
    return seen
