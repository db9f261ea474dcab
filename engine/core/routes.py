"""Where a run goes from a task that has ended: edges, joins and groups."""

from __future__ import annotations

from collections.abc import Collection

from engine.core.errors import ExpressionError
from engine.core.fold import Fold
from engine.core.graph import reachable
from engine.core.plan import Plan, PlanEdge, PlanGroup, PlanTask
from engine.core.scope import expression_scope
from engine.core.state import GroupState, TaskState, TaskStatus

# How an execution ended, as the edges out of its task see it.
SUCCESS, ERROR, IGNORED, REJECTED = "success", "error", "ignored", "rejected"
SKIPPED, HUMAN_SKIP, LOOP_FAILED, UNREACHED = "skipped", "human_skip", "loop_failed", "unreached"
CYCLE_LIMIT = "cycle_limit"  # why a loop ended: its head has used its executions

FIRES = {
    "success": frozenset({SUCCESS, IGNORED, HUMAN_SKIP}),
    "error": frozenset({ERROR}),
    "rejected": frozenset({REJECTED}),
    "skipped": frozenset({SKIPPED, HUMAN_SKIP}),
    "always": frozenset({SUCCESS, IGNORED, HUMAN_SKIP, ERROR, REJECTED, SKIPPED, LOOP_FAILED}),
}
_BLOCKED = TaskStatus.BLOCKED


def route(fold: Fold, node_id: str, how: str) -> None:
    """Decide every edge out of a task or group that has ended; those out of a running loop wait for its end."""
    plan, state = fold.plan, fold.state
    node: PlanTask | PlanGroup | None = plan.tasks.get(node_id) or plan.groups.get(node_id)
    if node is None:
        return
    edges = plan.edges
    for index in node.out:
        edge = edges[index]
        if not edge.leaves or all(state.loops[loop].ended for loop in edge.leaves):
            decide(fold, edge, how)
    for index in node.closes:
        loop = edges[index].loop
        assert loop is not None
        state.loops[loop].sources[str(index)] = how
        fold.quiet.add(loop)
    if isinstance(node, PlanTask):
        for group_id in node.groups:
            leaves = plan.groups[group_id].leaves.get(node_id, ())
            if all(state.loops[loop].ended for loop in leaves):
                arrive(fold, plan.groups[group_id], node_id, how)


def decide(fold: Fold, edge: PlanEdge, how: str) -> None:
    """The edge fires or is dead, and its target's join looks again."""
    fires = how in FIRES[edge.on] and holds(fold, edge)
    if fires and how in (ERROR, REJECTED) and edge.on == how:
        mark_handled(fold, edge.source)
    target = fold.state.tasks[edge.target]
    fold.changed.add(edge.target)
    if target.status is not _BLOCKED:
        target.dead = (*target.dead, edge.index)  # its join was satisfied without this one
        return
    if fires:
        target.fired = (*target.fired, edge.index)
    else:
        target.dead = (*target.dead, edge.index)
    look(fold, target)


def holds(fold: Fold, edge: PlanEdge) -> bool:
    """Whether the edge's condition is true. One that cannot be evaluated fails its source."""
    if edge.when is None:
        return True
    known = fold.whens.get(edge.index)
    if known is not None:
        return known
    try:
        return evaluate_condition(fold, edge)
    except ExpressionError as error:
        from_task = fold.state.tasks.get(edge.source)
        text = f"condition of the edge {edge.source!r} → {edge.target!r}: {error}"
        if from_task is not None and from_task.status is TaskStatus.PLANNED:
            from_task.error, from_task.outcome, from_task.how = text, "error", ERROR
            fold.move(from_task, TaskStatus.ERROR, {"error": text})
            fold.move(from_task, TaskStatus.COMPLETED, {"outcome": "error"})
            fold.state.verdicts.append(from_task.task_id)  # an error edge may still handle it
        else:
            fail_run(fold, text)
        return False


def evaluate_condition(fold: Fold, edge: PlanEdge) -> bool:
    """Raises ExpressionError when the condition has no value, or none that is true or false."""
    assert edge.when is not None
    scope = expression_scope(fold.state, edge.when.names, fold.plan, edge.source)
    value = edge.when.evaluate(scope)
    if not isinstance(value, bool):
        raise ExpressionError(edge.when.source, f"gives {value!r}; a condition must be true or false")
    return value


def look(fold: Fold, target: TaskState) -> None:
    """Start or skip a blocked task when its join can tell."""
    task = fold.plan.tasks[target.task_id]
    fired, total = len(target.fired), len(task.inputs)
    left = total - fired - len(target.dead)
    join = task.join
    if join == "all_done":
        starts, skips = left == 0 and fired > 0, left == 0 and fired == 0
    elif join == "all":
        # Not at the first dead edge: what a skip leads to must not depend on which input ended first.
        starts, skips = fired == total, left == 0 and fired < total
    else:
        needed = 1 if join == "any" else int(join)
        starts, skips = fired >= needed, fired + left < needed
    if starts and fold.state.closing is None:
        fold.ready(target)
    elif starts or skips:
        skip(fold, target)


