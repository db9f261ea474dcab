"""The attempts of a change: what becomes ready is written down as work, and offered to the wire or taken on the spot.

An attempt in state `dispatched` is the outbox: its message may be lost, the row stays. A worker that has just
recorded something may take the run's next work within the same transaction; a chain then costs one commit per
task and no trip over the broker.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from engine.core import news as n
from engine.core.foresight import foreseen, near
from engine.core.plan import PlanTask
from engine.core.state import TaskState, TaskStatus
from engine.runs import database, hooks
from engine.runs.models import Attempt, WorkerInstance
from engine.runs.rows import Place
from engine.runs.statements import ATTEMPTS
from engine.sql import row

if TYPE_CHECKING:
    from engine.runs.ledger import Unit

LEASE_SECONDS = 20.0
START_TO_CLOSE_SECONDS = 900.0
"""How long a body may run when its task has no timeout of its own."""
DEADLINE_GRACE = 10.0
FAST_SECONDS = 1.5
"""How long the engine process leaves a new attempt to whoever made it."""
DEFAULT_QUEUE = "default"
_LOOK_AHEAD = 4  # stretches whose tasks are read together: if they come as foreseen, one read serves all of them
_PER_SLOT, _LEAST_WINDOW, _LOOK_SECONDS = 4, 8, 5.0


@dataclass(slots=True, kw_only=True)
class New:
    """A new attempt, in the order of its columns; `id` is known once it is written. `was_lost`: one before it was."""

    run_id: int
    task_id: int | None = None
    key: str
    number: int
    iteration: int
    attempt: int
    nonce: str
    queue: str
    priority: int
    state: str = Attempt.DISPATCHED
    created_at: datetime
    publish_after: datetime
    held: bool = False
    publish_count: int = 0
    worker: str | None = None
    job: int | None = None
    lease_until: datetime | None = None
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    id: int = 0
    was_lost: bool = False


_columns = attrgetter(*ATTEMPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A worker that may go on with a run. `job` is the attempt whose message it is working off; `can` says whether
    it could carry a task out; `most` is how many attempts it takes at once of tasks that `is_short` knows to be short,
    `ahead` how many more it may go ahead with, of tasks that `is_plain` knows to be short and to simply work.
    """

    worker: str
    job: int
    can: Callable[[PlanTask], bool]
    is_short: Callable[[PlanTask], bool]
    most: int = 1
    ahead: int = 0
    is_plain: Callable[[PlanTask], bool] = lambda task: False


@dataclass(slots=True)
class Taken:
    """An attempt taken within a change; `id` is known once the change is kept."""

    key: str
    task: PlanTask
    id: int = 0


def limit_of(task: PlanTask) -> float:
    """Seconds a body of this task may run."""
    return task.timeout or START_TO_CLOSE_SECONDS


# -- how much may be on the wire ------------------------------------------------------------------------------------

_slots = (0.0, 0)  # (when it was looked up, by the monotonic clock; how many)


def window() -> int:
    """Attempts that may be on the wire before new ones wait in the database, where priority and pause reach them."""
    global _slots
    looked, slots = _slots
    if time.monotonic() - looked > _LOOK_SECONDS or not looked:
        alive = WorkerInstance.objects.filter(draining=False, last_seen__gt=database.in_seconds(-LEASE_SECONDS))
        slots = alive.aggregate(slots=Sum("slots"))["slots"] or 0
        _slots = (time.monotonic(), slots)
    return max(_LEAST_WINDOW, _PER_SLOT * slots)


def _waiting(most: int) -> int:
    """Attempts that are on the wire or about to be; counted only as far as the window reaches."""
    found: int = row(WAITING, (most + 1,))[0]
    return found


WAITING = (
    "SELECT count(*) FROM (SELECT 1 FROM engine_attempt JOIN engine_run ON engine_run.id = engine_attempt.run_id "
    "WHERE state = 'dispatched' AND NOT held AND NOT paused LIMIT %s) AS waiting"
)


# -- new attempts ---------------------------------------------------------------------------------------------------


