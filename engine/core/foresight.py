"""What surely comes next in a run if everything works: for a store that takes several steps at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from engine.core.plan import Plan
from engine.core.state import RunState, TaskStatus


def foreseen(plan: Plan, state: RunState, begun: Sequence[str], most: int) -> list[str]:
    """Up to `most` tasks that become ready, in this order, if those in `begun` work and then they themselves do.

    Only tasks in no loop and no group, over edges without a condition: nothing but a failure, or a wish of a body, can
    make it come otherwise. Empty where that is not so.
    """
    if not all(_is_straight(plan, key) for key in begun):
        return []
    worked, found, queue = set(begun), list[str](), deque(begun)
    while queue:
        for _, target, _, _ in plan.plain[queue.popleft()].out:
            if target in worked or not _will_be_ready(plan, state, target, worked):
                continue
            if len(found) == most or not _is_straight(plan, target):
                return found
            worked.add(target)
            found.append(target)
            queue.append(target)
    return found


def near(plan: Plan, begun: Sequence[str], most: int) -> set[str]:
    """What `foreseen` may have to look at: for a store to read it at once."""
    found, queue = set(begun), deque(begun)
    while queue and len(found) <= most + len(begun):
        plain = plan.plain.get(queue.popleft())
        for _, target, _, _ in plain.out if plain is not None else ():
            if target not in found:
                found.add(target)
                queue.append(target)
    return found | {source for key in found for source in plan.sources(key)}


def _is_straight(plan: Plan, key: str) -> bool:
    plain = plan.plain.get(key)
    return plain is not None and not plain.groups and not plain.loops and not plain.closes


def _will_be_ready(plan: Plan, state: RunState, key: str, worked: set[str]) -> bool:
    for index in plan.tasks[key].inputs:
        source = plan.edges[index].source
        if not _is_straight(plan, source):
            return False
        if source not in worked and not _has_worked(state, source):
            return False
    return state.tasks[key].status is TaskStatus.BLOCKED


def _has_worked(state: RunState, key: str) -> bool:
    task = state.tasks[key]
    return task.status is TaskStatus.COMPLETED and task.outcome == "success"


__all__ = ["foreseen", "near"]
