"""Looking at runs: lists, snapshots, events, one task in full. Nothing here changes anything or takes a lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from engine.access import Actor, policy
from engine.core.errors import DefinitionError, InvalidInput, NotFound, UnknownTask
from engine.core.kinds import item_task
from engine.core.plan import PlanTask
from engine.core.state import RUN_STATUSES
from engine.runs import data, database, inbox, paging, values
from engine.runs.models import Attempt, FeedbackRequest, Run, RunEvent, RunTask
from engine.runs.outgoing import ChildRun
from engine.runs.plans import document_of, plan_of
from engine.runs.workflows import as_uuid, find

MAX_EVENTS = 1_000
MAX_CHILDREN = 1_000
TASK_EVENTS = 500
_SNAPSHOT_TRIES = 3
_HEAVY = ("definition__draft", "version__spec", "counters")


def list_runs(
    actor: Actor,
    *,
    workflow: str | None = None,
    status: str | None = None,
    started_after: datetime | None = None,
    started_before: datetime | None = None,
    q: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> data.Page[data.Run]:
    """Runs, newest first. `status` may name several, separated by commas; `q` is part of the workflow's name
    or of the run's id.
    """
    policy.require(actor, "run.view")
    rows = policy.for_user(actor, _rows())
    if workflow:
        rows = rows.filter(definition=find(actor, "workflow.view", workflow))
    if status:
        rows = rows.filter(status__in=_statuses(status))
    if started_after:
        rows = rows.filter(created_at__gte=started_after)
    if started_before:
        rows = rows.filter(created_at__lt=started_before)
    if q:
        rows = _matching(rows, q)
    return paging.page(rows, limit, cursor, _run)


def get_run(actor: Actor, run: str) -> data.Run:
    """A snapshot: the run, its tasks, and the `seq` of the newest event they include."""
    row = find_run(actor, "run.view", run)
    document = document_of(row.version_id)
    for _ in range(_SNAPSHOT_TRIES):
        tasks = _tasks(row, document)
        # Equal seq before and after: the tasks are of that very moment. Else they may be newer than `seq`,
        # which a reader heals by applying the events that follow.
        if Run.objects.values_list("seq", flat=True).get(pk=row.pk) == row.seq:
            break
        row = _rows().get(pk=row.pk)
    return _run(row, tasks=tasks, definition=document, children=_children(actor, row))


def _children(actor: Actor, row: Run, **only: str) -> tuple[data.Child, ...]:
    """The runs that steps of this one have started, oldest first, as far as they are open to this person."""
    steps = policy.for_user(actor, ChildRun.objects.filter(parent=row, child__isnull=False, **only))
    found = steps.order_by("pk").values_list(
        "key", "iteration", "attempt", "workflow", "child__public_id", "child__status"
    )
    return tuple(data.Child(*step[:4], run=str(step[4]), status=step[5]) for step in found[:MAX_CHILDREN])


def run_status(actor: Actor, run: str) -> data.RunStatus:
    """How a run stands, without its tasks."""
    row = find_run(actor, "run.view", run)
    counts = Counter(RunTask.objects.filter(run=row).values_list("status", flat=True))
    done = counts.get("completed", 0)
    return data.RunStatus(
        id=str(row.public_id), workflow=str(row.definition.public_id), status=row.status, reason=row.reason,
        seq=row.seq, started_at=row.started_at, ended_at=row.ended_at, tasks=dict(counts), tasks_completed=done,
        tasks_pending=sum(counts.values()) - done, open_feedback=row.open_feedback,
    )  # fmt: skip


def events_after(actor: Actor, run: str, after: int = 0, limit: int = 500) -> data.EventPage:
    """Up to `limit` events that follow number `after`, in order and without gaps; none of them when one is gone."""
    row = find_run(actor, "run.view", run)
    if max(0, after) + 1 < row.min_seq:
        return data.EventPage((), row.seq, row.min_seq, reload=max(0, after) < row.seq)
    size = max(1, min(limit, MAX_EVENTS))
    found = RunEvent.objects.filter(run_id=row.pk, seq__gt=max(0, after)).order_by("seq")[:size]
    events = tuple(_events(found))
    return data.EventPage(events, max(row.seq, events[-1].seq if events else 0), row.min_seq)


def task_detail(actor: Actor, run: str, task_id: str) -> data.TaskDetail:
    """Every iteration and attempt of a task, its questions and its newest events, oldest first."""
    row = find_run(actor, "run.view", run)
    task = RunTask.objects.filter(run=row, key=task_id).first()
    if task is None:
        raise UnknownTask(task_id, list(RunTask.objects.filter(run=row).values_list("key", flat=True)[:10]))
    drawn = _drawn(document_of(row.version_id))
    family = RunTask.objects.filter(Q(parent=task.parent) | Q(key=task.parent), run=row).only(
        "key", "parent", "iteration"
    )
    items = _items(family if task.parent else (), drawn)
    shown = _task(task, drawn, _planned(row.version_id), items).as_dict() | {
        "started_at": task.started_at,
        "ended_at": task.ended_at,
    }
    attempts = Attempt.objects.filter(task=task).order_by("number")
    asked = inbox.rows().filter(task=task).order_by("pk")
    events = RunEvent.objects.filter(run_id=row.pk, task_id=task_id).order_by("-seq")[:TASK_EVENTS]
    return data.TaskDetail(
        **shown, run=str(row.public_id), result=values.fetch(task.result, task.result_blob_id),
        attempts=tuple(_attempt(attempt) for attempt in attempts),
        feedback=tuple(inbox.item(question) for question in asked), children=_children(actor, row, key=task_id),
        events=tuple(reversed(list(_events(events)))),
    )  # fmt: skip


def workflow_status(actor: Actor, workflow: str) -> dict[str, Any]:
    """How the newest run of a workflow stands; status `idle` when there is none."""
    definition = find(actor, "run.view", workflow)
    newest = Run.objects.filter(definition=definition).order_by("-created_at", "-pk").first()
    if newest is None:
        return {
            "workflow_id": str(definition.public_id), "run_id": None, "status": "idle", "tasks_completed": 0,
            "tasks_pending": 0, "start_time": None,
        }  # fmt: skip
    status = run_status(actor, str(newest.public_id))
    return {
        "workflow_id": str(definition.public_id), "run_id": status.id, "status": status.status,
        "tasks_completed": status.tasks_completed, "tasks_pending": status.tasks_pending,
        "start_time": data.iso(status.started_at),
    }  # fmt: skip


def find_run(actor: Actor, action: str, run: str) -> Run:
    """The row behind a run's id, if this person may do `action` on it."""
    public_id = as_uuid(run)
    row = _rows().filter(public_id=public_id).first() if public_id is not None else None
    if row is None:
        policy.require(actor, "run.view")
        raise NotFound(f"There is no run {str(run)[:80]!r}, or it is not open to you.")
    policy.require(actor, action, row)
    return row


