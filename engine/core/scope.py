"""What expressions and arguments of a run can see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.core.plan import Plan, PlanEdge
from engine.core.state import RunState, TaskState


def has_result(task: TaskState) -> bool:
    """Whether the task has a value to give: it worked in its last execution, or a person skipped it."""
    return task.how in ("success", "ignored", "human_skip") or (task.how is None and task.version > 1)


def expression_scope(state: RunState, names: Iterable[str], plan: Plan, source: str | None = None) -> dict[str, Any]:
    """Values for the `names` an expression reads; names without a value are left out."""
    scope: dict[str, Any] = {}
    for name in names:
        if name == "inputs":
            scope[name] = state.inputs
        elif name == "channels":
            scope[name] = {channel: dict(values) for channel, values in state.channels.items()}
        elif name == "tasks":
            scope[name] = {task_id: task.result for task_id in plan.tasks if has_result(task := state.tasks[task_id])}
        elif name == "result":
            if source is not None:
                scope[name] = source_value(plan, state, source)
        elif name == "iteration":
            if source is not None and source in plan.tasks:
                scope[name] = state.tasks[source].iteration
        elif has_result(task := state.tasks[name]):
            scope[name] = task.result
    return scope


def source_value(plan: Plan, state: RunState, source: str) -> Any:
    """The result of a task, or of a group as `{member: value}`."""
    group = plan.groups.get(source)
    if group is None:
        return state.tasks[source].result if has_result(state.tasks[source]) else None
    return {member: source_value(plan, state, member) for member in group.members}


def edge_value(plan: Plan, state: RunState, edge: PlanEdge) -> Any:
    """What an edge hands over: a result; over error and rejected edges the text of what happened."""
    if edge.on == "error":
        return {"error": _error_text(plan, state, edge.source)}
    if edge.on == "rejected":
        task = state.tasks[edge.source]
        return {"reason": task.reason or "", "data": task.result}
    return source_value(plan, state, edge.source)


def _error_text(plan: Plan, state: RunState, source: str) -> str:
    group = plan.groups.get(source)
    if group is None:
        task = state.tasks[source]
        return str(task.child_error or task.error or "")
    failed = [state.tasks[member] for member in group.members]
    return "; ".join(
        f"{task.task_id}: {task.error or task.reason or 'failed'}"
        for task in failed
        if task.how in ("error", "rejected")
    )


def upstream(plan: Plan, state: RunState, task_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What fills the arguments of a task: (values by source name, the values that count as "the" upstream).

    After a loop edge was taken only its source is "the" upstream; earlier inputs stay available by name.
    """
    task = state.tasks[task_id]
    by_name: dict[str, Any] = {}
    main: dict[str, Any] = {}
    looped = False
    for index in task.fired:
        edge = plan.edges[index]
        value = task.carried if task.carried is not None and edge.loop is not None else edge_value(plan, state, edge)
        if edge.loop is not None and not looped:
            main, looped = {}, True
        if edge.source in plan.groups:
            by_name.update(value if isinstance(value, dict) and edge.on not in ("error", "rejected") else {})
        by_name[edge.source] = value
        if edge.loop is not None or not looped:
            main[edge.source] = value
    return by_name, main
