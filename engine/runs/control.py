"""Starting, stopping, pausing and repeating runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.db import IntegrityError, transaction

from engine.access import Actor, audit
from engine.core import news as n
from engine.core.errors import Conflict, InvalidInput, NotFound
from engine.core.graph import reachable
from engine.core.plan import Plan
from engine.core.schema import checked_inputs as core_checked
from engine.core.state import FINAL_RUN_STATUSES, TaskStatus
from engine.runs import admission, data, database, deadlines, idempotency, pauses, questions, reading, values
from engine.runs.ledger import RUN, Refused, Unit, begin, change
from engine.runs.models import Run, RunTask, WorkflowDefinition, WorkflowVersion
from engine.runs.plans import plan_of
from engine.runs.prepared import Columns
from engine.runs.workflows import find

MODES = ("live", "test")
MAX_INPUT_BYTES = 1_000_000
MAX_KEY = 200
_VERSION = Columns(WorkflowVersion, [f.attname for f in WorkflowVersion._meta.concrete_fields if f.attname != "spec"])


def start_run(actor: Actor, **wanted: Any) -> data.Run:
    """As `start`, for callers who want to see the run."""
    return reading.get_run(actor, start(actor, **wanted))


def start(
    actor: Actor,
    *,
    workflow: str,
    version: int | None = None,
    inputs: dict[str, Any] | None = None,
    mode: str = "live",
    deadline: float | None = None,
    business_key: str | None = None,
    idempotency_key: str | None = None,
    scope: str = "start_run",
) -> str:
    """Start a published version, the latest when none is named; the id of the run, which is on disk.

    `deadline` are the seconds it may take, instead of the workflow's own. A second start of the workflow with
    the same `business_key` gives the first run, for ever; one with the same `idempotency_key` for 24 hours, within
    the same `scope` of keys. Raises Conflict when nothing is published, InvalidInput for inputs that do not fit,
    LimitExceeded when the engine or the disk is full.
    """
    if mode not in MODES:
        raise InvalidInput(f"mode={mode!r} is unknown; use one of: {', '.join(MODES)}.")
    definition = find(actor, "run.start" if mode == "live" else "run.start_test", workflow)
    if definition.archived_at is not None:
        raise Conflict(f"Workflow {definition.name!r} is archived and cannot be started.", code="archived")
    chosen = version_of(definition, version)
    plan = plan_of(chosen.pk)
    given = checked_inputs(plan, inputs or {})
    seconds = deadlines.seconds_of(plan, deadline)
    _check_key(business_key)
    more = {"deadline": deadline, "business_key": business_key}
    asked = {name: value for name, value in more.items() if value is not None}
    request = [str(definition.public_id), version, given, mode, *([asked] if asked else [])]

    def make() -> str:
        if found := _known(definition, business_key):
            return found
        admission.admit()
        try:
            with nullcontext() if business_key is None else transaction.atomic():
                run = _insert(actor, chosen, definition, given, mode, seconds, business_key=business_key)
        except IntegrityError:  # somebody with the same key was quicker
            if found := _known(definition, business_key):
                return found
            raise
        begin(run, plan, lambda unit: _tell(unit, n.RunStarted(unit.at)))
        told = {"workflow": str(definition.public_id), "version": chosen.number, "mode": mode}
        audit.write(actor, "run.start", "run", run.public_id, told)
        return str(run.public_id)

    def once() -> str:
        with database.writing():
            return idempotency.once(actor, scope, idempotency_key, request, make)

    return database.retried(once)


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

    Done again are: what did not work (or the task `from_` names), tasks in loops, and all that follows either.
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
            fresh = _insert(actor, row.version, row.definition, row.inputs, row.mode, deadlines.length_of(row), row)
            begin(fresh, plan, lambda unit: _tell(unit, n.RunStarted(unit.at), kept))
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


def _tell(unit: Unit, news: n.News, kept: dict[str, Any] | None = None) -> None:
    """Start the run; tasks whose results are kept work at once, with the result they had."""
    unit.tell(news)
    if kept:
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


def version_of(definition: WorkflowDefinition, number: int | None) -> WorkflowVersion:
    """A published version, the latest for None. Raises Conflict when there is none."""
    wanted = definition.latest_version if number is None else number
    if wanted is None:
        raise Conflict(
            f"Workflow {definition.name!r} has no published version yet. Publish its draft first.", code="not_published"
        )
    row = _VERSION.first("definition_id = %s AND number = %s", (definition.pk, wanted))
    if row is None:
        raise NotFound(f"Workflow {definition.name!r} has no version {wanted}.")
    return row


def checked_inputs(plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """`inputs`, if they can be kept and fit the workflow. Raises InvalidInput."""
    try:
        text = values.check(inputs, "The inputs")
    except values.Unstorable as wrong:
        raise InvalidInput(str(wrong), errors=[{"path": "inputs", "message": str(wrong)}]) from None
    if len(text) > MAX_INPUT_BYTES:
        raise InvalidInput(f"The inputs have {len(text)} bytes; at most {MAX_INPUT_BYTES} are kept.")
    return core_checked(plan.inputs_schema, inputs)


def _check_key(business_key: str | None) -> None:
    if business_key is not None and not 0 < len(business_key) <= MAX_KEY:
        message = f"business_key has {len(business_key)} characters; expected 1 to {MAX_KEY}, for example 'order-4711'."
        raise InvalidInput(message, errors=[{"path": "business_key", "message": message}])


def _known(definition: WorkflowDefinition, business_key: str | None) -> str | None:
    """The id of the run that was started with this key."""
    if business_key is None:
        return None
    found = Run.objects.filter(definition=definition, business_key=business_key).values_list("public_id", flat=True)
    return next((str(public_id) for public_id in found), None)


def _insert(
    actor: Actor, version: WorkflowVersion, definition: WorkflowDefinition, inputs: dict[str, Any], mode: str,
    seconds: float | None = None, retry_of: Run | None = None, business_key: str | None = None,
) -> Run:  # fmt: skip
    run = Run(
        definition=definition, version=version, inputs=inputs, counters={}, mode=mode, retry_of=retry_of,
        started_by_id=actor.pk, created_at=database.now(), engine_abi=version.engine_abi, business_key=business_key,
    )  # fmt: skip
    deadlines.arm(run, seconds)
    RUN.insert(run)
    deadlines.keep_timer(run)
    return run


def _results_to_keep(row: Run, plan: Plan, from_: str) -> dict[str, Any]:
    """Results by task of what worked and does not follow anything that is done again."""
    follows: dict[str, list[str]] = {}
    for edge in plan.edges:
        follows.setdefault(edge.source, []).extend(edge.heads or [edge.target])
    for group in plan.groups.values():
        for member in group.members:
            follows.setdefault(member, []).append(group.id)
    worked = {
        task.key: task
        for task in RunTask.objects.filter(run=row, status=TaskStatus.COMPLETED.value, outcome="success")
        if task.key in plan.tasks and not (task.memory or {}).get("args")
    }
    again = {
        task_id
        for task_id, task in plan.tasks.items()
        if task_id not in worked or task.loops or worked[task_id].iteration > 1 or task_id == from_
    }
    again |= _with_children(row)
    again |= set(reachable(sorted(again), follows))
    return {key: values.fetch(task.result, task.result_blob_id) for key, task in worked.items() if key not in again}


def _with_children(row: Run) -> set[str]:
    """Tasks that made others: their children belong to the old run, so they have to make them again."""
    children = RunTask.objects.filter(run=row, parent__isnull=False).values_list("parent", flat=True)
    return {parent for parent in children if parent}


__all__ = [
    "checked_inputs", "pause_run", "resume_run", "retry_run", "start", "start_run", "stop_run", "stop_workflow", "version_of",
]  # fmt: skip
