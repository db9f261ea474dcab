"""Problems of a definition that show only once its parts are put together, or that depend on what is around it.

Called by `compile`, which says where a finding stands in the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.core.definition import MAX_LOOPS, MAX_NESTING, Definition, Group, Link, Node
from engine.core.errors import Problem
from engine.core.plan import HUMAN_KINDS, Plan
from engine.core.schema import schema_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a definition may name beside tasks. Each says what is wrong with a name, in words that follow it, or
    None; where nobody can tell yet there is no function.
    """

    workflow: Callable[[str, int | None], str | None] | None = None
    webhook: Callable[[str], str | None] | None = None


ANYTHING = Outside()
MAX_LOOKED_AT = 200_000
"""Characters of JSON Schemas that are checked in one document."""


def outside_problems(node: Node, place: str, outside: Outside) -> Iterator[Problem]:
    """What a step of kind workflow or notify names and does not get."""
    given = node.settings
    slug, version, webhook = given.get("workflow"), given.get("version"), given.get("webhook")
    if node.kind == "workflow" and outside.workflow is not None and isinstance(slug, str):
        words = outside.workflow(slug, version if type(version) is int else None)
        if words is not None:
            yield Problem(code="unknown_workflow", message=f"workflow {slug!r} {words}", path=f"{place}.workflow")
    if node.kind != "notify":
        return
    if not given.get("to") and webhook is None:
        yield Problem(code="missing_key", message="'to' is missing, and no webhook is named", path=f"{place}.to")
    if webhook is not None and outside.webhook is not None and (words := outside.webhook(webhook)):
        yield Problem(code="unknown_webhook", message=f"webhook {webhook!r} {words}", path=f"{place}.webhook")


def schema_problems(definition: Definition) -> Iterator[Problem]:
    """JSON Schemas, of the inputs and of what people may answer, that are none."""
    given: list[tuple[str, Any]] = [("inputs", definition.inputs)]
    given += [(f"tasks[{index}].schema", node.settings.get("schema")) for index, node in enumerate(definition.nodes)]
    left = MAX_LOOKED_AT
    for place, schema in given:
        left -= len(repr(schema))
        if left < 0:  # a validator is slow: what comes now is found out when it is used
            return
        if isinstance(schema, dict) and (wrong := schema_error(schema)):
            inner, message = wrong
            path = f"{place}{'' if inner[:1] in ('', '[') else '.'}{inner}"
            yield Problem(code="bad_schema", message=f"this is no JSON Schema: {message}", path=path)


def with_ids(found: Iterable[Problem], definition: Definition) -> list[Problem]:
    """The problems of a workflow written in Python, whose author has never seen a path: with the ids of tasks."""
    return [replace(problem, message=problem.message + _whose(problem, definition)) for problem in found]


def _whose(problem: Problem, definition: Definition) -> str:
    place = re.match(r"(tasks|edges|groups)\[(\d+)\]", problem.path)
    if place is None:
        return ""
    index = int(place[2])
    if place[1] == "edges":
        link = definition.links[index]
        return f" (edge {link.source!r} → {link.target!r})"
    return (
        f" (task {definition.nodes[index].id!r})"
        if place[1] == "tasks"
        else f" (group {definition.groups[index].id!r})"
    )


def rejection_problem(link: Link, place: str, nodes: Mapping[str, Node], groups: Mapping[str, Group]) -> Problem | None:
    """An edge over a rejection of what can never be rejected. A function may ask people, so it may be rejected."""
    if link.given.get("on") != "rejected":
        return None
    node = nodes.get(link.source)
    if link.source in groups:
        why = (
            f"a group is never rejected: a rejected member counts as a failure of group {link.source!r}. "
            "Draw the edge from the member, or use on: error"
        )
    elif node is None or node.kind == "task":
        return None
    elif node.kind not in HUMAN_KINDS:
        why = f"{link.source!r} asks nobody, so it is never rejected"
    elif node.settings.get("on_reject") == "raise":
        why = f"a rejection of {link.source!r} is a failure (on_reject: raise); use on: error"
    else:
        return None
    return Problem(code="never_rejected", message=why, path=f"{place}.on")


def join_problems(plan: Plan, place: Mapping[str, str]) -> Iterator[Problem]:
    """Joins that wait for more edges than there are."""
    for task in plan.tasks.values():
        if isinstance(task.join, int) and task.join > len(task.inputs):
            ways = len(task.inputs)
            message = (
                f"join {task.join} can never be reached: {ways} edge{'' if ways == 1 else 's'} forward into {task.id!r}"
            )
            yield Problem(code="join_unreachable", message=message, path=f"{place[task.id]}.join")


def loop_problems(plan: Plan, place_of: Callable[[int], str]) -> Iterator[Problem]:
    """More loops than allowed, or loops too deep in one another. `place_of`: where the edge with an index stands."""
    if len(plan.loops) > MAX_LOOPS:
        message = f"{len(plan.loops)} loops; at most {MAX_LOOPS} are allowed"
        yield Problem(code="too_large", message=message, path="edges")
        return
    depth: dict[int, int] = {}
    for loop in sorted(plan.loops, key=lambda loop: -len(loop.body)):
        around = [depth[other.index] for other in plan.loops if loop.body < other.body]
        depth[loop.index] = 1 + max(around, default=0)
        if depth[loop.index] == MAX_NESTING + 1:
            message = f"this loop lies in {MAX_NESTING} others; at most {MAX_NESTING} may lie in one another"
            yield Problem(code="nested_too_deep", message=message, path=place_of(loop.edges[0]))
