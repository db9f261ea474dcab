"""One change of a run while it is being worked out: moves, counters, the entries and commands it yields.

`machine`, `routes` and `rounds` share it. A Fold lives for one `advance`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from engine.core.errors import IllegalTransition
from engine.core.history import Entry
from engine.core.news import Command, RunTask
from engine.core.plan import Plan, PlanTask
from engine.core.state import ACTIVE, LEGAL_MOVES, RunState, TaskState, TaskStatus, begin_iteration

_READY, _COMPLETED, _BLOCKED = TaskStatus.READY, TaskStatus.COMPLETED, TaskStatus.BLOCKED
_ASKING = TaskStatus.FEEDBACK_REQUIRED


def _weights(status: TaskStatus) -> tuple[int, int, int, int]:
    """What a task of this status adds to live, asking and open of its run, and to live of its loops."""
    live, asking = status in ACTIVE, status is _ASKING
    return int(live), int(asking), int(status is not _COMPLETED), int(live or asking)


_EFFECTS = {
    before: {
        to: tuple(b - a for a, b in zip(_weights(before), _weights(to), strict=True)) for to in LEGAL_MOVES[before]
    }
    for before in TaskStatus
}
"""Every legal move with what it does to the counters."""


class Decision:
    """What a piece of news changed: history entries in order, commands to carry out, ids of changed tasks.

    Falsy when nothing changed.
    """

    __slots__ = ("changed", "commands", "entries")

    def __init__(self, entries: list[Entry], commands: list[Command], changed: set[str]) -> None:
        self.entries, self.commands, self.changed = entries, commands, changed

    def __bool__(self) -> bool:
        return bool(self.entries or self.commands)


class Fold:
    """Primitives that keep the counters of a run true. `queue` holds ends (node id, how) still to be routed,
    `quiet` loops that may have to be decided.
    """

    __slots__ = ("begin", "changed", "commands", "log", "now", "plan", "queue", "quiet", "state", "whens")

    def __init__(self, plan: Plan, state: RunState, now: float) -> None:
        self.plan, self.state, self.now = plan, state, now
        self.log = state.log
        self.begin = len(state.log)
        self.commands: list[Command] = []
        self.changed: set[str] = set()
        self.queue: deque[tuple[str, str]] = deque()
        self.quiet: set[int] = set()
        self.whens: dict[int, bool] = {}

    def task(self, state: TaskState) -> PlanTask:
        """The settings of a planned or dynamic task."""
        planned = self.plan.tasks.get(state.task_id)
        return planned if planned is not None else self.plan.dynamic(state.task_id, state.uses, state.settings)

    def loops_of(self, state: TaskState) -> tuple[int, ...]:
        """Loops whose body holds the task; a joined child counts with its parent."""
        planned = self.plan.tasks.get(state.task_id)
        if planned is not None:
            return planned.loops
        if state.joined and state.parent is not None:
            return self.loops_of(self.state.tasks[state.parent])
        return ()

    def move(self, task: TaskState, to: TaskStatus, data: dict[str, Any] | None = None) -> None:
        """One legal move, its entry and its effect on the counters. Raises IllegalTransition."""
        before = task.status
        effect = _EFFECTS[before].get(to)
        if effect is None:
            raise IllegalTransition(task.task_id, before.value, to.value)
        task.status = to
        task.at = self.now
        self.log.append(
            ("task_status", task.task_id, before._value_, to._value_, task.iteration, task.attempt, self.now, data)
        )
        self.changed.add(task.task_id)
        state, (live, asking, open_, busy) = self.state, effect
        state.live += live
        state.asking += asking
        state.open += open_
        if busy and state.loops:
            for index in self.loops_of(task):
                loop = state.loops[index]
                loop.live += busy
                if not loop.live:
                    self.quiet.add(index)

    def note(self, kind: str, task: TaskState | None = None, data: dict[str, Any] | None = None) -> None:
        """An entry that is no move."""
        if task is None:
            self.log.append((kind, None, None, None, 0, 0, self.now, data))
        else:
            self.log.append((kind, task.task_id, None, None, task.iteration, task.attempt, self.now, data))

    def ready(self, task: TaskState) -> None:
        """blocked, planned, … → ready, and have it carried out."""
        self.move(task, _READY)
        self.commands.append(RunTask(task.task_id))

    def begin_iteration(self, task: TaskState) -> None:
        begin_iteration(task)
        self.changed.add(task.task_id)

    def new_life(self, task: TaskState) -> None:
        """The task waits again, one iteration on."""
        before = task.status
        self.begin_iteration(task)
        task.status, task.at = _BLOCKED, self.now
        if before is _COMPLETED:
            self.state.open += 1
        self.log.append(("task_created", task.task_id, None, "blocked", task.iteration, task.attempt, self.now, None))

    def run_status(self, to: str, data: dict[str, Any] | None = None) -> None:
        state = self.state
        if state.status != to:
            self.log.append(("run_status", None, state.status, to, 0, 0, self.now, data))
            state.status = to

    def decision(self) -> Decision:
        log = self.log
        return Decision(log[self.begin :] if self.begin else list(log), self.commands, self.changed)
