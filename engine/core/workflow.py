"""`with workflow("name") as wf:` - collects tasks and edges, and hands them to a runner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import networkx as nx

from engine.core import registry
from engine.core.checks import Outside, with_ids
from engine.core.compile import compile as compile_document
from engine.core.compile import compile_definition
from engine.core.definition import (
    DEFAULT_FIELDS,
    EDGE_FIELDS,
    TOP_FIELDS,
    Definition,
    Group,
    Link,
    Node,
    check_settings,
    parse,
)
from engine.core.errors import DefinitionError, WorkflowStateError
from engine.core.mermaid import mermaid
from engine.core.plan import Plan
from engine.core.ports import Runner, runner_factory
from engine.core.result import RunResult
from engine.core.task import CURRENT, Executable, ParallelGroup, Pipeline, Single, TaskWrapper, executable

MODES = ("sequential", "parallel")
_SETTINGS = {f"default_{key}": DEFAULT_FIELDS[key] for key in ("max_cycle", "max_retries")}


class CoordinationBackend(StrEnum):
    """Where the parallel tasks of a local run are carried out."""

    MEMORY = "memory"
    MULTIPROCESSING = "multiprocessing"
    REDIS = "redis"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise WorkflowStateError(f"coordination_backend={value!r} is unknown; use one of: {', '.join(cls)}.")


class WorkflowContext:
    """A workflow being built, and its latest local run."""

    def __init__(
        self,
        name: str,
        *,
        default_max_cycle: int = 10,
        default_max_retries: int = 3,
        execution_mode: str = "sequential",
        coordination_backend: CoordinationBackend | str = CoordinationBackend.MEMORY,
        backend_config: Mapping[str, Any] | None = None,
        max_workers: int | None = None,
        on_error: str = "continue",
        services: Mapping[str, Any] | None = None,
    ) -> None:
        if execution_mode not in MODES:
            raise WorkflowStateError(f"execution_mode={execution_mode!r} is unknown; use one of: {', '.join(MODES)}.")
        if on_error not in ("continue", "stop"):
            raise WorkflowStateError(f"on_error={on_error!r} is unknown; use 'continue' or 'stop'.")
        if max_workers is not None and (type(max_workers) is not int or max_workers < 1):
            raise WorkflowStateError(f"max_workers={max_workers!r} must be a whole number from 1, or None.")
        given = {"default_max_cycle": default_max_cycle, "default_max_retries": default_max_retries}
        check_settings("workflow()", {"name": TOP_FIELDS["name"]}, {"name": name})
        check_settings(f"Workflow {name!r}", _SETTINGS, given)
        self.name = name
        self.coordination_backend = CoordinationBackend(coordination_backend)
        self.backend_config = dict(backend_config or {})
        self.max_workers = max_workers
        self.services = dict(services or {})
        self._definition = Definition(
            name,
            defaults={
                "max_cycle": default_max_cycle, "max_retries": default_max_retries,
                "execution_mode": execution_mode, "on_error": on_error,
            },
        )  # fmt: skip
        self._nodes: dict[str, Node] = {}
        self._links: set[tuple[str, str, str, str]] = set()
        self._fresh: dict[int, tuple[Executable, list[Node]]] = {}
        self._groups: dict[int, tuple[ParallelGroup, Group]] = {}
        self._tasks: Mapping[str, TaskWrapper] | None = None
        self._workflows: Mapping[str, WorkflowContext] = {}
        self._tokens: list[Token[WorkflowContext | None]] = []
        self._plan: Plan | None = None
        self._run: Runner | None = None
        self._strict = False
        self._bodies: dict[str, Callable[[], Any]] | None = None

    @property
    def default_max_cycle(self) -> int:
        return int(self._definition.defaults.get("max_cycle", 10))

    @property
    def default_max_retries(self) -> int:
        return int(self._definition.defaults.get("max_retries", 3))

    @property
    def execution_mode(self) -> str:
        return str(self._definition.defaults.get("execution_mode", "sequential"))

    def __enter__(self) -> Self:
        self._tokens.append(CURRENT.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._tokens.pop())

    # -- building -----------------------------------------------------------------------------------------------

    def add(self, *parts: Executable) -> Self:
        """Make tasks, groups or pipelines part of this workflow without joining them to anything else."""
        for part in parts:
            executable(part).place(self)
        return self

    def add_edge(
        self, source: Executable | str, target: Executable | str, *, on: str = "success", when: str | None = None,
        loop: bool | None = None, converge: Any = None,
    ) -> Self:  # fmt: skip
        """Draw any edge. `loop=None` finds out by itself whether it closes a cycle; False forbids that."""
        given = {"on": on, "when": when, "loop": loop, "converge": converge}
        kept = {
            key: value for key, value in given.items() if value is not None and not (key == "on" and value == "success")
        }
        check_settings(f"The edge {source!r} → {target!r}", EDGE_FIELDS, kept)
        self._place_in_order([end for end in (source, target) if isinstance(end, Executable)])
        for start in source.exits() if isinstance(source, Executable) else [source]:
            for stop in target.entries() if isinstance(target, Executable) else [target]:
                self._link(self._id(start), self._id(stop), kept)
        return self

    def place_made(
        self, part: Executable, within: Sequence[Executable] = (), absorbed: Sequence[Executable] = ()
    ) -> None:
        """Place what an expression has just made of the parts `within`; groups it `absorbed` are parts no more.

        Python makes `(b | c)` before `a >> ...` names a, which comes first all the same: where all tasks lie in a
        cycle, the first one is the start.
        """
        if came := self._place_in_order(within or [part], absorbed):
            self._fresh[id(part)] = (part, came)

    def _place_in_order(self, parts: Sequence[Executable], absorbed: Sequence[Executable] = ()) -> list[Node]:
        """Place `parts`, and put what came with them into their order; returns that."""
        came = [node for gone in absorbed for node in self._fresh.pop(id(gone), (gone, []))[1]]
        for part in parts:
            known = len(self._definition.nodes)
            part.place(self)
            _, made = self._fresh.pop(id(part), (part, self._definition.nodes[known:]))
            came += made
        if came and self._definition.nodes[-len(came) :] != came:
            moved, ordered = {node.id for node in came}, iter(came)
            self._definition.nodes = [next(ordered) if n.id in moved else n for n in self._definition.nodes]
            self._plan = None
        return came

    def place_task(self, task: TaskWrapper) -> None:
        known = self._nodes.get(task.name)
        if known is None or known.task is not task:
            self.place_node(Node(task.name, settings={"uses": task.name}, task=task))

    def place_node(self, node: Node) -> None:
        known = self._nodes.get(node.id)
        if known is None:
            self._nodes[node.id] = node
            self._definition.nodes.append(node)
            self._plan = None
        elif known is not node:
            raise WorkflowStateError(
                f"Two different tasks are called {node.id!r} in workflow {self.name!r}; give one of them another name, "
                "as in @task(name=...)."
            )

    def offer(self, slug: str, workflow: WorkflowContext) -> None:
        """Have steps of kind workflow that name this slug run that workflow."""
        if self._workflows.get(slug, workflow) is not workflow:
            raise WorkflowStateError(f"Two different workflows are called {slug!r} here; give one another name.")
        self._workflows = {**self._workflows, slug: workflow}
        self._plan = None

    def place_group(self, group: ParallelGroup) -> None:
        members = [self._id(end) for member in group.members for end in _member_ends(member)]
        known = self._groups.get(id(group))
        if known is None:
            name = group.name or _free_name("group", {*self._nodes, *(made.id for _, made in self._groups.values())})
            made = Group(name, members, group.policy)
            self._groups[id(group)] = (group, made)
            self._definition.groups.append(made)
        else:
            known[1].members, known[1].policy = members, group.policy
        self._plan = None

    def place_link(self, source: Executable, target: Executable) -> None:
        self._link(self._id(source), self._id(target), {})

    def _link(self, source: str, target: str, given: dict[str, Any]) -> None:
        key = (source, target, str(given.get("on", "success")), str(given.get("when")))
        if key in self._links:
            return
        self._links.add(key)
        self._definition.links.append(Link(source, target, given))
        self._plan = None

    def _id(self, end: Executable | str) -> str:
        if isinstance(end, str):
            return end
        if isinstance(end, Single):
            return end.name
        if isinstance(end, ParallelGroup):
            if id(end) not in self._groups:
                end.place(self)
            return self._groups[id(end)][1].id
        raise WorkflowStateError(f"{end!r} has no id of its own.")

    @property
    def graph(self) -> nx.DiGraph[str]:
        """The tasks and edges as a networkx graph; groups are drawn as edges from each member."""
        plan = self.plan()
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from((task_id, {"task": self._nodes[task_id].task}) for task_id in plan.tasks)
        for edge in plan.edges:
            for source in plan.members_of(edge.source):
                graph.add_edges_from(
                    (source, target, {"loop": edge.loop is not None}) for target in edge.heads or [edge.target]
                )
        return graph

    # -- documents ----------------------------------------------------------------------------------------------

    def to_definition(self) -> dict[str, Any]:
        """The definition document of this workflow; inputs its start tasks need are declared in it."""
        document = self._definition.as_document()
        if "inputs" not in document and (needed := self._needed_inputs()):
            document["inputs"] = {"type": "object", "properties": {name: {} for name in needed}}
        return document

    def _needed_inputs(self) -> list[str]:
        plan = self.plan()
        needed: dict[str, None] = {}
        for task_id, task in plan.tasks.items():
            wrapper = self._nodes[task_id].task
            if task.inputs or wrapper is None:
                continue
            for parameter in wrapper.signature.parameters:
                if parameter.required and parameter.name not in task.params and parameter.name not in wrapper.pulls:
                    needed[parameter.name] = None
        return list(needed)

    @classmethod
    def from_definition(
        cls, document: dict[str, Any], tasks: Mapping[str, TaskWrapper] | None = None, *,
        workflows: Mapping[str, dict[str, Any] | WorkflowContext] | None = None,
        services: Mapping[str, Any] | None = None,
    ) -> WorkflowContext:  # fmt: skip
        """The workflow of a document. Raises DefinitionError with all problems.

        `tasks` adds to the registered tasks, for this document only. `workflows` are the documents or workflows
        that steps of kind workflow may name, by slug; they may name each other. `services`: see the constructor.
        """
        made: dict[str, WorkflowContext] = {}
        for slug, given in (workflows or {}).items():
            made[slug] = given if isinstance(given, WorkflowContext) else cls._read(given, tasks, made)
        workflow = cls._read(document, tasks, made)
        workflow.services = dict(services or {})
        for one in (workflow, *made.values()):  # now that all of them are there to be named
            one.plan()
        return workflow

    @classmethod
    def _read(
        cls, document: dict[str, Any], tasks: Mapping[str, TaskWrapper] | None, workflows: Mapping[str, WorkflowContext]
    ) -> WorkflowContext:
        from_document, malformed = parse(document)
        if malformed:
            compile_document(document, tasks)  # raises these and what else is wrong
        workflow = cls(from_document.name)
        workflow._definition = from_document
        workflow._nodes = {node.id: node for node in from_document.nodes}
        workflow._tasks, workflow._workflows = tasks, workflows
        workflow._strict = True
        return workflow

    def plan(self) -> Plan:
        """The checked form. Raises DefinitionError with all problems."""
        if self._plan is None:
            self._bodies = None
            outside = Outside(workflow=self._missing_workflow)
            try:
                self._plan = compile_definition(self._definition, self._tasks, strict=self._strict, outside=outside)
            except DefinitionError as error:
                if self._strict:  # from a document: its author knows the paths
                    raise
                raise DefinitionError(with_ids(error.problems, self._definition)) from None
        return self._plan

    def _missing_workflow(self, slug: str, version: int | None) -> str | None:
        if slug in self._workflows:
            return None
        return f"is not among the workflows given: {', '.join(sorted(self._workflows)) or 'none'}"

    def to_mermaid(self) -> str:
        """The workflow as a Mermaid flowchart."""
        return mermaid(self.plan())

    # -- running ------------------------------------------------------------------------------------------------

    def execute(
        self, start_node: str | None = None, max_steps: int | None = None, inputs: dict[str, Any] | None = None
    ) -> RunResult:
        """Run to the end or to a question. A waiting run goes on; a finished one begins anew."""
        if max_steps is not None and (type(max_steps) is not int or max_steps < 0):
            raise WorkflowStateError(f"max_steps={max_steps!r} must be a whole number from 0, or None.")
        if inputs is not None and not isinstance(inputs, Mapping):
            raise WorkflowStateError(f"inputs={inputs!r} must be a dict of values by name.")
        if self._run is None or not self._run.is_waiting:
            self._run = runner_factory[0](self, start_node, max_steps, inputs)
        return self._run.execute()

    @property
    def execution_context(self) -> Any:
        """The ExecutionContext of the latest run."""
        if self._run is None:
            raise WorkflowStateError(f"Workflow {self.name!r} has not run yet; call execute() first.")
        return self._run.execution_context

    def stop(self, reason: str | None = None) -> None:
        """No task starts any more and the run ends `stopped`. From any thread; twice is no error."""
        if self._run is not None:
            self._run.stop(reason)

    def bare_bodies(self) -> dict[str, Callable[[], Any]]:
        """Functions that take nothing and touch no channel, by task: they can be called as they are."""
        if self._bodies is None:
            self._bodies = {}
            for task_id, task in self.plan().tasks.items():
                made = self.wrapper(task_id)
                simple = made is not None and made.signature.is_empty and not made.pulls and not made.pushes
                if made is not None and simple and not task.params and not task.timeout:
                    self._bodies[task_id] = made.func
        return self._bodies

    def wrapper(self, task_id: str) -> TaskWrapper | None:
        """The function behind a task of this workflow; None for kinds without one."""
        node = self._nodes.get(task_id)
        if node is None or node.kind != "task":
            return None
        if node.task is not None:
            return node.task  # type: ignore[no-any-return]
        return self.function(node.uses or "")

    def function(self, uses: str) -> TaskWrapper | None:
        """A task by its registered name; those given with the document come first."""
        return (self._tasks or {}).get(uses) or registry.tasks().get(uses)

    def workflow_named(self, slug: str) -> WorkflowContext | None:
        """What a step of kind workflow runs here."""
        return self._workflows.get(slug)

    def __repr__(self) -> str:
        return f"WorkflowContext({self.name!r}, {len(self._nodes)} tasks)"


def _member_ends(member: Executable) -> list[Executable]:
    if isinstance(member, Pipeline):
        return member.exits()
    return [member]


def _free_name(stem: str, taken: set[str]) -> str:
    number = 1
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"


def workflow(name: str, **settings: Any) -> WorkflowContext:
    """A workflow to build in a `with` block; see WorkflowContext for the settings."""
    return WorkflowContext(name, **settings)
