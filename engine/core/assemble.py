"""The last step of compiling: checked parts become a plan in which everything is named by index.

Nothing is refused here; `compile` has found every problem before, or looks at the plan afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.cycle import Loops, find_loops
from engine.core.definition import Group
from engine.core.plain import plain_tasks
from engine.core.plan import Plan, PlanEdge, PlanGroup, PlanTask


def assemble(
    *,
    name: str,
    defaults: Mapping[str, Any],
    inputs_schema: Mapping[str, Any] | None,
    tasks: Mapping[str, PlanTask],
    edges: Sequence[tuple[PlanEdge, bool]],
    groups: Mapping[str, Group],
    starts: tuple[str, ...],
) -> Plan:
    """The plan of these tasks and edges; an edge comes with whether it is a loop edge."""
    members = {group.id: tuple(group.members) for group in groups.values()}
    expanded = _expand_groups(edges, members)
    loops = find_loops(
        nodes=[*tasks, *groups],
        groups=members,
        edges=expanded,
        loop_edges=[edge.index for edge in expanded if edge.heads],
    )
    final = [_ruled(edge, tasks) if edge.loop is not None else edge for edge in loops.edges]
    ends = _Ends.of(final, members)
    placed = {task_id: ends.placed(task, loops.containing.get(task_id, ())) for task_id, task in tasks.items()}
    plan_groups = {group.id: ends.grouped(group, loops) for group in groups.values()}
    return Plan(
        name=name,
        tasks=placed,
        edges=tuple(final),
        groups=plan_groups,
        loops=tuple(loops.loops),
        order=loops.order,
        starts=starts,
        on_error=defaults["on_error"],
        execution_mode=defaults["execution_mode"],
        max_retries=defaults["max_retries"],
        max_cycle=defaults["max_cycle"],
        retry_delay=defaults["retry_delay"],
        backoff=defaults["backoff"],
        deadline=defaults["deadline"],
        inputs_schema=inputs_schema,
        plain=plain_tasks(placed, final, plan_groups, loops.loops),
    )


@dataclass(frozen=True, slots=True)
class _Ends:
    """By task or group: the edges that leave it, lead to it and close a loop from it, and the groups it is a member of."""

    out: dict[str, list[int]]
    inputs: dict[str, list[int]]
    closes: dict[str, list[int]]
    groups: dict[str, list[str]]

    @classmethod
    def of(cls, edges: Sequence[PlanEdge], members: Mapping[str, tuple[str, ...]]) -> _Ends:
        ends = cls({}, {}, {}, {})
        for edge in edges:
            if edge.loop is not None:
                ends.closes.setdefault(edge.source, []).append(edge.index)
            else:
                ends.out.setdefault(edge.source, []).append(edge.index)
                ends.inputs.setdefault(edge.target, []).append(edge.index)
        for group_id, names in members.items():
            for member in names:
                ends.groups.setdefault(member, []).append(group_id)
        return ends

    def placed(self, task: PlanTask, loops: tuple[int, ...]) -> PlanTask:
        values = {name: getattr(task, name) for name in PlanTask.__slots__}
        values |= {name: tuple(getattr(self, name).get(task.id, ())) for name in ("out", "inputs", "closes", "groups")}
        return PlanTask(**values | {"loops": loops})

    def grouped(self, group: Group, loops: Loops) -> PlanGroup:
        return PlanGroup(
            id=group.id,
            members=tuple(group.members),
            policy=group.policy,
            out=tuple(self.out.get(group.id, ())),
            closes=tuple(self.closes.get(group.id, ())),
            leaves=loops.member_leaves.get(group.id, {}),
            loops=loops.containing.get(group.id, ()),
        )


def _expand_groups(edges: Sequence[tuple[PlanEdge, bool]], members: Mapping[str, tuple[str, ...]]) -> list[PlanEdge]:
    """Edges by final index: a forward edge to a group becomes one per member, a loop edge stays one with heads."""
    expanded: list[PlanEdge] = []
    for edge, is_loop in edges:
        first = len(expanded)
        targets = members.get(edge.target, (edge.target,))
        if is_loop:
            expanded.append(_copy(edge, index=first, heads=targets))
        elif edge.index == first and targets == (edge.target,):
            expanded.append(edge)
        else:
            expanded += [_copy(edge, index=first + n, target=target) for n, target in enumerate(targets)]
    return expanded


def _copy(edge: PlanEdge, **changes: Any) -> PlanEdge:
    return PlanEdge(**{**{name: getattr(edge, name) for name in PlanEdge.__slots__}, **changes})


def _ruled(edge: PlanEdge, tasks: Mapping[str, PlanTask]) -> PlanEdge:
    """A loop edge with everything its convergence and its limit go by."""
    rules = [] if edge.converge is None else [(str(edge.index), edge.converge, edge.source)]
    for task_id in dict.fromkeys((edge.source, *edge.heads)):
        task = tasks.get(task_id)
        if task is not None and task.converge is not None:
            rules.append((f"{edge.index}:{task_id}", task.converge, task_id))
    # A limit of its own binds a task of the body too, if its count does not begin anew with this edge. The workflow's
    # default is there for the loop, that is for the heads.
    own = (
        task_id
        for task_id in edge.again
        if task_id not in edge.heads
        and task_id not in edge.resets
        and tasks[task_id].max_cycle
        and tasks[task_id].max_cycle_from in ("task", "code")
    )
    return _copy(edge, rules=tuple(rules), limited=(*edge.heads, *own))
