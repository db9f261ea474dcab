"""A workflow as a Mermaid flowchart, for documents and pull requests."""

from __future__ import annotations

from engine.core.plan import HUMAN_KINDS, Plan, PlanEdge, PlanTask


def mermaid(plan: Plan) -> str:
    """The flowchart's text. Loop edges are dotted and carry their limit, people's steps are hexagons."""
    names = {task_id: f"n{number}" for number, task_id in enumerate((*plan.tasks, *plan.groups))}
    grouped = {member for group in plan.groups.values() for member in group.members}
    lines = ["flowchart LR"]
    lines += [f"    {names[task_id]}{_shape(task)}" for task_id, task in plan.tasks.items() if task_id not in grouped]
    for group in plan.groups.values():
        lines.append(f'    subgraph {names[group.id]}["{_text(group.id)}"]')
        lines += [f"        {names[member]}{_shape(plan.tasks[member])}" for member in group.members]
        lines.append("    end")
    drawn = {(edge.source, _target(plan, edge), _label(plan, edge)): edge for edge in plan.edges}
    for (source, target, label), edge in drawn.items():
        arrow = "-.->" if edge.loop is not None else "-->"
        told = f'|"{label}"|' if label else ""
        lines.append(f"    {names[source]} {arrow}{told} {names[target]}")
    return "\n".join(lines) + "\n"


def _shape(task: PlanTask) -> str:
    text = f'"{_text(task.label or task.id)}"'
    return f"{{{{{text}}}}}" if task.kind in HUMAN_KINDS else f"[{text}]"


def _target(plan: Plan, edge: PlanEdge) -> str:
    """An edge to every member of a group is drawn as one to the group."""
    ends = edge.heads or tuple(other.target for other in plan.edges if _same_edge(edge, other))
    for group in plan.groups.values():
        if set(group.members) <= set(ends) and edge.target in (group.id, *group.members):
            return group.id
    return edge.target if edge.target in plan.tasks else edge.heads[0]


def _same_edge(one: PlanEdge, other: PlanEdge) -> bool:
    return (one.source, one.on, one.loop) == (other.source, other.on, other.loop)


def _label(plan: Plan, edge: PlanEdge) -> str:
    parts = [edge.on] if edge.on != "success" else []
    if edge.when is not None:
        parts.append(f"#quot;{_text(edge.when.source)}#quot;")
    if edge.loop is not None:
        limits = [plan.tasks[head].max_cycle for head in edge.heads]
        parts.append(f"≤ {min(limits)}" if all(limits) else "no limit")
    return ", ".join(parts)


def _text(text: str) -> str:
    return text.replace('"', "#quot;").replace("|", "#124;").replace("<", "#lt;").replace(">", "#gt;")
