"""A worker's time-limited right to an attempt: claim, renew, finish, lose.

Each transition is one guarded UPDATE inside the change of its run. Only the database's clock is compared with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Q

from engine.core import kinds
from engine.core import news as n
from engine.core.channel import Write
from engine.core.plan import Plan, PlanTask
from engine.core.state import RunState, TaskState, TaskStatus
from engine.runs import attempts, database, values
from engine.runs.attempts import LEASE_SECONDS, Taken, Taker
from engine.runs.channels import apply_writes
from engine.runs.fields import dumps
from engine.runs.ledger import Locked, Refused, Unit, change, seen, sight
from engine.runs.models import Attempt, Run, WorkerInstance
from engine.sql import row

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
_REAP_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claimed attempt with what its body needs, as it was when it was claimed."""

    attempt_id: int
    worker: str
    task: PlanTask
    unit: Unit
    job: int = 0  # the attempt whose message brought the worker here
    ahead: tuple[Taken, ...] = ()  # what the worker may go ahead with after those it has claimed together
    began_at: datetime | None = None  # where it began after it was claimed

    def with_ahead(self, ahead: list[Taken]) -> Claim:
        return replace(self, ahead=tuple(ahead))

    @property
    def run(self) -> Run:
        return self.unit.run

    @property
    def plan(self) -> Plan:
        return self.unit.plan

    @property
    def state(self) -> RunState:
        return self.unit.state

    @property
    def task_state(self) -> TaskState:
        return self.state.tasks[self.task.id]

    @property
    def token(self) -> int:
        """The number of the attempt."""
        return self.unit.table.places[self.task.id].attempt_no

    @property
    def task_row(self) -> int:
        return self.unit.table.row_id(self.task.id)


TakerFor = Callable[[str | None], Taker]
"""Gives, for the queue of an attempt, who may go on with its run."""


def claim(attempt_id: int, nonce: str, worker: str, taker_for: TakerFor | None = None) -> Claim | None:
    """Take a dispatched attempt; its task begins to run. None when it is not to be had: a normal outcome."""
    # The first statement of a job is the one that meets a dead connection.
    found = database.retried(lambda: row(_offer(sight()), (attempt_id, nonce)))
    return None if found is None else _claimed(found, worker, attempt_id, taker_for)


def pull(worker: str, job: int, queue: str, taker_for: TakerFor, until: float) -> Claim | None:
    """As `claim`, without a message: work of any run that waits in the database for room on the wire, one of the most
    urgent. None when there is none, or by the monotonic clock it is later than `until`.
    """
    while time.monotonic() < until:
        now = () if database.on_postgresql() else (database.now(),)
        found = row(_next(sight(), database.on_postgresql()), (queue, *now))
        if found is None:
            return None
        if taken := _claimed(found, worker, job, taker_for):
            return taken
    return None


def _claimed(found: Sequence[Any], worker: str, job: int, taker_for: TakerFor | None) -> Claim | None:
    """`found`: an attempt's id and task, and the run as `seen` wants it."""
    attempt_id, key, *values = found
    known = seen(values)

    def step(unit: Unit) -> Claim | None:
        task = unit.state.tasks[key]
        planned = attempts.settings_of(unit, task)
        if not unit.tell(n.TaskStarted(key, unit.at, worker)):
            raise Refused  # the run is paused: the attempt stays where it is
        if task.status is not TaskStatus.RUNNING:
            _close(attempt_id, Attempt.CANCELLED, unit.moment)
            return None
        if kinds.is_inline(planned):
            _close(attempt_id, Attempt.OK, unit.moment)
            unit.carry_out_inline(key)
            return None
        unit.writes.add("begun", (attempt_id, *attempts.right(unit, worker, job, planned)))
        unit.table.load(unit.plan.sources(key))
        if taker_for is not None:
            attempts.reserve(unit, taker_for(planned.queue), [planned])
        return Claim(attempt_id=attempt_id, worker=worker, task=planned, unit=unit, job=job)

    try:
        taken = change(known.run.pk, step, keys=(key,), known=known)
    except Refused:
        return None
    return taken and taken.with_ahead(taken.unit.ahead)


