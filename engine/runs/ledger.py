"""One function changes a run: lock it, let the core decide, keep everything, tell others after the commit.

    change(run_id, step)     `step` gets the Unit of the transaction: guard first, then `unit.tell(news)`

Whatever a step refuses rolls back and changes nothing. There is no network and no user code in here.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from engine.core import kinds
from engine.core import news as n
from engine.core.fold import Decision
from engine.core.history import Entry
from engine.core.machine import advance
from engine.core.plan import Plan
from engine.core.state import RunState, TaskStatus
from engine.runs import attempts, database, hooks, outbox, questions, subruns, values
from engine.runs.attempts import New, Taken, Taker
from engine.runs.fields import dumps
from engine.runs.models import Attempt, FeedbackRequest, Run, Timer
from engine.runs.plans import plan_of
from engine.runs.prepared import Columns
from engine.runs.rows import RowChannels, RowTable
from engine.runs.statements import Late, Moved, Writes
from engine.sql import NeedsLock, only_reads, row

log = logging.getLogger(__name__)

T = TypeVar("T")

INLINE_BUDGET = 200
"""Steps without a worker that one transaction carries out; the next one waits for its turn like any attempt."""
_EVENT_TEXT = 2_000


class Refused(Exception):
    """A guard did not hold: the news came late or twice. Nothing was changed."""


class Locked(Exception):
    """Somebody else is changing this run; try again later."""


class Unit:
    """One change of one run, inside its transaction. `at` is the database's time in seconds, never before
    the run's newest event.
    """

    def __init__(self, run: Run, plan: Plan, state: RunState, at: float) -> None:
        self.run, self.plan, self.state, self.at = run, plan, state, at
        self.read_at = time.monotonic()
        self.is_spent = False  # whether a later change has gone on from this state
        self.writes = Writes()
        self.waiting: int | None = None  # attempts on the wire, where that was just looked up
        self.taken: list[Taken] = []
        self.ahead: list[Taken] = []  # what the taker may go ahead with
        self.reserved: list[New] = []  # the attempts of those
        self.touched_feedback: list[str] = []
        self.changed: set[str] = set()
        self._entries: list[Entry] = []
        self._ready: deque[str] = deque()
        self._attempts: list[str] = []
        self._budget = INLINE_BUDGET
        self._retries: list[n.ArmTimer] = []
        self._cancel: set[str] = set()
        self.to_follow: list[int] = []  # rows of ChildRun whose next step is due after the commit

    @property
    def table(self) -> RowTable:
        table = self.state.tasks
        assert isinstance(table, RowTable)
        return table

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def look_at_the_clock(self) -> None:
        """Let what is told from now on happen now."""
        passed = time.monotonic() - self.read_at
        self.at, self.read_at = self.at + passed, self.read_at + passed

    def tell(self, news: n.News) -> Decision:
        """Fold news into the run and note what has to be done about it."""
        self.state.log = []
        decision = advance(self.plan, self.state, replace(news, at=self.at))
        self._entries += decision.entries
        self.changed |= decision.changed
        for command in decision.commands:
            if isinstance(command, n.RunTask):
                self._ready.append(command.task_id)
            elif isinstance(command, n.ArmTimer):
                self._retries.append(command)
            elif isinstance(command, n.CancelTask):
                self._cancel.add(command.task_id)
                subruns.cancel(self, command.task_id)
            elif isinstance(command, n.StartChild):
                subruns.ask(self, command)
            elif isinstance(command, n.Notify):
                outbox.put(self, command.notice)
            elif isinstance(command, n.WithdrawRequests):
                questions.withdraw(self, command.task_id)
        if isinstance(news, n.TaskSuspended):
            self._ask(news, decision)
        return decision

    def _ask(self, news: n.TaskSuspended, decision: Decision) -> None:
        """Open what the body asked. An answer that was given before the body waited for it counts at once."""
        if self.state.tasks[news.task_id].status is not TaskStatus.FEEDBACK_REQUIRED:
            return
        asked = questions.open_requests(self, news)
        for entry in decision.entries:
            if entry[0] == "feedback_requested" and entry[7] is not None:
                entry[7]["feedback_id"] = str(asked[entry[7]["key"]].public_id)
        awaited = asked[news.requests[-1].key]
        if awaited.state in FeedbackRequest.DECIDED:
            self.tell(questions.as_news(awaited, self.at))

    def reuse(self, kept: dict[str, Any]) -> None:
        """Let ready tasks work at once with the results they had in an earlier run."""
        while task_id := next((key for key in self._ready if key in kept), None):
            self._ready.remove(task_id)
            self.tell(n.TaskStarted(task_id, self.at, "kept"))
            self.tell(n.TaskFinished(task_id, self.at, kept.pop(task_id)))

    # -- what is ready ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Carry out ready steps that need no worker; the others become attempts."""
        while self._ready or self._retries:
            self._release_due()
            if not self._ready:
                return
            task_id = self._ready.popleft()
            task = self.plan.tasks.get(task_id)
            if self.state.tasks[task_id].status is not TaskStatus.READY:
                continue
            if task is None or not kinds.is_inline(task):
                self._attempts.append(task_id)
            elif self.state.paused:
                continue  # carried out when the run is resumed
            elif self._budget:
                self._budget -= 1
                self.tell(n.TaskStarted(task_id, self.at))
                self.carry_out_inline(task_id)
            else:
                self._attempts.append(task_id)

    def _release_due(self) -> None:
        """What is due at once needs no timer."""
        due = [retry for retry in self._retries if retry.due <= self.at]
        self._retries = [retry for retry in self._retries if retry.due > self.at]
        for retry in due:
            self.tell(n.TimerRang(retry.task_id, self.at))

    def carry_out_inline(self, task_id: str) -> None:
        """The whole execution of a running step without a function, in this transaction."""
        if self.state.tasks[task_id].status is not TaskStatus.RUNNING:
            return
        self.table.load(self.plan.sources(task_id))
        port = questions.StoredAnswers(self.run.public_id, self.table.places[task_id].id)
        report = kinds.carry_out(self.plan, self.state, task_id, feedback=port, at=self.at)
        self.tell(storable(report))

    # -- keeping it ---------------------------------------------------------------------------------------------

    def keep(self, taker: Taker | None = None, expected: int | None = None) -> None:
        """Write everything that changed, in few statements. With a `taker` the run's next work may be its; with
        an `expected` seq only if the run is still there.
        """
        begun = attempts.take(self, taker, self._attempts) if taker is not None else []
        if not (self._entries or self.changed or self.touched_feedback):
            self.writes.send(expected)
            return
        for _, task_id, _, to, _, _, at, _ in self._entries:
            if task_id is not None and to is not None:
                self.table.note_times(task_id, to, at)
        questions.withdraw_left_over(self)
        subruns.note_end(self)
        self._close_attempts()
        made = begun + self.reserved + attempts.make(self, self._attempts)
        self.table.save(sorted(self.changed), self.writes)
        waiting = attempts.give_turn(self, made)
        attempts.keep(self, made)
        self._keep_timers()
        self._keep_events()
        self._keep_run()
        ids = self.writes.send(expected)
        for attempt in made:
            attempt.id = ids[attempt.nonce]
        new = {attempt.key: attempt.id for attempt in begun + self.reserved}
        for taken in self.taken + self.ahead:
            taken.id = taken.id or new[taken.key]
        transaction.on_commit(partial(_after_commit, self._hint(), attempts.messages(made) + waiting, self.to_follow))

    @property
    def has_left_running(self) -> bool:
        """Whether a task stopped running in this change, so that a worker may be free."""
        return any(entry[2] == "running" for entry in self._entries)

    def _close_attempts(self) -> None:
        """Attempts of tasks that were closed before anybody claimed them; requests to end running bodies."""
        left = {entry[1] for entry in self._entries if entry[0] == "task_status" and entry[2:4] == ("ready", "skipped")}
        if left:
            Attempt.objects.filter(run_id=self.run.pk, key__in=left, state=Attempt.DISPATCHED).update(
                state=Attempt.CANCELLED, ended_at=self.moment
            )
        if self._cancel:
            running = Attempt.objects.filter(run_id=self.run.pk, key__in=self._cancel, state=Attempt.CLAIMED)
            running.update(cancel_requested_at=self.moment)
        if self.state.is_final():
            self.writes.add("timers", (self.run.pk, self.moment))  # those that are armed have nothing left to do

    def _keep_timers(self) -> None:
        waiting = [r for r in self._retries if may_ring(self.plan, self.state, r.task_id)]
        if not waiting:
            return
        Timer.objects.bulk_create(
            Timer(
                run_id=self.run.pk,
                task_id=self.table.row_id(retry.task_id),
                key=retry.task_id,
                kind=Timer.RETRY,
                token=token_of(self.state, retry.task_id),
                due_at=datetime.fromtimestamp(retry.due, UTC),
            )
            for retry in waiting
        )

    def _keep_events(self) -> None:
        run = self.run
        for kind, task_id, before, to, iteration, attempt, at, data in self._entries:
            run.seq += 1
            text = dumps(_small(data)) if data else None
            self.writes.add("events", (run.pk, run.seq, kind, task_id, before, to, iteration, attempt, at, text))

    def _keep_run(self) -> None:
        run, state = self.run, self.state
        run.counters, run.last_at, run.reason, run.paused = state.counters(), self.at, state.reason, state.paused
        if run.status != state.status:
            run.status = state.status
            if run.started_at is None and state.status != "pending":
                run.started_at = self.moment
            if state.is_final():
                run.ended_at = self.moment
        self.writes.add(
            "run",
            (
                run.pk, run.seq, dumps(run.counters), run.last_at, run.status, run.reason, run.paused, run.started_at,
                run.ended_at,
            ),
        )  # fmt: skip
        if self.touched_feedback:
            (run.open_feedback,) = row(_COUNT_OPEN, (run.pk, run.pk))

    def _hint(self) -> hooks.Hint:
        return hooks.Hint(
            run=str(self.run.public_id), seq=self.run.seq, feedback=tuple(dict.fromkeys(self.touched_feedback))
        )

    @property
    def is_sequential(self) -> bool:
        return self.plan.execution_mode == "sequential"

    def resume_inline(self) -> None:
        """Take up ready steps that could not be carried out while the run was paused."""
        for task in self.table.unfinished():
            planned = self.plan.tasks.get(task.task_id)
            if task.status is TaskStatus.READY and planned is not None and kinds.is_inline(planned):
                self._ready.append(task.task_id)