def make(unit: Unit, ready: list[str]) -> list[New]:
    """Attempts for the tasks in `ready` that are still ready; in a run that does one thing at a time they are held."""
    wanted = [key for key in dict.fromkeys(ready) if unit.state.tasks[key].status is TaskStatus.READY]
    if not wanted:
        return []
    most = window()
    waiting = _waiting(most) if unit.waiting is None else unit.waiting
    room = 0 if unit.state.paused else most - waiting
    held = unit.is_sequential and unit.state.live > 1
    made = []
    for place, key in enumerate(wanted):
        attempt = _new(unit, key, settings_of(unit, unit.state.tasks[key]))
        attempt.held = held
        attempt.publish_after = unit.moment + timedelta(seconds=FAST_SECONDS if place < room else 0)
        made.append(attempt)
    return made


def settings_of(unit: Unit, task: TaskState) -> PlanTask:
    return unit.plan.tasks.get(task.task_id) or unit.plan.dynamic(task.task_id, task.uses, task.settings)


def _new(unit: Unit, key: str, settings: PlanTask) -> New:
    task, place = unit.state.tasks[key], unit.table.places.setdefault(key, Place())
    _count(unit, key)
    # What was lost with its worker goes before other work of its priority: it has waited once already.
    urgency = unit.run.priority + settings.priority - bool(task.lost_count)
    return New(
        run_id=unit.run.pk, key=key, number=place.attempt_no, iteration=task.iteration, attempt=task.attempt,
        nonce=secrets.token_hex(16), queue=settings.queue or DEFAULT_QUEUE, created_at=unit.moment,
        publish_after=unit.moment, priority=urgency, was_lost=task.lost_count > 0,
    )  # fmt: skip


def keep(unit: Unit, made: list[New]) -> None:
    """Have new attempts written when the unit sends what it gathered."""
    for attempt in made:
        attempt.task_id = unit.table.places[attempt.key].id
        unit.writes.add("attempts", _columns(attempt))


def messages(made: list[New]) -> list[hooks.DispatchMessage]:
    """What is to be published at once."""
    return [
        hooks.DispatchMessage(
            attempt_id=attempt.id, nonce=attempt.nonce, queue=attempt.queue, is_urgent=attempt.was_lost
        )
        for attempt in made
        if attempt.state == Attempt.DISPATCHED and attempt.publish_after > attempt.created_at and not attempt.held
    ]


def give_turn(unit: Unit, made: list[New]) -> list[hooks.DispatchMessage]:
    """In a run that does one thing at a time: let the most urgent attempt go once nothing is being done.

    Returns the message of one that waited before; one of `made` is simply no longer held.
    """
    held = [attempt for attempt in made if attempt.held]
    if not unit.is_sequential or unit.taken or not (held or unit.has_left_running) or not unit.state.live:
        return []
    if len(held) < len(made) or _is_busy(unit):
        return []
    after = unit.moment + timedelta(seconds=FAST_SECONDS)
    rows = Attempt.objects.filter(run_id=unit.run.pk, state=Attempt.DISPATCHED).order_by("priority", "pk")
    waiting = rows.values_list("priority", "pk", "nonce", "queue").first()
    first = min(held, key=lambda attempt: attempt.priority, default=None)
    if first is not None and (waiting is None or first.priority < waiting[0]):
        first.held, first.publish_after = False, after
        return []
    if waiting is None:
        return []
    _, pk, nonce, queue = waiting
    Attempt.objects.filter(pk=pk).update(held=False, publish_after=after)
    return [] if unit.state.paused else [hooks.DispatchMessage(attempt_id=pk, nonce=nonce, queue=queue)]


# -- work first: the finisher goes on -------------------------------------------------------------------------------