def skip(fold: Fold, task: TaskState, *, outcome: str = "skipped", how: str = SKIPPED) -> None:
    """blocked or ready → skipped → completed, and on over its edges."""
    fold.move(task, TaskStatus.SKIPPED)
    task.outcome, task.how = outcome, how
    fold.move(task, TaskStatus.COMPLETED, {"outcome": outcome})
    fold.queue.append((task.task_id, how))
    child_ended(fold, task)


def arrive(fold: Fold, group: PlanGroup, member: str, how: str) -> None:
    """A member has ended; with the last one the group is decided."""
    state, task = fold.state.groups[group.id], fold.state.tasks[member]
    if state.outcome is not None or group.id in task.arrived:
        return
    task.arrived = (*task.arrived, group.id)
    fold.changed.add(member)
    count_arrival(state, member, how)
    if state.arrived >= len(group.members):
        decide_group(fold, group)


def count_arrival(state: GroupState, member: str, how: str) -> None:
    state.arrived += 1
    if how in (SUCCESS, IGNORED, HUMAN_SKIP):
        state.worked += 1
    elif how in (ERROR, REJECTED, LOOP_FAILED):
        state.failed.append(member)


def decide_group(fold: Fold, group: PlanGroup) -> None:
    """All members have ended: the group has worked or not, and a failure it can do without fails nothing."""
    state = fold.state.groups[group.id]
    broken = broken_members(fold, group)
    state.outcome = group_outcome(group, state, broken)
    if state.outcome == SUCCESS and group.policy != "strict":
        for task_id in sorted(set().union(*broken.values())):
            fold.state.tasks[task_id].tolerated = True
            fold.changed.add(task_id)
    fold.queue.append((group.id, state.outcome))


def group_outcome(group: PlanGroup, state: GroupState, broken: Collection[str] = ()) -> str:
    """success, error or skipped (nothing ran), by the group's policy; `broken` members count as failed."""
    policy, failed = group.policy, {*state.failed, *broken}
    if not state.worked and not failed:
        return SKIPPED
    if policy == "strict":
        good = not failed
    elif policy == "best_effort":
        good = True
    elif isinstance(policy, dict) and "at_least" in policy:
        good = state.worked >= policy["at_least"]
    else:
        assert isinstance(policy, dict)
        good = not failed & set(policy["critical"])
    return SUCCESS if good else ERROR


def broken_members(fold: Fold, group: PlanGroup) -> dict[str, set[str]]:
    """Members skipped over a failure on their way, with the tasks that failed inside the group.

    A failure before the whole group is not the group's: where it kept every member from running the group is skipped.
    """
    tasks, state = fold.state.tasks, fold.state.groups[group.id]
    if state.worked + len(state.failed) == state.arrived:
        return {}  # the common case, told without reading its members
    skipped = [member for member in group.members if tasks[member].how == SKIPPED]
    behind = {member: failed for member in skipped if (failed := failures_behind(fold, member))}
    members = set(group.members)
    before = {
        task_id
        for task_id in set().union(*behind.values()) - members
        if members <= reachable([task_id], _Follows(fold.plan))
    }
    ran = state.worked or state.failed
    return {member: failed - before for member, failed in behind.items() if ran or failed - before}


