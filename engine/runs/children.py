"""Child runs between two commits: start what was asked for, report what has ended, stop what nobody waits for.

Each step is one guarded transaction that changes one run, so it may be taken any number of times by anybody: by the
process that committed the step before, and by the engine process where that one died.
"""

from __future__ import annotations

import random
from functools import partial

from django.db import transaction

from engine.access import SYSTEM, audit
from engine.core import kinds
from engine.core import news as n
from engine.core.errors import EngineError, Forbidden, LimitExceeded, NotFound
from engine.core.plan import Plan
from engine.core.state import TaskStatus
from engine.runs import admission, database, hooks, questions, values
from engine.runs.birth import begin
from engine.runs.ledger import Locked, Refused, Unit, change, storable
from engine.runs.models import Run, RunTask, WorkflowDefinition, WorkflowVersion
from engine.runs.outgoing import ChildRun
from engine.runs.outside import is_as_open
from engine.runs.plans import plan_of
from engine.runs.starting import checked_inputs, insert, version_of
from engine.runs.subruns import FAST_SECONDS

BATCH = 200
PARENT_CLOSED = "The run that waited for this one was closed."


def to_follow() -> list[int]:
    """Rows whose next step nobody has taken yet."""
    due = ChildRun.objects.filter(state__in=ChildRun.TO_FOLLOW, follow_after__lte=database.in_seconds(0))
    return list(due.order_by("follow_after").values_list("pk", flat=True)[:BATCH])


def sweep(pk: int) -> int:
    """Take the next step of a row, unless its run is being changed; whether there was one to take."""
    with database.writing():  # should the step fail, it has its turn again after a while
        ChildRun.objects.filter(pk=pk).update(follow_after=database.in_seconds(FAST_SECONDS))
    return follow(pk, skip_locked=True)


def follow(pk: int, skip_locked: bool = False) -> bool:
    """Take the next step of a row; whether there was one."""
    row = ChildRun.objects.filter(pk=pk).first()
    try:
        if row is not None and row.state == ChildRun.ASKED:
            return database.retried(lambda: _start(row))
        if row is not None and row.state == ChildRun.ENDED:
            return _report(row, skip_locked)
        if row is not None and row.state == ChildRun.STOPPING:
            return _stop(row, skip_locked)
    except (Locked, Refused, LimitExceeded):  # the engine process comes back to it
        pass
    return False


def _start(row: ChildRun) -> bool:
    with database.writing():
        mine = ChildRun.objects.filter(pk=row.pk)
        if mine.filter(state=ChildRun.ASKED).update(state=ChildRun.STARTED) != 1:
            return False
        admission.admit_child()
        parent = (
            Run.objects.select_related("definition")
            .defer("inputs", "counters", "definition__draft")
            .get(pk=row.parent_id)
        )
        try:
            version = _chosen(row, parent.definition)
            plan = plan_of(version.pk)
            inputs = checked_inputs(plan, row.inputs)
        except EngineError as error:
            mine.update(state=ChildRun.ENDED, error=str(error), follow_after=database.in_seconds(FAST_SECONDS))
            transaction.on_commit(partial(hooks.follow_up, [row.pk]))
            return True
        run = Run(
            definition_id=version.definition_id, version=version, inputs=inputs, counters={}, mode=parent.mode,
            priority=parent.priority, started_by_id=parent.started_by_id, created_at=database.now(),
            engine_abi=version.engine_abi, parent_id=parent.pk, parent_task=row.key, depth=parent.depth + 1,
        )  # fmt: skip
        insert(run, _seconds(plan_of(parent.version_id), row.key, plan))
        mine.update(child_id=run.pk)
        begin(run, plan, _begun)
        told = {"parent": str(parent.public_id), "task": row.key, "workflow": row.workflow, "version": version.number}
        audit.write(SYSTEM, "run.start", "run", run.public_id, told)
    return True


def _seconds(parent: Plan, key: str, plan: Plan) -> float | None:
    """How long the child may take: what its workflow says, and no longer than the step waits."""
    limits = [seconds for seconds in (plan.deadline, parent.tasks[key].timeout) if seconds]
    return min(limits, default=None)


def _begun(unit: Unit) -> None:
    unit.tell(n.RunStarted(unit.at))


def _chosen(row: ChildRun, parent: WorkflowDefinition) -> WorkflowVersion:
    definition = WorkflowDefinition.objects.filter(slug=row.workflow, archived_at=None).first()
    if definition is None:
        raise NotFound(f"There is no workflow {row.workflow!r} any more, or it is archived.")
    # Asked when the parent was published, too; but groups change, and its result goes to whoever sees the parent.
    if not is_as_open(definition, parent):
        raise Forbidden(
            "It is restricted to groups by now, and not to all who may start "
            f"{parent.slug!r}. Open it to their groups, or restrict {parent.slug!r} to its own."
        )
    return version_of(definition, row.version)


def _report(row: ChildRun, skip_locked: bool) -> bool:
    """Tell the parent's step how its child has ended."""
    report = storable(_news(row))

    def step(unit: Unit) -> bool:
        if ChildRun.objects.filter(pk=row.pk, state=ChildRun.ENDED).update(state=ChildRun.REPORTED) != 1:
            raise Refused
        task = unit.state.tasks[row.key]
        if task.status is TaskStatus.RUNNING and (task.iteration, task.attempt) == (row.iteration, row.attempt):
            unit.tell(report)
        return True

    return change(row.parent_id, step, keys=(row.key,), skip_locked=skip_locked)


def _news(row: ChildRun) -> kinds.Report:
    if row.child_id is None:
        text = f"workflow {row.workflow!r}: {row.error or 'its run is gone'}"
        return n.TaskFailed(task_id=row.key, at=0.0, error=text, kind="invalid", retryable=False)
    child = Run.objects.defer("inputs", "counters").get(pk=row.child_id)
    if child.status == "succeeded":
        return n.TaskFinished(row.key, 0.0, _outcome(child))
    failed = kinds.child_failed(row.key, 0.0, str(child.public_id), row.workflow, child.status, child.reason)
    return n.TaskFailed(
        task_id=failed.task_id, at=0.0, error=failed.error, retryable=failed.retryable, jitter=random.uniform(0.5, 1.5)
    )


def _outcome(child: Run) -> object:
    """What the child gives; its rows change no more."""
    plan = plan_of(child.version_id)
    ends = RunTask.objects.filter(run=child, key__in=kinds.end_tasks(plan), outcome="success")
    return kinds.outcome_value(plan, {task.key: values.fetch(task.result, task.result_blob_id) for task in ends})


def _stop(row: ChildRun, skip_locked: bool) -> bool:
    """Stop a child nobody waits for."""

    def step(unit: Unit) -> bool:
        if ChildRun.objects.filter(pk=row.pk, state=ChildRun.STOPPING).update(state=ChildRun.STOPPED) != 1:
            raise Refused
        if not unit.state.is_final():
            unit.tell(n.StopRequested(unit.at, PARENT_CLOSED))
            questions.withdraw(unit, None)
        return True

    assert row.child_id is not None
    return change(row.child_id, step, skip_locked=skip_locked)