def _rows() -> QuerySet[Run]:
    return Run.objects.select_related("definition", "version", "started_by", "retry_of", "parent").defer(
        *_HEAVY, "retry_of__counters", "retry_of__inputs", "parent__counters", "parent__inputs"
    )


def _statuses(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in RUN_STATUSES]
    if unknown:
        message = f"status={unknown[0][:40]!r} is unknown; use one of: {', '.join(RUN_STATUSES)}."
        raise InvalidInput(message, errors=[{"path": "status", "message": message}])
    return wanted


def _matching(rows: QuerySet[Run], q: str) -> QuerySet[Run]:
    # SQLite keeps ids without their dashes.
    part = q if database.on_postgresql() else q.replace("-", "")
    named = Q(definition__name__icontains=q)
    if not part:
        return rows.filter(named)
    return rows.annotate(_id=Cast("public_id", CharField())).filter(named | Q(_id__icontains=part))


def _run(
    row: Run, tasks: tuple[data.Task, ...] = (), definition: dict[str, Any] | None = None,
    children: tuple[data.Child, ...] = (),
) -> data.Run:  # fmt: skip
    return data.Run(
        id=str(row.public_id), workflow=str(row.definition.public_id), workflow_name=row.definition.name,
        workflow_slug=row.definition.slug, version=row.version.number, status=row.status, reason=row.reason,
        mode=row.mode, seq=row.seq, inputs=row.inputs, open_feedback=row.open_feedback,
        retry_of=str(row.retry_of.public_id) if row.retry_of else None,
        parent=str(row.parent.public_id) if row.parent else None, parent_task=row.parent_task,
        started_by=row.started_by.get_username() if row.started_by else "system", created_at=row.created_at,
        started_at=row.started_at, ended_at=row.ended_at, deadline_at=row.deadline_at,
        business_key=row.business_key, min_seq=row.min_seq, tasks=tasks, children=children, definition=definition,
    )  # fmt: skip


