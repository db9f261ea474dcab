"""Loops: where they are in a graph, how often they may go round, and when they have converged.

Pure: no clock, database or logging. Callers bring the facts and act on the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from engine.core.graph import reachable
from engine.core.plan import PlanEdge, PlanLoop

HARD_MAX_CYCLE = 10_000
"""No task runs more often than this per entry into its loop, even without a limit of its own."""


class CycleController:
    """Counts executions per task and says whether one more is allowed. A limit of 0 means HARD_MAX_CYCLE."""

    def __init__(self, default_max_iterations: int = 100) -> None:
        self.default_max_iterations = default_max_iterations
        self.cycle_counts: dict[str, int] = {}
        self.node_max_cycles: dict[str, int] = {}

    def set_node_max_cycles(self, node_id: str, max_cycles: int) -> None:
        self.node_max_cycles[node_id] = max_cycles

    def get_max_cycles_for_node(self, node_id: str) -> int:
        return self.node_max_cycles.get(node_id, self.default_max_iterations)

    def can_execute(self, node_id: str, iteration: int | None = None) -> bool:
        """Whether `node_id` may run after `iteration` executions (by default those registered)."""
        done = self.cycle_counts.get(node_id, 0) if iteration is None else iteration
        return may_run_again(self.get_max_cycles_for_node(node_id), done)

    def register_cycle(self, node_id: str) -> int:
        self.cycle_counts[node_id] = self.cycle_counts.get(node_id, 0) + 1
        return self.cycle_counts[node_id]


def may_run_again(limit: int, done: int) -> bool:
    """Whether a task with this limit may run once more after `done` executions."""
    return done < (limit or HARD_MAX_CYCLE)


class ConvergenceDetector:
    """Says when a task's value stands still. Remembers the last value per task, not the history."""

    def __init__(self, tolerance: float = 1e-6, patience: int = 1) -> None:
        self.tolerance, self.patience = tolerance, patience
        self._last: dict[str, Any] = {}
        self._steady: dict[str, int] = {}

    def check_convergence(self, task_id: str, current_state: Any) -> bool:
        """True when `current_state` and `patience - 1` values before it were close to their predecessors."""
        known = task_id in self._last
        close = known and is_close(self._last[task_id], current_state, self.tolerance)
        self._last[task_id] = current_state
        self._steady[task_id] = self._steady.get(task_id, 0) + 1 if close else 0
        return self._steady[task_id] >= self.patience

    def reset(self, task_id: str) -> None:
        self._last.pop(task_id, None)
        self._steady.pop(task_id, None)


def is_close(previous: Any, current: Any, tolerance: float) -> bool:
    """Numbers: absolute difference strictly below `tolerance`; lists and dicts leaf by leaf; others: equal."""
    if _is_number(previous) and _is_number(current):
        if math.isnan(previous) or math.isnan(current):
            return False
        return bool(previous == current or abs(current - previous) < tolerance)
    if isinstance(previous, dict) and isinstance(current, dict):
        return previous.keys() == current.keys() and all(
            is_close(previous[key], current[key], tolerance) for key in previous
        )
    if isinstance(previous, (list, tuple)) and isinstance(current, (list, tuple)):
        return len(previous) == len(current) and all(
            is_close(a, b, tolerance) for a, b in zip(previous, current, strict=True)
        )
    return bool(previous == current)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """What `find_loops` found. `containing` lists the loops around a node, inner before outer;
    `member_leaves[group][member]` the loops that must end before the member counts as arrived.
    """

    loops: list[PlanLoop]
    edges: list[PlanEdge]
    order: tuple[int, ...]
    containing: Mapping[str, tuple[int, ...]]
    member_leaves: Mapping[str, Mapping[str, tuple[int, ...]]]


@dataclass(slots=True)
class _Loop:
    edges: list[int]
    heads: frozenset[str]
    sources: frozenset[str]
    body: frozenset[str] = frozenset()


