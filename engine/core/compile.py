"""From a definition to a plan, or to every problem at once.

Here loops are found and their bodies, exits and order laid down, so that `machine` only follows indexes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.core import registry
from engine.core.arguments import FIRST
from engine.core.assemble import assemble
from engine.core.checks import (
    ANYTHING,
    Outside,
    join_problems,
    loop_problems,
    outside_problems,
    rejection_problem,
    schema_problems,
)
from engine.core.definition import SCHEMA_NAME, Definition, Link, Node, parse
from engine.core.errors import DefinitionError, ExpressionError, Problem
from engine.core.expression import Expression, is_identifier, prepare
from engine.core.graph import closing_edges, reachable
from engine.core.plan import Converge, Plan, PlanEdge, PlanTask
from engine.core.schema import declared_inputs, value_error
from engine.core.task import TaskWrapper

DEFAULTS: dict[str, Any] = {
    "max_cycle": 10, "max_retries": 3, "retry_delay": 1.0, "backoff": 2.0, "on_error": "continue",
    "execution_mode": "sequential", "deadline": None,
}  # fmt: skip
_WAY_IN = 'draw an edge to it. If nothing leads into its cycle, mark the edge that closes it: "loop": true, in Python loop=True'
HTTP_DEFAULTS: dict[str, Any] = {
    "method": "GET", "url": None, "headers": None, "query": None, "body": None, "expect": None,
}  # fmt: skip


def compile(
    document: dict[str, Any], tasks: Mapping[str, TaskWrapper] | None = None, outside: Outside = ANYTHING,
    *, published: bool = False,
) -> Plan:  # fmt: skip
    """The plan of a definition document. `tasks` adds to the registered tasks, for this document only; `outside`
    knows the workflows and webhooks it may name. What was `published` has runs that must go on: what can be
    followed, though it makes no sense, is no problem there.

    Raises DefinitionError with all problems.
    """
    definition, found = parse(document)
    if published:
        found = [problem for problem in found if problem.code != "too_large"]
    if found:
        # A malformed document still tells which tasks and edges were meant: report those problems too.
        found = [*found, *_Compiler(definition, tasks, strict=True, outside=outside).problems_beside(found)]
        raise DefinitionError(_once(found))
    return compile_definition(definition, tasks, strict=True, outside=outside, published=published)


def problems(
    document: dict[str, Any], tasks: Mapping[str, TaskWrapper] | None = None, outside: Outside = ANYTHING
) -> list[Problem]:
    """Everything that keeps the document from running; empty when it can."""
    try:
        compile(document, tasks, outside)
    except DefinitionError as error:
        return error.problems
    return []


def compile_definition(
    definition: Definition, tasks: Mapping[str, TaskWrapper] | None = None, *, strict: bool = False,
    outside: Outside = ANYTHING, published: bool = False,
) -> Plan:  # fmt: skip
    """As `compile`, for a definition already read. `strict` also refuses start tasks whose parameters only
    an undeclared input could fill.
    """
    compiler = _Compiler(definition, tasks, strict=strict, outside=outside, published=published)
    plan = compiler.plan()
    if plan is None or compiler.found:
        raise DefinitionError(_once(compiler.found))
    return plan


def _once(found: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class _Edge:
    """An edge while the plan is being made; `place` is its path in the document."""

    link: Link
    place: str
    source: str
    target: str
    is_loop: bool = False


@dataclass(slots=True)
class _Arc:
    """One arrow of the graph the loops are found in: an edge to one task, or a member's way to its group."""

    source: str
    target: str
    edge: int | None = None
    member: bool = False