def _drawn(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["id"]: task for task in document.get("tasks", ())}


def _tasks(row: Run, document: dict[str, Any]) -> tuple[data.Task, ...]:
    drawn = _drawn(document)
    order = {task_id: place for place, task_id in enumerate(drawn)}
    rows = RunTask.objects.filter(run=row).defer("result", "result_blob", "memory")
    tasks = sorted(rows, key=lambda task: (order.get(task.key, len(order)), task.pk))
    planned, items = _planned(row.version_id), _items(tasks, drawn)
    return tuple(_task(task, drawn, planned, items) for task in tasks)


def _planned(version_id: int) -> Mapping[str, PlanTask]:
    """The tasks with their settings in force. A run whose version no longer compiles can still be looked at."""
    try:
        return plan_of(version_id).tasks
    except DefinitionError:
        return {}


def _items(rows: Iterable[RunTask], drawn: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Which item, from 1, a task that a map step made is for."""
    maps, made = [], set()
    for row in rows:
        if row.parent:
            made.add(row.key)
        elif drawn.get(row.key, {}).get("kind") == "map":
            maps.append(row)
    found: dict[str, int] = {}
    for row in maps if made else ():
        for iteration in range(1, row.iteration + 1):
            for place in range(len(made)):
                if (key := item_task(row.key, iteration, place)) not in made:
                    break
                found[key] = place + 1
    return found


def _task(
    row: RunTask, drawn: dict[str, dict[str, Any]], planned: Mapping[str, PlanTask], items: dict[str, int]
) -> data.Task:
    node, settings = drawn.get(row.key, {}), planned.get(row.key)
    return data.Task(
        id=row.key, kind=node.get("kind", "task"), label=node.get("label") or row.key,
        uses=row.uses or node.get("uses"), parent=row.parent, status=row.status, outcome=row.outcome,
        reason=row.reason, error=row.error, iteration=row.iteration, attempt=row.attempt,
        max_cycle=settings.max_cycle if settings else None,
        max_cycle_from=settings.max_cycle_from if settings else None, cycle_count=row.cycle_count,
        item=items.get(row.key), version=row.version, started_at=row.started_at, ended_at=row.ended_at,
    )  # fmt: skip


def _attempt(row: Attempt) -> data.Attempt:
    return data.Attempt(
        iteration=row.iteration, number=row.attempt, token=row.number, state=row.state, worker=row.worker,
        queued_at=row.created_at, started_at=row.started_at, ended_at=row.ended_at, inputs=row.inputs,
        result=values.fetch(row.result, row.result_blob_id), error=row.error, traceback=row.traceback,
    )  # fmt: skip


def _events(rows: Iterable[RunEvent]) -> Iterable[data.Event]:
    for row in rows:
        yield data.Event(
            seq=row.seq, type=row.type, task_id=row.task_id, from_=row.from_status, to=row.to_status,
            iteration=row.iteration, attempt=row.attempt, at=datetime.fromtimestamp(row.at, UTC), data=row.data or {},
        )  # fmt: skip


def open_feedback_of(run: Run) -> list[FeedbackRequest]:
    """The questions of a run that wait for an answer."""
    return list(FeedbackRequest.objects.filter(run=run, state=FeedbackRequest.OPEN).order_by("pk"))