def find_loops(
    *, nodes: Sequence[str], groups: Mapping[str, tuple[str, ...]], edges: Sequence[PlanEdge], loop_edges: Sequence[int]
) -> Loops:
    """Bodies, exits and order of the loops that `loop_edges` close. Without them the graph must be acyclic.

    The body of a loop edge s → t is everything on forward paths from t to s. Loops that would wait for each
    other's end (one head, two branches that each lead back to it) are one loop with several loop edges.
    """
    if not loop_edges:
        return Loops(loops=[], edges=list(edges), order=(), containing={}, member_leaves={})
    is_loop = set(loop_edges)
    arcs = [(edge.source, edge.target) for edge in edges if edge.index not in is_loop]
    arcs += [(member, group) for group, members in groups.items() for member in members]
    out: dict[str, list[str]] = {}
    into: dict[str, list[str]] = {}
    for source, target in arcs:
        out.setdefault(source, []).append(target)
        into.setdefault(target, []).append(source)
    found = [_Loop([index], frozenset(edges[index].heads), frozenset([edges[index].source])) for index in loop_edges]
    found = _merge(found, out, into)
    found.sort(key=lambda loop: loop.edges[0])
    order = tuple(sorted(range(len(found)), key=lambda i: (len(found[i].body), found[i].edges[0])))
    containing = {node: tuple(i for i in order if node in found[i].body) for node in nodes}
    containing = {node: indexes for node, indexes in containing.items() if indexes}

    def left_by(source: str, target: str) -> tuple[int, ...]:
        return tuple(i for i in containing.get(source, ()) if target not in found[i].body)

    finished = [
        _loop_edge(edge, found, groups, edges, out)
        if edge.index in is_loop
        else replace(edge, leaves=left_by(edge.source, edge.target))
        for edge in edges
    ]
    member_leaves = {
        group: {member: left for member in members if (left := left_by(member, group))}
        for group, members in groups.items()
    }
    loops = [
        PlanLoop(
            index=i, edges=tuple(loop.edges), heads=tuple(sorted(loop.heads)), body=loop.body,
            exits=tuple(edge.index for edge in finished if i in edge.leaves),
            members=tuple((member, group) for group, left in member_leaves.items() for member, indexes in left.items() if i in indexes),
        )
        for i, loop in enumerate(found)
    ]  # fmt: skip
    return Loops(loops=loops, edges=finished, order=order, containing=containing, member_leaves=member_leaves)


def _merge(found: list[_Loop], out: dict[str, list[str]], into: dict[str, list[str]]) -> list[_Loop]:
    """Unite loops until none waits, directly or around a corner, for its own end."""
    while True:
        for loop in found:
            loop.body = frozenset(reachable(loop.heads, out) & reachable(loop.sources, into))
        behind = [{target for node in loop.body for target in out.get(node, ())} - loop.body for loop in found]
        waits: nx.DiGraph[int] = nx.DiGraph()
        waits.add_nodes_from(range(len(found)))
        for i, loop in enumerate(found):
            before = reachable(loop.sources, into)
            waits.add_edges_from((i, j) for j in range(len(found)) if i != j and not behind[j].isdisjoint(before))
        parts = [part for part in nx.strongly_connected_components(waits) if len(part) > 1]
        if not parts:
            return found
        merged = set().union(*parts)
        found = [loop for i, loop in enumerate(found) if i not in merged] + [
            _Loop(
                sorted(index for i in part for index in found[i].edges),
                frozenset().union(*(found[i].heads for i in part)),
                frozenset().union(*(found[i].sources for i in part)),
            )
            for part in parts
        ]


def _loop_edge(
    edge: PlanEdge, found: list[_Loop], groups: Mapping[str, tuple[str, ...]], edges: Sequence[PlanEdge],
    out: dict[str, list[str]],
) -> PlanEdge:  # fmt: skip
    index = next(i for i, loop in enumerate(found) if edge.index in loop.edges)
    body = found[index].body
    inside = {node: [target for target in out.get(node, ()) if target in body] for node in body}
    again = reachable(edge.heads, inside)
    behind = again - set(edge.heads)
    # What the heads of other loop edges count begins anew with a pass that reaches them from before. A pass reaches
    # forward only, so that no two loop edges can hand each other new counts for ever.
    entered = behind & frozenset().union(*(loop.heads for loop in found))
    for i, loop in enumerate(found):
        if i != index and (loop.body < body or loop.heads & behind):
            entered |= loop.body & behind
    tasks = [node for node in again if node not in groups]
    return replace(
        edge,
        loop=index,
        again=tuple(sorted(tasks)),
        again_groups=tuple(sorted(node for node in again if node in groups)),
        renews=frozenset(again),
        forgets=frozenset(other.index for other in edges if other.heads or other.source in again),
        resets=tuple(sorted(node for node in entered if node not in groups)),
    )