@dataclass
class _Compiler:
    definition: Definition
    extra: Mapping[str, TaskWrapper] | None
    strict: bool
    outside: Outside = ANYTHING
    published: bool = False
    found: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.defaults = {**DEFAULTS, **self.definition.defaults}
        self.nodes: dict[str, Node] = {}
        self.place: dict[str, str] = {}
        self.groups = {group.id: group for group in self.definition.groups}

    def problem(self, code: str, message: str, path: str) -> None:
        self.found.append(Problem(code=code, message=message, path=path))

    def problems_beside(self, known: list[Problem]) -> list[Problem]:
        """Problems of meaning in a malformed document, without those its malformed places explain."""
        paths = {problem.path for problem in known}
        try:
            self.plan()
        except (TypeError, ValueError, AttributeError, KeyError):  # a malformed value: its place is in `known`
            return []
        return [problem for problem in self.found if problem.path not in paths]

    def plan(self) -> Plan | None:
        """The plan; problems are in `found`. None when the graph is too broken to look at."""
        self._name_nodes()
        if not self.published:
            self.found += schema_problems(self.definition)
        tasks = {node.id: self._task(node) for node in self.nodes.values()}
        edges, is_whole = self._name_edges()
        plan_edges = [self._edge(index, edge) for index, edge in enumerate(edges)]
        if not is_whole or not self.nodes:
            return None
        arcs = self._arcs(edges)
        starts = self._find_loop_edges(edges, arcs)
        if self.found:
            return None
        return self._assemble(tasks, plan_edges, edges, starts)

    # -- names ------------------------------------------------------------------------------------------------

    def _name_nodes(self) -> None:
        for index, node in enumerate(self.definition.nodes):
            path = f"tasks[{index}]"
            if not node.id:
                continue
            if node.id in self.nodes:
                self.problem(
                    "duplicate_id", f"the id {node.id!r} is used twice; give this task another id", f"{path}.id"
                )
                continue
            self.nodes[node.id] = node
            self.place[node.id] = path
        if not self.definition.nodes:
            self.problem("no_tasks", "the workflow has no tasks; add at least one", "tasks")
        for index, group in enumerate(self.definition.groups):
            if group.id in self.nodes or any(other.id == group.id for other in self.definition.groups[:index]):
                self.problem(
                    "duplicate_id",
                    f"the id {group.id!r} is used twice; give this group another id",
                    f"groups[{index}].id",
                )
            for place, member in enumerate(group.members):
                if member not in self.nodes:
                    message = (
                        f"group {member!r} cannot be a member of a group; name its tasks instead"
                        if member in self.groups
                        else f"there is no task {member!r} to be a member"
                    )
                    self.problem("unknown_task", message, f"groups[{index}].members[{place}]")
            if not group.members:
                self.problem("empty_group", f"group {group.id!r} has no members", f"groups[{index}].members")
            self._check_policy(index, group.policy, group.members)

    def _check_policy(self, index: int, policy: Any, members: list[str]) -> None:
        if not isinstance(policy, dict):
            return
        if policy.get("at_least", 0) > len(members):
            message = f"at_least {policy['at_least']} can never be reached by {len(members)} members"
            self.problem("policy_unreachable", message, f"groups[{index}].policy")
        for name in policy.get("critical", ()):
            if name not in members:
                self.problem("unknown_task", f"{name!r} is no member of this group", f"groups[{index}].policy")

    def _name_edges(self) -> tuple[list[_Edge], bool]:
        """All edges, and whether each leads somewhere."""
        edges: list[_Edge] = []
        broken = False
        seen: set[tuple[Any, ...]] = set()
        for index, link in enumerate(self.definition.links):
            place = f"edges[{index}]"
            for key, end in (("source", link.source), ("target", link.target)):
                if end not in self.nodes and end not in self.groups:
                    broken = True
                    self.problem("unknown_task", f"there is no task or group {end!r}", f"{place}.{key}")
            same = (link.source, link.target, link.given.get("on", "success"), str(link.given.get("when")))
            if same in seen:
                self.problem("duplicate_edge", f"{link.source!r} → {link.target!r} is drawn twice", place)
            seen.add(same)
            never = None if self.published else rejection_problem(link, place, self.nodes, self.groups)
            if never is not None:
                self.found.append(never)
            edges.append(_Edge(link, place, link.source, link.target))
        return edges, not broken and not any(problem.path.startswith("groups") for problem in self.found)

    # -- shape ------------------------------------------------------------------------------------------------

    def _arcs(self, edges: list[_Edge]) -> list[_Arc]:
        arcs = []
        for index, edge in enumerate(edges):
            group = self.groups.get(edge.target)
            targets = group.members if group is not None else [edge.target]
            arcs += [_Arc(edge.source, target, index) for target in targets]
        arcs += [_Arc(member, group.id, None, True) for group in self.groups.values() for member in group.members]
        return arcs

    def _find_loop_edges(self, edges: list[_Edge], arcs: list[_Arc]) -> tuple[str, ...]:
        """Mark the loop edges; returns the tasks the workflow starts with."""
        for edge in edges:
            # From a task to itself it is one wherever the search begins: it keeps no task from being a start.
            if edge.source == edge.target or edge.link.given.get("loop") is True:
                self._close(edge)
                edge.is_loop = True
        while True:
            forward = [arc for arc in arcs if arc.edge is None or not edges[arc.edge].is_loop]
            starts, closing, reached = self._search(forward)
            marked = [edges[forward[i].edge] for i in closing if forward[i].edge is not None]  # type: ignore[index]
            for edge in marked:
                self._close(edge)
            # An edge to a group is one edge with several arrows: without it others may close nothing any more.
            if self.found or not any(edge.target in self.groups for edge in marked):
                break
        for index in closing:
            if forward[index].edge is None:
                self._refuse_group(forward[index].target)
        for task_id in self.nodes:
            if task_id not in reached:
                message = f"task {task_id!r} cannot be reached from the start of the workflow; {_WAY_IN}"
                self.problem("unreachable_task", message, self.place[task_id])
        self._check_declared(edges, arcs)
        return tuple(starts)

    def _search(self, forward: list[_Arc]) -> tuple[list[str], list[int], set[str]]:
        """(start tasks, arcs that close a cycle in order, nodes reached) of the graph of `forward` arcs."""
        entered = {arc.target for arc in forward}
        starts = [task_id for task_id in self.nodes if task_id not in entered] or list(self.nodes)[:1]
        out: dict[str, list[int]] = {}
        for index, arc in enumerate(forward):
            out.setdefault(arc.source, []).append(index)
        closing, reached = closing_edges([*self.nodes, *self.groups], out, [arc.target for arc in forward], starts)
        return starts, sorted(closing), reached

    def _close(self, edge: _Edge) -> None:
        if edge.link.given.get("loop") is False:
            message = f"{edge.source!r} → {edge.target!r} closes a cycle, but is marked loop: false"
            self.problem("cycle_not_allowed", message, f"{edge.place}.loop")
            return
        edge.is_loop = True

    def _refuse_group(self, group_id: str) -> None:
        index = next(i for i, group in enumerate(self.definition.groups) if group.id == group_id)
        message = f"a cycle leads into the middle of group {group_id!r}; draw the loop edge to the whole group"
        self.problem("loop_into_group", message, f"groups[{index}]")

    def _check_declared(self, edges: list[_Edge], arcs: list[_Arc]) -> None:
        out: dict[str, list[str]] = {}
        for arc in arcs:
            if arc.edge is None or not edges[arc.edge].is_loop:
                out.setdefault(arc.source, []).append(arc.target)
        for edge in edges:
            if not edge.is_loop:
                continue
            group = self.groups.get(edge.target)
            heads = group.members if group is not None else [edge.target]
            reach = reachable(heads, out)
            if edge.source not in reach:
                message = f"{edge.source!r} → {edge.target!r} is marked as a loop edge, but {edge.source!r} does not follow {edge.target!r}"
                self.problem("loop_not_closing", message, f"{edge.place}.loop")
            for other in self.groups.values():
                if other.id == edge.target or edge.target not in other.members:
                    continue
                if other.id in reach and (edge.source == other.id or edge.source in reachable([other.id], out)):
                    message = f"the loop edge leads into the middle of group {other.id!r}; draw it to the whole group"
                    self.problem("loop_into_group", message, f"{edge.place}.target")

    # -- parts ------------------------------------------------------------------------------------------------

    def _task(self, node: Node) -> PlanTask:
        place = self.place[node.id]
        wrapper = self._wrapper(node)
        code = wrapper.defaults() if wrapper is not None else {}
        given = {**code, **node.given}
        settings = dict(node.settings)
        if node.kind == "task":
            self._check_parameters(node, wrapper, place)
        elif node.kind == "map":
            settings |= self._map_settings(node, place)
        params = self._prepared_keys(settings.pop("params", {}), f"{place}.params")
        if node.kind == "http":  # the parameters of the engine's own function
            params, settings = self._prepared_keys({**HTTP_DEFAULTS, **settings}, place), {}
        self.found += outside_problems(node, place, self.outside)
        return PlanTask(
            id=node.id,
            kind=node.kind,
            uses=settings.pop("uses", None),
            label=given.get("label") or node.id,
            params=params,
            settings=self._prepared_keys(settings, place),
            max_cycle=given.get("max_cycle", self.defaults["max_cycle"]),
            max_cycle_from=self._max_cycle_from(node, code),
            max_retries=given.get("max_retries", 0 if node.kind == "workflow" else self.defaults["max_retries"]),
            retry_delay=given.get("retry_delay", self.defaults["retry_delay"]),
            backoff=given.get("backoff", self.defaults["backoff"]),
            timeout=given.get("timeout"),
            priority=given.get("priority", 0),
            queue=given.get("queue"),
            join=given.get("join") or "all_done",
            on_error=given.get("on_error", "fail"),
            on_max_cycle=given.get("on_max_cycle", "stop"),
            converge=self._converge(given.get("converge"), f"{place}.converge"),
        )

    def _max_cycle_from(self, node: Node, code: Mapping[str, Any]) -> str:
        """Whose limit a task has: people who want another one have to know where to change it."""
        places = (("task", node.given), ("code", code), ("workflow", self.definition.defaults))
        return next((name for name, place in places if "max_cycle" in place), "engine")

    def _wrapper(self, node: Node) -> TaskWrapper | None:
        if node.kind != "task":
            return None
        if node.task is not None:
            return node.task  # type: ignore[no-any-return]
        return self._registered(node)

    def _registered(self, node: Node) -> TaskWrapper | None:
        uses = node.uses or ""
        return (self.extra or {}).get(uses) or registry.tasks().get(uses)

    def _map_settings(self, node: Node, place: str) -> dict[str, Any]:
        """Which parameter of the mapped task an item fills, and the settings its executions have."""
        wrapper = self._registered(node)
        if wrapper is None:
            if node.uses is not None:
                self.problem("unknown_task", f"there is no registered task {node.uses!r}", f"{place}.uses")
            return {}
        names = [parameter.name for parameter in wrapper.signature.parameters]
        chosen = node.settings.get("parameter", names[0] if names else FIRST if self.published else None)
        if chosen not in names and not self.published:
            offered = ", ".join(names) or "none"
            message = f"{node.uses!r} has no parameter {chosen!r} for the items; it has: {offered}"
            self.problem(
                "unknown_parameter", message, f"{place}.parameter" if "parameter" in node.settings else f"{place}.uses"
            )
        return {"parameter": chosen, "each": wrapper.defaults()}

    def _check_parameters(self, node: Node, wrapper: TaskWrapper | None, place: str) -> None:
        if wrapper is None:
            if node.uses is not None:
                self.problem("unknown_task", f"there is no registered task {node.uses!r}", f"{place}.uses")
            return
        params = node.settings.get("params", {})
        if self.published or (not params and not self.strict):
            return  # functions change under runs that must go on; what no longer fits fails the task that comes to it
        schema = wrapper.parameters
        for name, value in params.items():
            known = schema["properties"].get(name)
            if known is None and not schema["additionalProperties"]:
                offered = ", ".join(schema["properties"]) or "none"
                self.problem(
                    "unknown_parameter",
                    f"{node.uses!r} has no parameter {name!r}; it has: {offered}",
                    f"{place}.params.{name}",
                )
            elif known and not _has_expression(value) and (error := value_error(known, value)):
                self.problem("wrong_parameter", f"parameter {name!r}: {error}", f"{place}.params.{name}")
        if self.strict and node.id not in self.entered:
            declared = declared_inputs(self.definition.inputs)
            for name in schema["required"]:
                if name not in params and name not in declared and name not in wrapper.pulls:
                    message = f"nothing fills the parameter {name!r} of {node.uses!r}; set it here, or declare an input of that name"
                    self.problem("missing_parameter", message, f"{place}.params.{name}")

    @cached_property
    def entered(self) -> set[str]:
        """Tasks that follow another one, so that something upstream may fill their parameters."""
        links = self.definition.links
        targets = {link.target for link in links}
        members = {name for group in self.groups.values() if group.id in targets for name in group.members}
        return members | {link.target for link in links if link.given.get("loop") is not True}

    def _edge(self, index: int, edge: _Edge) -> PlanEdge:
        given = edge.link.given
        when = given.get("when")
        return PlanEdge(
            index=index,
            source=edge.source,
            target=edge.target,
            on=given.get("on", "success"),
            when=self._expression(when, f"{edge.place}.when") if when is not None else None,
            converge=self._converge(given.get("converge"), f"{edge.place}.converge"),
        )

    def _converge(self, raw: Any, path: str) -> Converge | None:
        if raw is None:
            return None
        if not isinstance(raw, dict):
            return Converge(tolerance=float(raw))
        value = raw.get("value")
        return Converge(
            tolerance=float(raw.get("tolerance", 1e-6)),
            patience=raw.get("patience", 1),
            value=self._expression(value, f"{path}.value") if value is not None else None,
        )

    def _expression(self, raw: Any, path: str) -> Expression | None:
        try:
            return Expression(raw["$"] if isinstance(raw, dict) else raw, self._readable())
        except ExpressionError as error:
            self.problem("bad_expression", str(error), path)
            return None

    def _prepared(self, value: Any, path: str) -> Any:
        if not value:
            return value
        try:
            return prepare(value, self._readable())
        except ExpressionError as error:
            self.problem("bad_expression", str(error), path)
            return value

    def _prepared_keys(self, values: Mapping[str, Any], path: str) -> dict[str, Any]:
        return {key: self._prepared(value, f"{path}.{key}") for key, value in values.items()}

    def _readable(self) -> frozenset[str]:
        names: frozenset[str] | None = self.__dict__.get("_readable_ids")
        if names is None:
            names = self._readable_ids = frozenset(name for name in self.nodes if is_identifier(name))
        return names

    # -- the whole --------------------------------------------------------------------------------------------

    def _assemble(
        self, tasks: dict[str, PlanTask], plan_edges: list[PlanEdge], edges: list[_Edge], starts: tuple[str, ...]
    ) -> Plan | None:
        plan = assemble(
            name=self.definition.name,
            defaults=self.defaults,
            inputs_schema=self.definition.inputs,
            tasks=tasks,
            edges=[(plan_edge, edge.is_loop) for plan_edge, edge in zip(plan_edges, edges, strict=True)],
            groups=self.groups,
            starts=starts,
        )
        self._check_endless(plan.edges, tasks, edges)
        if not self.published:
            self.found += join_problems(plan, self.place)
            self.found += loop_problems(plan, lambda index: self._document_place(plan.edges[index], edges))
        return None if self.found else plan

    def _check_endless(self, plan_edges: Sequence[PlanEdge], tasks: dict[str, PlanTask], edges: list[_Edge]) -> None:
        for edge in plan_edges:
            if edge.loop is None or not all(tasks[head].max_cycle == 0 for head in edge.heads):
                continue
            ends = [edge.when, edge.converge, *(tasks[head].converge for head in edge.heads)]
            if edge.source in tasks:
                ends.append(tasks[edge.source].converge)
            if not any(ends):
                place = self._document_place(edge, edges)
                message = f"the loop {edge.source!r} → {edge.target!r} can never end: it has no limit (max_cycle 0), no condition and no convergence"
                self.problem("endless_loop", message, place)

    def _document_place(self, edge: PlanEdge, edges: list[_Edge]) -> str:
        same = (e for e in edges if e.is_loop and (e.source, e.target) == (edge.source, edge.target))
        return next(e.place for e in same if e.link.given.get("on", "success") == edge.on)


def _has_expression(value: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() == {"$"} or any(_has_expression(item) for item in value.values())
    return isinstance(value, list) and any(_has_expression(item) for item in value)


__all__ = ["DEFAULTS", "SCHEMA_NAME", "compile", "compile_definition", "problems"]
