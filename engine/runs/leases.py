"""A worker's time-limited right to an attempt: claim, renew, finish, lose.

Each transition is one guarded UPDATE inside the change of its run. Only the database's clock is compared with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from engine.core import kinds
from engine.core import news as n
from engine.core.channel import Write
from engine.core.plan import Plan, PlanTask
from engine.core.state import RunState, TaskState, TaskStatus
from engine.runs import database, values
from engine.runs.channels import apply_writes
from engine.runs.ledger import Locked, Refused, Unit, change
from engine.runs.models import Attempt, Run, WorkerInstance

log = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
HEARTBEAT_SECONDS = 5.0
START_TO_CLOSE_SECONDS = 900.0
"""How long a body may run when its task has no timeout of its own."""
_DEADLINE_GRACE = 10.0
_REAP_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claimed attempt with what its body needs, as it was when it was claimed."""

    attempt_id: int
    worker: str
    run: Run
    task_row: int
    task: PlanTask
    plan: Plan
    state: RunState

    @property
    def task_state(self) -> TaskState:
        return self.state.tasks[self.task.id]


def claim(attempt_id: int, nonce: str, worker: str) -> Claim | None:
    """Take a dispatched attempt; its task begins to run. None when it is not to be had: a normal outcome."""
    found = Attempt.objects.filter(pk=attempt_id, nonce=nonce, state=Attempt.DISPATCHED).values_list("run_id", "key")
    place = found.first()
    if place is None:
        return None
    run_id, key = place

    def step(unit: Unit) -> Claim | None:
        task = unit.state.tasks[key]
        planned = unit.plan.tasks.get(key) or unit.plan.dynamic(key, task.uses, task.settings)
        limit = planned.timeout or START_TO_CLOSE_SECONDS
        if not _take(attempt_id, nonce, worker, limit):
            raise Refused
        if not unit.tell(n.TaskStarted(key, unit.at, worker)):
            raise Refused  # the run is paused: the attempt stays where it is
        if task.status is not TaskStatus.RUNNING:
            _close(attempt_id, Attempt.CANCELLED, unit.moment)
            return None
        if kinds.is_inline(planned):
            _close(attempt_id, Attempt.OK, unit.moment)
            unit.carry_out_inline(key)
            return None
        unit.table.load(unit.plan.sources(key))
        row = unit.table.places[key].id
        assert row is not None
        return Claim(
            attempt_id=attempt_id, worker=worker, run=unit.run, task_row=row, task=planned, plan=unit.plan,
            state=unit.state,
        )  # fmt: skip

    try:
        return change(run_id, step, keys=(key,))
    except Refused:
        return None


def _take(attempt_id: int, nonce: str, worker: str, limit: float) -> bool:
    waiting = Attempt.objects.filter(pk=attempt_id, nonce=nonce, state=Attempt.DISPATCHED, held=False)
    taken = waiting.update(
        state=Attempt.CLAIMED, worker=worker, started_at=database.in_seconds(0),
        lease_until=database.in_seconds(LEASE_SECONDS), deadline_at=database.in_seconds(limit + _DEADLINE_GRACE),
    )  # fmt: skip
    return taken == 1