def may_ring(plan: Plan, state: RunState, task_id: str) -> bool:
    """Whether the task still waits for a timer: for its next try, or for the end of its delay."""
    task = state.tasks[task_id]
    if task.status is TaskStatus.RETRY_WAITING:
        return True
    planned = plan.tasks.get(task_id)
    return task.status is TaskStatus.RUNNING and planned is not None and planned.kind == "delay"


def token_of(state: RunState, task_id: str) -> str:
    """What a retry's timer belongs to; void as soon as the task has moved on."""
    task = state.tasks[task_id]
    return f"{task.iteration}.{task.attempt}"


def storable(report: kinds.Report) -> kinds.Report:
    """The report, or a failure where its value cannot be kept."""
    try:
        if isinstance(report, n.TaskFinished):
            values.check(report.value)
        elif isinstance(report, n.TaskSuspended):
            for request in report.requests:
                values.check(request.data, "The data of the request")
        elif isinstance(report, n.TaskDelegated):
            values.check(report.inputs, "The inputs of the workflow")
    except values.Unstorable as error:
        return n.TaskFailed(
            task_id=report.task_id, at=report.at, error=f"{error.code}: {error}", kind="invalid", retryable=False
        )
    return report


def change(
    run_id: int, step: Callable[[Unit], T], *, keys: tuple[str, ...] = (), skip_locked: bool = False,
    taker: Taker | None = None, known: Unit | None = None,
) -> T:  # fmt: skip
    """Run `step` as one transaction under the run's lock and keep what it did.

    `keys`: tasks the step is about; they and what follows them are loaded in one query. `known`: the unit of an
    earlier change; its state is used again where nobody has changed the run since. `taker` may begin the run's
    next work in the same transaction. Raises Refused when the step does, Locked when `skip_locked` and somebody
    else has the run.
    """

    def once() -> T:
        with database.writing():
            unit = _open(run_id, keys, skip_locked, known)
            result = step(unit)
            unit.settle()
            unit.keep(taker)
            return result

    try:
        if known is not None and not known.is_spent and database.on_postgresql() and not connection.in_atomic_block:
            try:
                return _at_a_stroke(known, step, keys, taker)
            except (Moved, NeedsLock, OperationalError, InterfaceError) as why:
                log.debug("ledger: run %d is changed under its lock: %r", run_id, why)
        return database.retried(once)
    except Late:
        raise Refused from None
    except Moved:
        if taker is None:
            raise Refused from None
        return change(run_id, step, keys=keys, skip_locked=skip_locked)  # without what is no longer to be had