class _Follows(dict[str, list[str]]):
    """What comes after a task or group, looked up as it is asked for."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def get(self, node_id: str, default: object = None) -> list[str]:
        node = self.plan.tasks.get(node_id) or self.plan.groups[node_id]
        return [self.plan.edges[index].target for index in node.out] + list(getattr(node, "groups", ()))


def failures_behind(fold: Fold, node_id: str) -> set[str]:
    """The failed tasks over which a task was skipped or a group failed. Where an error edge of the failed task itself
    fired, another way was taken: what it left out is skipped like after a condition.
    """
    plan, tasks = fold.plan, fold.state.tasks
    found: set[str] = set()
    seen: set[str] = set()
    todo = [node_id]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        group = plan.groups.get(name)
        if group is not None:
            todo += group.members if fold.state.groups[name].outcome == ERROR else ()
            continue
        task = tasks[name]
        if task.how in (ERROR, REJECTED):
            own = [plan.edges[index] for index in plan.tasks[name].out]
            if not (task.handled and any(edge.on == task.how for edge in own)):
                found.add(name)
        elif task.how == SKIPPED:
            for edge in (plan.edges[index] for index in task.dead):
                if edge.on == "success":
                    heads = [head for loop in edge.leaves for head in plan.loops[loop].heads]
                    todo += [edge.source, *(head for head in heads if _failed_at_limit(tasks[head]))]
    return found


def _failed_at_limit(task: TaskState) -> bool:
    """Such a head kills the exits of its loop, though the tasks they leave from worked."""
    return task.how == ERROR and task.reason == CYCLE_LIMIT


def groups_ahead(fold: Fold, task_id: str) -> list[PlanGroup]:
    """The groups that a failure of this task may reach by keeping tasks from running."""
    plan = fold.plan
    found: dict[str, PlanGroup] = {}
    seen: set[str] = set()
    todo = [task_id] if plan.groups else []
    if todo and _failed_at_limit(fold.state.tasks[task_id]):
        todo += [plan.edges[i].source for loop in plan.tasks[task_id].loops for i in plan.loops[loop].exits]
    while todo:
        name = todo.pop()
        node: PlanTask | PlanGroup = plan.tasks.get(name) or plan.groups[name]
        if isinstance(node, PlanTask):
            found.update((group_id, plan.groups[group_id]) for group_id in node.groups)
            todo += [group_id for group_id in node.groups if group_id not in seen]
            seen.update(node.groups)
        for edge in (plan.edges[index] for index in node.out):
            target = fold.state.tasks[edge.target]
            may_skip = target.status is _BLOCKED or target.how == SKIPPED
            if edge.on == "success" and may_skip and edge.target not in seen:
                seen.add(edge.target)
                todo.append(edge.target)
    return list(found.values())


def mark_handled(fold: Fold, source: str) -> None:
    """An edge took care of a failure or rejection: it does not decide the run's status."""
    group = fold.plan.groups.get(source)
    failed = set() if group is None else set().union(*broken_members(fold, group).values())
    for task_id in (*fold.plan.members_of(source), *sorted(failed)):
        task = fold.state.tasks[task_id]
        if task.how in (ERROR, REJECTED) and not task.handled:
            task.handled = True
            fold.changed.add(task_id)


def child_ended(fold: Fold, task: TaskState) -> None:
    """Tell the parent of a joined child; its own end is due when no child is left."""
    if not task.joined or task.parent is None:
        return
    parent = fold.state.tasks[task.parent]
    parent.children -= 1
    if task.how in (ERROR, REJECTED, LOOP_FAILED) and parent.child_error is None:
        parent.child_error = f"{task.task_id}: {task.error or task.reason or 'failed'}"
    fold.changed.add(parent.task_id)
    if parent.children == 0 and parent.status in (TaskStatus.SUCCESS, TaskStatus.PLANNED):
        finish_parent(fold, parent)


def finish_parent(fold: Fold, parent: TaskState) -> None:
    """Body and joined children have ended, those of earlier iterations it asked for as well."""
    if fold.task(parent).kind == "map" and parent.args is not None:
        children = [fold.state.tasks[child] for child in parent.args["children"]]
        parent.result = [child.result if child.how in (SUCCESS, HUMAN_SKIP) else None for child in children]
    if parent.child_error is not None:
        fail_over_child(fold, parent)
    else:
        parent.how = SUCCESS
        if parent.status is TaskStatus.SUCCESS:
            parent.outcome = "success"
            fold.move(parent, TaskStatus.COMPLETED, {"outcome": "success"})
    assert parent.how is not None
    fold.queue.append((parent.task_id, parent.how))
    for index in fold.loops_of(parent):
        if not fold.state.loops[index].live:
            fold.quiet.add(index)
    settle_planned(fold, parent)
    child_ended(fold, parent)


def settle_planned(fold: Fold, task: TaskState) -> None:
    """planned → success → completed once no loop around the task can go on and no joined child is open."""
    if task.status is not TaskStatus.PLANNED or task.children:
        return
    if all(fold.state.loops[index].ended for index in fold.task(task).loops):
        task.outcome = "success"
        fold.move(task, TaskStatus.SUCCESS)
        fold.move(
            task, TaskStatus.COMPLETED, {"outcome": "success", **({"reason": task.reason} if task.reason else {})}
        )


def fail_over_child(fold: Fold, parent: TaskState) -> None:
    """A joined child failed: so has the parent, though its own body worked. The verdict stays with the child."""
    ignored = fold.task(parent).on_error == "ignore"
    parent.error, parent.outcome, parent.how = parent.child_error, "error", IGNORED if ignored else ERROR
    if ignored:
        parent.result = None
    if parent.status is TaskStatus.PLANNED:
        fold.move(parent, TaskStatus.ERROR, {"error": parent.error})
    fold.move(parent, TaskStatus.COMPLETED, {"outcome": "error", "error": parent.error})


def fail_run(fold: Fold, text: str) -> None:
    """Remember the first failure nobody handled; with on_error "stop" nothing new starts after it."""
    state = fold.state
    state.failure = state.failure or text
    if fold.plan.on_error == "stop" and state.closing is None:
        state.closing, state.reason = "failed", state.failure
