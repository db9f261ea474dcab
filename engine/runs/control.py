"""Stopping, pausing and repeating runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.access import Actor, audit
from engine.core import news as n
from engine.core.errors import Conflict, NotFound
from engine.core.graph import reachable
from engine.core.plan import Plan
from engine.core.state import FINAL_RUN_STATUSES, TaskStatus
from engine.runs import admission, data, database, deadlines, pauses, questions, reading, values
from engine.runs.birth import begin
from engine.runs.ledger import Refused, Unit, change
from engine.runs.models import ChannelValue, Run, RunTask
from engine.runs.plans import plan_of
from engine.runs.starting import insert
from engine.runs.workflows import find


def stop_run(actor: Actor, run: str, *, reason: str | None = None) -> data.Run:
    """Nothing starts any more, open questions are withdrawn, running bodies are ended.

    Stopping a run twice is no error; one that has ended otherwise raises Conflict.
    """
    row = reading.find_run(actor, "run.control", run)

    def step(unit: Unit) -> None:
        if unit.state.closing == "stopped":
            return
        if not _stop(unit, reason):
            raise _does_not_apply(unit, "stopped")
        audit.write(actor, "run.stop", "run", row.public_id, {"reason": reason} if reason else {})

    return _changed(actor, row, step)


def pause_run(actor: Actor, run: str) -> data.Run:
    """No further task starts in the run and those below it until it is resumed; what runs now ends and counts."""
    row = reading.find_run(actor, "run.control", run)

    def step(unit: Unit) -> None:
        if not unit.tell(n.PauseRequested(unit.at)):
            raise _does_not_apply(unit, "paused")
        audit.write(actor, "run.pause", "run", row.public_id)

    return _passed_on(actor, row, step)


def resume_run(actor: Actor, run: str) -> data.Run:
    """Go on after a pause. A run that was paused with the one above it goes on with that."""
    row = reading.find_run(actor, "run.control", run)

    def step(unit: Unit) -> None:
        if unit.run.paused_with_parent:
            raise Conflict(
                "The run was paused with the run above it; resume that one.", code="paused_with_parent",
                run_status=unit.state.status,
            )  # fmt: skip
        if not pauses.resume(unit):
            raise _does_not_apply(unit, "resumed")
        audit.write(actor, "run.resume", "run", row.public_id)

    return _passed_on(actor, row, step)


def retry_run(actor: Actor, run: str, *, from_: str = "failed") -> data.Run:
    """A new run of the same version with the same inputs that keeps what worked.

    Done again are: what did not work (or the task `from_` names), what made tasks of its own, and all that follows. A
    loop that had come to its end keeps the results of its last passes, and channels their values.
    Raises Conflict while the run is going on, and when nothing failed.
    """
    row = reading.find_run(actor, "run.control", run)
    if not row.is_final:
        raise Conflict(f"The run is {row.status}; only a run that has ended can be retried.", run_status=row.status)
    plan = plan_of(row.version_id)
    if from_ == "failed" and row.status == "succeeded":
        raise Conflict("The run succeeded; name the task to repeat it from.", run_status=row.status)
    if from_ != "failed" and from_ not in plan.tasks:
        raise NotFound(f"The run has no task {from_!r} to begin with.")
    kept = _results_to_keep(row, plan, from_)

    def once() -> str:
        with database.writing():
            admission.admit()
            fresh = Run(
                definition=row.definition, version=row.version, inputs=row.inputs, counters={}, mode=row.mode,
                retry_of=row, started_by_id=actor.pk, created_at=database.now(), engine_abi=row.version.engine_abi,
            )  # fmt: skip
            insert(fresh, deadlines.length_of(row))
            if kept:
                _keep_channels(row, fresh)
            begin(fresh, plan, lambda unit: _start_again(unit, kept))
            told = {"retry_of": str(row.public_id), "from": from_, "kept": sorted(kept)}
            audit.write(actor, "run.retry", "run", fresh.public_id, told)
            return str(fresh.public_id)

    return reading.get_run(actor, database.retried(once))


def stop_workflow(actor: Actor, workflow: str) -> dict[str, Any]:
    """Stop the active runs of a workflow. Again: the same answer, no error."""
    definition = find(actor, "run.control", workflow)
    active = Run.objects.filter(definition=definition).exclude(status__in=FINAL_RUN_STATUSES).order_by("pk")
    stopped: list[str] = []
    for row in active:

        def step(unit: Unit, row: Run = row) -> None:
            if unit.state.closing != "stopped" and _stop(unit, "The workflow was stopped."):
                audit.write(actor, "run.stop", "run", row.public_id, {"workflow": str(definition.public_id)})

        change(row.pk, step)
        stopped.append(str(row.public_id))
    return {"message": "Workflow stop requested", "stopped": stopped}


def _stop(unit: Unit, reason: str | None) -> bool:
    if unit.state.is_final() or not unit.tell(n.StopRequested(unit.at, reason)):
        return False
    questions.withdraw(unit, None)
    return True


def _start_again(unit: Unit, kept: dict[str, Any]) -> None:
    """Start the run; tasks whose results are kept work at once, with the result they had."""
    unit.tell(n.RunStarted(unit.at))
    unit.reuse(kept)


def _passed_on(actor: Actor, row: Run, step: Callable[[Unit], None]) -> data.Run:
    """As `_changed`, for what the runs below are to follow."""
    shown = _changed(actor, row, step)
    pauses.pass_on(row.pk)
    return shown


def _changed(actor: Actor, row: Run, step: Callable[[Unit], None]) -> data.Run:
    try:
        change(row.pk, step)
    except Refused:
        raise NotFound("There is no such run any more.") from None
    return reading.get_run(actor, str(row.public_id))


def _does_not_apply(unit: Unit, what: str) -> Conflict:
    status = unit.state.status
    return Conflict(f"The run is {status} and cannot be {what}.", code="run_status", run_status=status)


def _results_to_keep(row: Run, plan: Plan, from_: str) -> dict[str, Any]:
    """Results by task of what worked and does not follow anything that is done again."""
    follows: dict[str, list[str]] = {}
    for edge in plan.edges:
        follows.setdefault(edge.source, []).extend(edge.heads or [edge.target])
    for group in plan.groups.values():
        for member in group.members:
            follows.setdefault(member, []).append(group.id)
    planned = [task for task in RunTask.objects.filter(run=row) if task.key in plan.tasks]
    worked = {task.key: task for task in planned if (task.status, task.outcome) == _WORKED}
    # What was never begun, on a branch that was not taken, comes as the results that are kept decide.
    again = {task.key for task in planned if task.started_at is not None} - worked.keys()
    again |= _with_children(row, plan) | ({from_} & plan.tasks.keys())
    again |= set(reachable(sorted(again), follows))
    return {key: values.fetch(task.result, task.result_blob_id) for key, task in worked.items() if key not in again}


_WORKED = (TaskStatus.COMPLETED.value, "success")


def _with_children(row: Run, plan: Plan) -> set[str]:
    """Tasks that made others: their children belong to the old run, so they have to make them again. What the items of a
    map gave is in its own result.
    """
    children = RunTask.objects.filter(run=row, parent__isnull=False).values_list("parent", flat=True).distinct()
    return {parent for parent in children if parent and not (parent in plan.tasks and plan.tasks[parent].kind == "map")}


def _keep_channels(row: Run, fresh: Run) -> None:
    """What kept tasks wrote is there for those that are done again. Who wrote what is not known, so all of it is."""
    found = ChannelValue.objects.filter(run=row).order_by("pk")
    ChannelValue.objects.bulk_create(
        [
            ChannelValue(run=fresh, channel=one.channel, key=one.key, value=one.value, version=one.version)
            for one in found.iterator()
        ],
        batch_size=500,
    )


__all__ = ["pause_run", "resume_run", "retry_run", "stop_run", "stop_workflow"]