@cache
def _offer(run: str) -> str:
    return f"{_ATTEMPT.format(run)} WHERE engine_attempt.id = %s AND nonce = %s AND state = 'dispatched' AND NOT held"


@cache
def _next(run: str, on_postgresql: bool) -> str:
    """Not always the very first: many workers look at the same moment, and only one of them would get it."""
    due = "clock_timestamp()" if on_postgresql else "%s"
    return (
        f"{_ATTEMPT.format(run)} WHERE engine_attempt.id = (SELECT id FROM (SELECT waiting.id FROM engine_attempt AS waiting "  # noqa: S608
        "JOIN engine_run AS its ON its.id = waiting.run_id WHERE waiting.state = 'dispatched' AND NOT waiting.held "
        f"AND waiting.queue = %s AND waiting.published_at IS NULL AND waiting.publish_after <= {due} AND NOT its.paused "
        f"ORDER BY waiting.priority, waiting.id LIMIT {_FIRST_FEW}) AS few ORDER BY random() LIMIT 1)"
    )


_FIRST_FEW = 4
_ATTEMPT = (
    "SELECT engine_attempt.id, engine_attempt.key, {} FROM engine_attempt "
    "JOIN engine_run ON engine_run.id = engine_attempt.run_id"
)


def _close(attempt_id: int, state: str, moment: datetime) -> None:
    """End an attempt that nobody has to carry out. Raises Refused when somebody has it."""
    waiting = Attempt.objects.filter(pk=attempt_id, state=Attempt.DISPATCHED)
    if not waiting.update(state=state, ended_at=moment, lease_until=None):
        raise Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a claimed attempt went: news for the run, channel writes of a success, inputs for people to look at."""

    news: n.BodyReport
    writes: tuple[Write, ...] = ()
    inputs: Any = None


def record(unit: Unit, claim: Claim, report: Report) -> None:
    """Fold how an attempt went into its run."""
    news = report.news
    if isinstance(news, n.TaskFinished) and news.wishes is not None:
        unit.table.load(spawn.task_id for spawn in news.wishes.spawn)
    news = _with_writes(unit.run.pk, news, report.writes)
    unit.tell(news)
    state, ended_at, *shown = _outcome(unit, news, report.inputs)
    unit.writes.add("finished", (claim.attempt_id, claim.worker, state, ended_at, *shown, claim.began_at))


def _outcome(unit: Unit, news: n.BodyReport, inputs: Any = None) -> tuple[Any, ...]:
    """State, end, inputs, result, its blob, error and traceback of an attempt that is over."""
    result = digest = error = traceback = None
    if isinstance(news, n.TaskFinished):
        state = Attempt.OK
        if news.value is not None:
            result = dumps(news.value)
            digest = values.place(news.value, result)[1]
    elif isinstance(news, n.TaskSuspended):
        state = Attempt.SUSPENDED
    else:
        state = {"worker_lost": Attempt.LOST, "released": Attempt.RELEASED}.get(news.kind, Attempt.ERROR)
        error = news.error if news.kind in ("error", "invalid") else f"{news.kind}: {news.error}"
        traceback = news.traceback or None
    shown = None if inputs is None else dumps(inputs)
    return state, unit.moment, shown, None if digest else result, digest, error, traceback


def _with_writes(run_id: int, news: n.BodyReport, writes: tuple[Write, ...]) -> n.BodyReport:
    """Keep the channel writes of a success; one that fits no channel makes the attempt a failure."""
    if not writes or not isinstance(news, n.TaskFinished):
        return news
    try:
        apply_writes(run_id, writes)
    except TypeError as error:
        return n.TaskFailed(
            task_id=news.task_id, at=news.at, error=f"channel write: {error}", kind="invalid", retryable=False
        )
    return news


def keep_late(claim: Claim, report: Report) -> None:
    """Keep the result of an attempt that belongs to nobody any more, for people to see."""
    news = report.news
    late = values.preview(news.value) if isinstance(news, n.TaskFinished) else type(news).__name__
    with database.writing():
        Attempt.objects.filter(pk=claim.attempt_id).update(late_result=[late])
    log.info("leases: a late result of attempt %d was refused", claim.attempt_id)


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
        state, ended_at, _, _, _, error, traceback = _outcome(unit, news)
        over = {"state": state, "ended_at": ended_at, "lease_until": None, "error": error, "traceback": traceback}
        job = claimed.values_list("job", flat=True).first()
        if claimed.update(**over) != 1:
            raise Refused
        attempts.hand_back(unit, job, "what it was to follow has ended")
        unit.tell(news)
        return True

    try:
        return change(run_id, step, keys=(news.task_id,), skip_locked=expired)
    except (Refused, Locked):
        return False


def lost(attempt_id: int, *, worker: str | None = None, expired: bool = False, why: str = "its worker died") -> bool:
    """The worker of an attempt is gone: the task is tried again from its budget for such losses."""
    return _given_up(attempt_id, worker, why, kind="worker_lost", expired=expired)


def lost_with(job: int, worker: str, why: str) -> int:
    """The child that worked off a job is gone, with all it had claimed; how many attempts that were."""
    return sum(lost(attempt_id, worker=worker, why=why) for attempt_id in _claimed_by(job, worker))


def released(job: int, worker: str) -> int:
    """The worker stops and hands back what a job of it has claimed: tried again at once, counted against no budget."""
    why = "its worker was stopped"
    return sum(_given_up(attempt_id, worker, why, kind="released") for attempt_id in _claimed_by(job, worker))


def killed(attempt_id: int, worker: str, *, why: str, kind: Any = "error") -> bool:
    """The worker is about to kill the body of an attempt: nobody waits for it any more."""
    return _given_up(attempt_id, worker, why, kind=kind)


def _claimed_by(job: int, worker: str) -> list[int]:
    claimed = Attempt.objects.filter(job=job, state=Attempt.CLAIMED, worker=worker)
    return list(claimed.order_by("pk").values_list("pk", flat=True))


def _given_up(attempt_id: int, worker: str | None, why: str, *, kind: Any, expired: bool = False) -> bool:
    key = Attempt.objects.filter(pk=attempt_id, state=Attempt.CLAIMED).values_list("key", flat=True).first()
    if key is None:
        return False
    news = n.TaskFailed(task_id=key, at=0.0, error=why, kind=kind, retryable=kind in ("timeout", "worker_lost"))
    return give_up(attempt_id, news, worker=worker, expired=expired)


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Attempts whose bodies a worker should end, as (attempt, its job): `cancelled` maps them to seconds since
    the request.
    """

    cancelled: dict[tuple[int, int], float]
    overdue: tuple[tuple[int, int], ...]


def renew(worker: str, jobs: Iterable[int]) -> Unwanted:
    """Extend the leases of exactly what this worker's present jobs have claimed; says which bodies to end."""
    ids = list(jobs)
    mine = Attempt.objects.filter(job__in=ids, state=Attempt.CLAIMED, worker=worker)
    with database.writing():
        if ids:
            mine.update(lease_until=database.in_seconds(LEASE_SECONDS))
        WorkerInstance.objects.filter(pk=worker).update(last_seen=database.in_seconds(0))
    if not ids:
        return Unwanted({}, ())
    moment = database.now()
    unwanted = mine.filter(Q(cancel_requested_at__isnull=False) | Q(deadline_at__lt=moment))
    cancelled: dict[tuple[int, int], float] = {}
    overdue: list[tuple[int, int]] = []
    for attempt_id, job, requested in unwanted.values_list("pk", "job", "cancel_requested_at"):
        if requested is not None:
            cancelled[attempt_id, job or attempt_id] = (moment - requested).total_seconds()
        else:
            overdue.append((attempt_id, job or attempt_id))
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