def take(unit: Unit, taker: Taker, ready: list[str]) -> list[New]:
    """Let `taker` begin work of this run: what has just become ready, else what waits in the database.

    The tasks it gets are in `unit.taken`; returns the attempts that are new. Whoever else holds a message of one
    of the others finds it claimed, which is no error.
    """
    state = unit.state
    if state.paused or state.closing is not None or state.is_final() or not state.live:
        return []
    fresh = [key for key in dict.fromkeys(ready) if state.tasks[key].status is TaskStatus.READY]
    made: list[New] = []
    for key, attempt_id in _chosen(unit, taker, fresh):
        task = settings_of(unit, state.tasks[key])
        unit.tell(n.TaskStarted(key, unit.at, taker.worker))
        if state.tasks[key].status is not TaskStatus.RUNNING:
            break  # the run has used all its steps
        unit.taken.append(Taken(key, task, attempt_id or 0))
        if attempt_id is None:
            made.append(_claimed(unit, taker, task))
        else:
            unit.writes.add("begun", (attempt_id, *right(unit, taker.worker, taker.job, task)))
    reserve(unit, taker, [taken.task for taken in unit.taken])
    return made


# -- going ahead ----------------------------------------------------------------------------------------------------


def reserve(unit: Unit, taker: Taker, begun: list[PlanTask]) -> None:
    """Let `taker` go ahead after the tasks it has `begun` with what surely follows them if they work.

    Only where nothing else of the run moves, and with tasks that were never tried: what has killed a worker once is
    not taken together with others. Their attempts are in `unit.ahead`; their tasks stay as they are until they begin.
    """
    if not taker.ahead or unit.state.live != len(begun) or not all(_may_go_ahead(unit, taker, task) for task in begun):
        return
    keys = [task.id for task in begun]
    if unit.table.lacks(near(unit.plan, keys, taker.ahead)):
        unit.table.load(near(unit.plan, keys, _LOOK_AHEAD * taker.ahead))
    for key in foreseen(unit.plan, unit.state, keys, taker.ahead):
        task = unit.plan.tasks[key]
        if task.priority != begun[0].priority or unit.table.places[key].attempt_no:
            return
        if not (taker.can(task) and _may_go_ahead(unit, taker, task)):
            return
        unit.ahead.append(Taken(key, task))
        unit.reserved.append(_reserved(unit, taker, task))


def _may_go_ahead(unit: Unit, taker: Taker, task: PlanTask) -> bool:
    # A limit of its own would count from the start of the stretch.
    return unit.state.tasks[task.id].attempt == 1 and task.timeout is None and taker.is_plain(task)


def _reserved(unit: Unit, taker: Taker, task: PlanTask) -> New:
    """The row says what may be done; the task's own number moves on when it begins, or is given back."""
    state = unit.state.tasks[task.id]
    return New(
        run_id=unit.run.pk, key=task.id, number=unit.table.places[task.id].attempt_no + 1, iteration=state.iteration,
        attempt=state.attempt, nonce=secrets.token_hex(16), queue=task.queue or DEFAULT_QUEUE, created_at=unit.moment,
        publish_after=unit.moment, priority=unit.run.priority + task.priority, state=Attempt.RESERVED,
        worker=taker.worker, job=taker.job,
    )  # fmt: skip


def begin_reserved(unit: Unit, taken: Taken, worker: str) -> bool:
    """Let a task whose attempt is reserved begin to run in memory; whether it does."""
    unit.tell(n.TaskStarted(taken.key, unit.at, worker))
    if unit.state.tasks[taken.key].status is not TaskStatus.RUNNING:
        return False
    _count(unit, taken.key)
    return True


def give_back(unit: Unit, taken: Taken, worker: str) -> None:
    """End a reserved attempt that was not begun."""
    why = "cancelled: it was not begun, the run took another way"
    unit.writes.add("finished", (taken.id, worker, Attempt.CANCELLED, unit.moment, None, None, None, why, None, None))
    _count(unit, taken.key)


def hand_back(unit: Unit, job: int | None, why: str) -> None:
    """End whatever is still reserved for a job: its worker may have done some of it, but that does not count."""
    rows = Attempt.objects.filter(run_id=unit.run.pk, job=job, state=Attempt.RESERVED)
    keys = list(rows.values_list("key", flat=True))
    if keys:
        rows.update(state=Attempt.RELEASED, ended_at=unit.moment, error=f"released: {why}")
        for key in keys:
            _count(unit, key)


