"""Steps that need no function: `a >> step("review", "approval", prompt="Publish this?") >> b`."""

from __future__ import annotations

import re
from typing import Any

from engine.core.checks import schema_problems, with_ids
from engine.core.definition import SCHEMA_NAME, Node, parse
from engine.core.errors import DefinitionError
from engine.core.task import CURRENT, Single
from engine.core.workflow import WorkflowContext


class Step(Single):
    """A task of any kind but `task`, with the keys that a definition document has for it."""

    def __init__(self, node: Node, child: WorkflowContext | None = None) -> None:
        self._node, self._child = node, child
        if (workflow := CURRENT.get()) is not None:
            workflow.place_made(self)

    @property
    def name(self) -> str:
        return self._node.id

    def place(self, workflow: WorkflowContext) -> None:
        workflow.place_node(self._node)
        if self._child is not None:
            workflow.offer(self._node.settings["workflow"], self._child)

    def __repr__(self) -> str:
        return f"Step({self.name}, {self._node.kind})"


def step(task_id: str, kind: str, **settings: Any) -> Step:
    """A task of this id and kind; `settings` are the keys of its entry in a definition document.

    `workflow` may be a workflow instead of the name of one: a local run then runs that, and in a document it is
    named by the slug of its name. Raises DefinitionError with all problems of the settings.
    """
    child = settings.get("workflow")
    if isinstance(child, WorkflowContext):
        settings["workflow"] = re.sub(r"[^a-z0-9]+", "-", child.name.lower()).strip("-") or "workflow"
    entry = {"id": task_id, "kind": kind, **settings}
    definition, found = parse({"schema": SCHEMA_NAME, "name": "step", "tasks": [entry]})
    if found := [*found, *schema_problems(definition)]:
        raise DefinitionError(with_ids(found, definition))
    return Step(definition.nodes[0], child if isinstance(child, WorkflowContext) else None)
