"""The plan: the checked, frozen form of a definition that the engine follows.

Made by `compile`, read by `machine`. Edges are named by their index, groups and tasks by their id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.expression import Expression

HUMAN_KINDS = frozenset({"approval", "text", "choice", "form"})
INLINE_KINDS = HUMAN_KINDS | {"branch", "transform", "delay", "map", "workflow", "notify"}
"""Kinds carried out in place by whoever holds the run; all others need a worker."""
UNATTENDED_KINDS = frozenset({"delay", "workflow"})
"""Kinds that stay running without anybody working on them here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converge:
    """Two passes in a row closer than `tolerance`, `patience` times: the loop has converged."""

    tolerance: float
    value: Expression | None = None  # None: the task's own result
    patience: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTask:
    """One task with its effective settings. Times are in seconds; `max_cycle` 0 means no limit.

    `out` are its forward edges, `groups` the groups it is a member of, `closes` the loop edges it is the
    source of, `loops` every loop whose body it is in (inner before outer), `inputs` its forward edges in.
    """

    id: str
    kind: str
    uses: str | None = None
    label: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # prompt, data, options, … of its kind
    max_cycle: int = 10
    max_cycle_from: str = "engine"  # or "task" (set in the definition), "code", "workflow"
    max_retries: int = 3
    retry_delay: float = 1.0
    backoff: float = 2.0
    timeout: float | None = None
    priority: int = 0
    queue: str | None = None
    join: str | int = "all_done"
    on_error: str = "fail"
    on_max_cycle: str = "stop"
    converge: Converge | None = None
    out: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    loops: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEdge:
    """`source` is a task or a group, `target` a task. `leaves`: loops that must have ended before it fires.

    For a loop edge `loop` is the index of its loop, `heads` the tasks it starts again, `again` all tasks
    that begin a new life with it (`again_groups` groups, `renews` both), `forgets` the edges whose firing ends with
    the old life, `resets` those whose cycle counts begin anew and `rules` what its convergence goes by: its own rule,
    its source's and its heads'. It is taken as often as its `limited` tasks may run.
    """

    index: int
    source: str
    target: str
    on: str = "success"
    when: Expression | None = None
    converge: Converge | None = None
    leaves: tuple[int, ...] = ()
    loop: int | None = None
    heads: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    again_groups: tuple[str, ...] = ()
    renews: frozenset[str] = frozenset()
    forgets: frozenset[int] = frozenset()
    rules: tuple[tuple[str, Converge, str], ...] = ()  # (where its memory is kept, rule, whose value)
    resets: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanGroup:
    """A barrier: its edges are decided when all members have ended. `leaves` maps members to loops that
    must have ended before the member counts as arrived.
    """

    id: str
    members: tuple[str, ...]
    policy: str | Mapping[str, Any] = "strict"
    out: tuple[int, ...] = ()
    closes: tuple[int, ...] = ()
    leaves: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    loops: tuple[int, ...] = ()


_DYNAMIC_SETTINGS = frozenset({
    "max_cycle", "max_retries", "retry_delay", "backoff", "timeout", "priority", "queue", "on_error", "on_max_cycle",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLoop:
    """A loop: its loop edges, heads and body. `exits` are the forward edges out of the body, `members` the
    group arrivals that wait for its end.
    """

    index: int
    edges: tuple[int, ...]
    heads: tuple[str, ...]
    body: frozenset[str]
    exits: tuple[int, ...] = ()
    members: tuple[tuple[str, str], ...] = ()  # (task, group)


@dataclass(frozen=True, slots=True)
class PlainLoop:
    """A loop whose only edge goes round whenever its body has worked, up to the limit: see `core.plain`.

    `heads` come with their limits, `members` are the tasks that begin a new life beside them, `limits` those of them
    with a limit of their own; `fired` and `forgets` are the edge and those whose firing ends with the old life; `told`
    is what every pass writes into the history.
    """

    index: int
    heads: tuple[tuple[str, int], ...]
    limits: tuple[tuple[str, int], ...]
    members: tuple[str, ...]
    fired: int
    forgets: frozenset[int]
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlainTask:
    """A task whose success follows the simplest rules: see `core.plain`. `out` holds, per edge within all its
    loops, its index, its target, how many edges the target waits for and the target's loops; `closes` its loop
    edges (index as text) with their loops; `round` the one loop it is in, where that is a plain one.
    """

    id: str
    out: tuple[tuple[int, str, int, tuple[int, ...]], ...]
    groups: tuple[str, ...]
    loops: tuple[int, ...]
    closes: tuple[tuple[str, int], ...]
    round: PlainLoop | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A workflow ready to run. `order` lists loops from the innermost out; `plain` holds the tasks that
    `core.plain` may finish; `deadline` is what a durable run may take, in seconds.
    """

    name: str
    tasks: Mapping[str, PlanTask]
    edges: tuple[PlanEdge, ...]
    groups: Mapping[str, PlanGroup]
    loops: tuple[PlanLoop, ...]
    order: tuple[int, ...]
    starts: tuple[str, ...]
    on_error: str = "continue"
    execution_mode: str = "sequential"
    max_retries: int = 3
    max_cycle: int = 10
    retry_delay: float = 1.0
    backoff: float = 2.0
    deadline: float | None = None
    inputs_schema: Mapping[str, Any] | None = None
    plain: Mapping[str, PlainTask] = field(default_factory=dict)

    def dynamic(self, task_id: str, uses: str | None, settings: Mapping[str, Any] | None = None) -> PlanTask:
        """A task made while running: its function's settings over the workflow's defaults."""
        defaults = {
            "max_cycle": self.max_cycle, "max_retries": self.max_retries,
            "retry_delay": self.retry_delay, "backoff": self.backoff,
        }  # fmt: skip
        usable = {key: value for key, value in (settings or {}).items() if key in _DYNAMIC_SETTINGS}
        return PlanTask(**{**defaults, **usable}, id=task_id, kind="task", uses=uses, label=task_id)

    def successors(self, task_id: str) -> frozenset[str]:
        """Tasks whose joins an end of `task_id` may touch: what a store should load along with it."""
        task = self.tasks.get(task_id)
        if task is None:
            return frozenset()
        found = {self.edges[index].target for index in task.out}
        for group_id in task.groups:
            found.update(self.edges[index].target for index in self.groups[group_id].out)
        return frozenset(found)

    def sources(self, task_id: str) -> frozenset[str]:
        """Tasks whose results may fill the arguments of `task_id`."""
        found: set[str] = set()
        for edge in self.edges_into(task_id):
            found.update(self.members_of(edge.source))
        return frozenset(found)

    def edges_into(self, task_id: str) -> list[PlanEdge]:
        """Forward edges into `task_id`, then the loop edges that start it again."""
        task = self.tasks.get(task_id)
        if task is None:
            return []
        forward = [self.edges[index] for index in task.inputs]
        back = [self.edges[i] for loop in self.loops for i in loop.edges if task_id in self.edges[i].heads]
        return forward + back

    def members_of(self, source: str) -> tuple[str, ...]:
        """The tasks behind one end of an edge: a group's members, or the task itself."""
        group = self.groups.get(source)
        return group.members if group is not None else (source,)