def _count(unit: Unit, key: str) -> None:
    """A number of the task's attempts is used up."""
    unit.table.load([key])
    unit.table.places[key].attempt_no += 1
    unit.changed.add(key)


def right(unit: Unit, worker: str, job: int, task: PlanTask) -> tuple[Any, ...]:
    """Worker, job, lease, deadline and start of an attempt that is claimed now."""
    lease = unit.moment + timedelta(seconds=LEASE_SECONDS)
    deadline = unit.moment + timedelta(seconds=limit_of(task) + DEADLINE_GRACE)
    return worker, job, lease, deadline, unit.moment


def _claimed(unit: Unit, taker: Taker, task: PlanTask) -> New:
    made = _new(unit, task.id, task)
    made.state = Attempt.CLAIMED
    made.worker, made.job, made.lease_until, made.deadline_at, made.started_at = right(
        unit, taker.worker, taker.job, task
    )
    return made


def _chosen(unit: Unit, taker: Taker, fresh: list[str]) -> list[tuple[str, int | None]]:
    """(task, id of the attempt that waits for it or None) of what to begin, the most urgent first."""
    pool: list[tuple[int, int, str, int | None]] = []
    if unit.state.live > len(fresh) and (unit.is_sequential or not fresh):
        waiting = _waiting_here(unit, taker.most)
        if waiting is None:
            return []
        pool = [(priority, tries, key, pk) for pk, key, priority, tries in waiting]
        unit.table.load({key for *_, key, _ in pool} | _around(unit, [key for *_, key, _ in pool]))
    for key in fresh:
        task = unit.state.tasks[key]
        pool.append((unit.run.priority + settings_of(unit, task).priority, task.attempt, key, None))
    pool = [choice for choice in pool if taker.can(settings_of(unit, unit.state.tasks[choice[2]]))]
    pool.sort(key=lambda choice: choice[0])
    several = 1 if unit.is_sequential else taker.most
    chosen: list[tuple[str, int | None]] = []
    for _, tries, key, pk in pool:
        # A second try is never taken together with others: what has killed a worker once would take them with it.
        alone = tries > 1 or not taker.is_short(settings_of(unit, unit.state.tasks[key]))
        if chosen and alone:
            continue
        chosen.append((key, pk))
        if alone or len(chosen) >= several:
            break
    return chosen


def _around(unit: Unit, keys: list[str]) -> set[str]:
    """Tasks that an execution of these reads or an end of it touches."""
    return {other for key in keys for other in (*unit.plan.sources(key), *unit.plan.successors(key))}


def _waiting_here(unit: Unit, most: int) -> list[tuple[int, str, int, int]] | None:
    """(id, task, priority, try) of work of this run that nobody has begun, the most urgent first. None when the
    run does one thing at a time and something is being done.
    """
    if unit.is_sequential:
        first = _first_open(unit)
        if first is None:
            return []
        *work, held = first
        return [(work[0], work[1], work[2], work[3])] if held else None
    rows = Attempt.objects.filter(run_id=unit.run.pk, state=Attempt.DISPATCHED, held=False)
    return list(rows.order_by("priority", "pk").values_list("pk", "key", "priority", "attempt")[: most * 2])


def _first_open(unit: Unit) -> Any:
    """(id, task, priority, try, held) of what is being done or on its way to be, else of what is to come next."""
    finished = unit.writes.finished
    others = f"AND id NOT IN ({', '.join(['%s'] * len(finished))})" if finished else ""
    sql = (
        "SELECT id, key, priority, attempt, held FROM engine_attempt WHERE run_id = %s "  # noqa: S608
        f"AND state IN ('dispatched', 'claimed') {others} ORDER BY held, priority, id LIMIT 1"
    )
    return row(sql, (unit.run.pk, *finished))


def _is_busy(unit: Unit) -> bool:
    """Whether something of a run that does one thing at a time is being done, or on its way to be."""
    first = _first_open(unit)
    return first is not None and not first[-1]