def _at_a_stroke(known: Unit, step: Callable[[Unit], T], keys: tuple[str, ...], taker: Taker | None) -> T:
    """The whole change as one statement that writes only if nobody has changed the run since `known`.

    What is read on the way is safe without a lock: whoever changes it moves the run on as well. Raises Moved when
    somebody did, and NeedsLock when the change writes anything beside that statement.
    """
    expected = known.run.seq
    unit = go_on(known)
    with only_reads():
        unit.table.load(_about(unit.plan, keys))
        result = step(unit)
        unit.settle()
        unit.keep(taker, expected)
    return result


def go_on(known: Unit) -> Unit:
    """A change that starts from where another one ended, in memory: whether the run is still there, `go_on_to_the_end`
    will see. Nothing may be written before.
    """
    known.is_spent = True  # its state changes now, whether or not that will be kept
    unit = Unit(known.run, known.plan, known.state, known.at + time.monotonic() - known.read_at)
    unit.state.channels = RowChannels(known.run.pk)
    return unit


def go_on_to_the_end(unit: Unit, expected: int, taker: Taker | None) -> None:
    """Keep what was told to a unit of `go_on`, if the run's newest event is still the `expected` one. Raises Moved."""
    if database.on_postgresql() and not connection.in_atomic_block:
        with only_reads():
            unit.settle()
            unit.keep(taker, expected)
        return
    with database.writing():
        if _lock(unit.run.pk)[0] != expected:
            raise Moved
        unit.settle()
        unit.keep(taker)