def _close(attempt_id: int, state: str, moment: datetime) -> None:
    Attempt.objects.filter(pk=attempt_id).update(state=state, ended_at=moment, lease_until=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a claimed attempt went: news for the run, channel writes of a success, inputs for people to look at."""

    news: n.BodyReport
    writes: tuple[Write, ...] = ()
    inputs: Any = None


def finish(attempt_id: int, worker: str, report: Report, run_id: int | None = None) -> bool:
    """Record how an attempt went, if `worker` still has it. Otherwise the report is kept as a late result
    for people to see, and changes nothing.
    """
    if run_id is None:
        run_id = Attempt.objects.values_list("run_id", flat=True).get(pk=attempt_id)
    return _finish(attempt_id, worker, report, run_id)


def _finish(attempt_id: int, worker: str, report: Report, run_id: int) -> bool:
    news = report.news

    def step(unit: Unit) -> bool:
        mine = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED, worker=worker)
        outcome = _outcome(news)
        if mine.update(ended_at=unit.moment, lease_until=None, inputs=report.inputs, **outcome) != 1:
            raise Refused
        if isinstance(news, n.TaskFinished) and news.wishes is not None:
            unit.table.load(spawn.task_id for spawn in news.wishes.spawn)
        unit.tell(_with_writes(attempt_id, run_id, news, report.writes))
        return True

    try:
        return change(run_id, step, keys=(news.task_id,))
    except Refused:
        _keep_late(attempt_id, news)
        return False


def _outcome(news: n.BodyReport) -> dict[str, Any]:
    if isinstance(news, n.TaskFinished):
        result, digest = values.place(news.value)
        return {"state": Attempt.OK, "result": result, "result_blob_id": digest}
    if isinstance(news, n.TaskSuspended):
        return {"state": Attempt.SUSPENDED}
    state = {"worker_lost": Attempt.LOST, "released": Attempt.RELEASED}.get(news.kind, Attempt.ERROR)
    text = news.error if news.kind in ("error", "invalid") else f"{news.kind}: {news.error}"
    return {"state": state, "error": text, "traceback": news.traceback or None}


def _with_writes(attempt_id: int, run_id: int, news: n.BodyReport, writes: tuple[Write, ...]) -> n.BodyReport:
    """Keep the channel writes of a success; one that fits no channel makes the attempt a failure."""
    if not writes or not isinstance(news, n.TaskFinished):
        return news
    try:
        apply_writes(run_id, writes)
    except TypeError as error:
        failed = n.TaskFailed(
            task_id=news.task_id, at=news.at, error=f"channel write: {error}", kind="invalid", retryable=False
        )
        Attempt.objects.filter(pk=attempt_id).update(result=None, result_blob_id=None, **_outcome(failed))
        return failed
    return news


def _keep_late(attempt_id: int, news: n.BodyReport) -> None:
    late = values.preview(news.value) if isinstance(news, n.TaskFinished) else type(news).__name__
    with database.writing():
        Attempt.objects.filter(pk=attempt_id).update(late_result=[late])
    log.info("leases: a late result of attempt %d was refused", attempt_id)


def give_up(attempt_id: int, news: n.TaskFailed, *, worker: str | None = None, expired: bool = False) -> bool:
    """Record that an attempt ended without its body's word: its worker died, was stopped or killed it.

    Only while it is still claimed (by `worker`, with a lease that is over when `expired`).
    """
    run_id = Attempt.objects.filter(pk=attempt_id).values_list("run_id", flat=True).first()
    if run_id is None:
        return False

    def step(unit: Unit) -> bool:
        claimed = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED)
        if worker is not None:
            claimed = claimed.filter(worker=worker)
        if expired:
            claimed = claimed.filter(lease_until__lt=database.in_seconds(0))
        if claimed.update(ended_at=unit.moment, lease_until=None, **_outcome(news)) != 1:
            raise Refused
        unit.tell(news)
        return True

    try:
        return change(run_id, step, keys=(news.task_id,), skip_locked=expired)
    except (Refused, Locked):
        return False


def lost(attempt_id: int, *, worker: str | None = None, expired: bool = False, why: str = "its worker died") -> bool:
    """The worker of an attempt is gone: the task is tried again from its budget for such losses."""
    key = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED).values_list("key", flat=True).first()
    if key is None:
        return False
    news = n.TaskFailed(task_id=key, at=0.0, error=why, kind="worker_lost")
    return give_up(attempt_id, news, worker=worker, expired=expired)


def released(attempt_id: int, worker: str) -> bool:
    """The worker stops and hands the attempt back: tried again at once, counted against no budget."""
    key = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED).values_list("key", flat=True).first()
    if key is None:
        return False
    news = n.TaskFailed(task_id=key, at=0.0, error="its worker was stopped", kind="released")
    return give_up(attempt_id, news, worker=worker)


def killed(attempt_id: int, worker: str, *, why: str, kind: Any = "error") -> bool:
    """The worker is about to kill the body of an attempt: nobody waits for it any more."""
    key = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED).values_list("key", flat=True).first()
    if key is None:
        return False
    return give_up(
        attempt_id, n.TaskFailed(task_id=key, at=0.0, error=why, kind=kind, retryable=kind == "timeout"), worker=worker
    )


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Attempts whose bodies a worker should end: `cancelled` maps them to seconds since the request."""

    cancelled: dict[int, float]
    overdue: tuple[int, ...]


def renew(worker: str, active: Iterable[int]) -> Unwanted:
    """Extend the leases of exactly the attempts this worker is carrying out; says which ones to end."""
    ids = list(active)
    mine = Attempt.objects.filter(pk__in=ids, state=Attempt.CLAIMED, worker=worker)
    with database.writing():
        if ids:
            mine.update(lease_until=database.in_seconds(LEASE_SECONDS))
        WorkerInstance.objects.filter(pk=worker).update(last_seen=database.in_seconds(0))
    if not ids:
        return Unwanted({}, ())
    moment = database.now()
    unwanted = mine.filter(Q(cancel_requested_at__isnull=False) | Q(deadline_at__lt=moment))
    cancelled: dict[int, float] = {}
    overdue: list[int] = []
    for attempt_id, requested, deadline in unwanted.values_list("pk", "cancel_requested_at", "deadline_at"):
        if requested is not None:
            cancelled[attempt_id] = (moment - requested).total_seconds()
        elif deadline is not None:
            overdue.append(attempt_id)
    return Unwanted(cancelled, tuple(overdue))


def overdue() -> list[int]:
    """Claimed attempts whose lease is over."""
    over = Attempt.objects.filter(state=Attempt.CLAIMED, lease_until__lt=database.in_seconds(0))
    return list(over.order_by("lease_until").values_list("pk", flat=True)[:_REAP_BATCH])


def reap(attempt_id: int) -> bool:
    """Take back an attempt whose lease is over; False when it was renewed, finished or taken back meanwhile."""
    return lost(attempt_id, expired=True, why="its worker did not renew the lease")


def orphans() -> list[int]:
    """What dead workers had claimed: for the start of an engine beside a SQLite file, where the system knows
    which workers are alive, so that nobody has to wait for a lease.
    """
    claimed = Attempt.objects.filter(state=Attempt.CLAIMED)
    dead = [name for name in set(claimed.values_list("worker", flat=True)) if not database.is_alive(f"worker-{name}")]
    return list(claimed.filter(worker__in=dead).order_by("pk").values_list("pk", flat=True))