def record(run_id: int, news: n.News, guard: Callable[[Unit], bool] | None = None) -> bool:
    """Fold one piece of news into a run if `guard` holds; whether it did."""

    def step(unit: Unit) -> bool:
        if guard is not None and not guard(unit):
            raise Refused
        return bool(unit.tell(news))

    try:
        return change(run_id, step, keys=(news.task_id,) if hasattr(news, "task_id") else ())
    except Refused:
        return False


def _open(run_id: int, keys: tuple[str, ...], skip_locked: bool, known: Unit | None = None) -> Unit:
    if known is not None and not known.is_spent:
        known.is_spent = True  # its state changes now, whether or not that will be kept
        seq, now = _lock(run_id)
        if seq == known.run.seq:
            known.state.channels = RowChannels(run_id)
            unit = Unit(known.run, known.plan, known.state, max(now, known.run.last_at))
            unit.table.load(_about(known.plan, keys))
            return unit
    lock = (" FOR UPDATE SKIP LOCKED" if skip_locked else " FOR UPDATE") if database.on_postgresql() else ""
    found = row(f"SELECT {sight()} FROM engine_run WHERE id = %s{lock}", (run_id,))  # noqa: S608
    if found is None:
        raise Locked if skip_locked else Refused
    unit = seen(found)
    if keys:
        unit.table.load(_about(unit.plan, keys))
    return unit


RUN = Columns(Run)


def sight() -> str:
    """What `seen` wants of a row of engine_run, as the columns of a SELECT."""
    return f"{RUN.text}, clock_timestamp()" if database.on_postgresql() else RUN.text


def seen(found: Sequence[Any]) -> Unit:
    """The unit of a run as it was read, for `change` to start from: whether it is still so is seen then."""
    values, now = (found[:-1], found[-1]) if database.on_postgresql() else (found, database.now())
    run = RUN.instance(values)
    plan = plan_of(run.version_id)
    table = RowTable(run.pk, size=len(plan.tasks))
    state = RunState.from_counters(run.counters, tasks=table, inputs=run.inputs)
    state.channels = RowChannels(run.pk)
    return Unit(run, plan, state, max(now.timestamp(), run.last_at))


def _about(plan: Plan, keys: tuple[str, ...]) -> set[str]:
    """These tasks and those an end of theirs may touch."""
    return {*keys, *(follower for key in keys for follower in plan.successors(key))}


def _lock(run_id: int) -> tuple[int, float]:
    """Lock a run; (number of its newest event, the database's time)."""
    on_postgresql = database.on_postgresql()
    found = row(_LOCK if on_postgresql else _LOOK, (run_id,))
    seq, *at = found or (0,)
    return seq, (at[0] if at else database.now()).timestamp()


_COUNT_OPEN = (
    "UPDATE engine_run SET open_feedback = (SELECT count(*) FROM engine_feedbackrequest WHERE run_id = %s AND state = 'open') "
    "WHERE id = %s RETURNING open_feedback"
)
_LOOK = "SELECT seq FROM engine_run WHERE id = %s"
_LOCK = "SELECT seq, clock_timestamp() FROM engine_run WHERE id = %s FOR UPDATE"


def _small(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Event data without what belongs elsewhere: tracebacks stay with their attempt, long texts are cut."""
    if not data:
        return None
    return {
        key: f"{value[:_EVENT_TEXT]}…" if isinstance(value, str) and len(value) > _EVENT_TEXT else value
        for key, value in data.items()
        if key != "traceback"
    }


def _after_commit(hint: hooks.Hint, messages: list[hooks.DispatchMessage], to_follow: list[int]) -> None:
    hooks.send(messages)
    hooks.tell(hint)
    hooks.follow_up(to_follow)


__all__ = [
    "RUN", "Locked", "Refused", "Unit", "change", "go_on", "go_on_to_the_end", "record", "seen", "sight", "storable",
]  # fmt: skip
