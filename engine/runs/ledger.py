"""One function changes a run: lock it, let the core decide, keep everything, tell others after the commit.

    change(run_id, step)     `step` gets the Unit of the transaction: guard first, then `unit.tell(news)`

Whatever a step refuses rolls back and changes nothing. There is no network and no user code in here.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import transaction

from engine.core import kinds
from engine.core import news as n
from engine.core.fold import Decision
from engine.core.history import Entry
from engine.core.machine import advance
from engine.core.plan import Plan
from engine.core.state import RunState, TaskStatus
from engine.runs import database, hooks, outbox, questions, subruns, values
from engine.runs.models import Attempt, FeedbackRequest, Run, RunEvent, Timer
from engine.runs.plans import plan_of
from engine.runs.rows import Place, RowChannels, RowTable

log = logging.getLogger(__name__)

T = TypeVar("T")

INLINE_BUDGET = 200
"""Steps without a worker that one transaction carries out; the next one waits for its turn like any attempt."""
FAST_SECONDS = 1.5
"""How long the engine process leaves a new attempt to whoever made it."""
WINDOW = 120
"""Attempts that may be on the wire before new ones wait in the database, where priority and pause reach them."""
DEFAULT_QUEUE = "default"
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

    def keep(self) -> None:
        """Write everything that changed, in few statements."""
        if not (self._entries or self.changed or self.touched_feedback):
            return
        for _, task_id, _, to, _, _, at, _ in self._entries:
            if task_id is not None and to is not None:
                self.table.note_times(task_id, to, at)
        questions.withdraw_left_over(self)
        subruns.note_end(self)
        self._close_attempts()
        attempts = self._new_attempts()
        self.table.save(sorted(self.changed))
        self._keep_attempts(attempts)
        messages = self._messages(attempts) + self._next_turn(attempts)
        self._keep_timers()
        self._keep_events()
        self._keep_run()
        transaction.on_commit(partial(_after_commit, self._hint(), messages, self.to_follow))

    def _close_attempts(self) -> None:
        """Attempts of tasks that were closed before anybody claimed them; requests to end running bodies."""
        open_attempts = Attempt.objects.filter(run_id=self.run.pk)
        left = {entry[1] for entry in self._entries if entry[0] == "task_status" and entry[2:4] == ("ready", "skipped")}
        if left:
            open_attempts.filter(key__in=left, state=Attempt.DISPATCHED).update(
                state=Attempt.CANCELLED, ended_at=self.moment
            )
        if self._cancel:
            open_attempts.filter(key__in=self._cancel, state=Attempt.CLAIMED).update(cancel_requested_at=self.moment)
        if self.state.is_final():
            Timer.objects.filter(run_id=self.run.pk, fired_at=None).update(fired_at=self.moment)

    def _new_attempts(self) -> list[Attempt]:
        wanted = [key for key in dict.fromkeys(self._attempts) if self.state.tasks[key].status is TaskStatus.READY]
        if not wanted:
            return []
        room = WINDOW - _waiting()
        made: list[Attempt] = []
        for key in wanted:
            task, place = self.state.tasks[key], self.table.places.setdefault(key, Place())
            settings = self.plan.tasks.get(key) or self.plan.dynamic(key, task.uses, task.settings)
            place.attempt_no += 1
            self.changed.add(key)
            fast = not self.state.paused and len(made) < room
            made.append(
                Attempt(
                    run_id=self.run.pk,
                    key=key,
                    number=place.attempt_no,
                    iteration=task.iteration,
                    attempt=task.attempt,
                    nonce=secrets.token_hex(16),
                    queue=settings.queue or DEFAULT_QUEUE,
                    created_at=self.moment,
                    priority=self.run.priority + settings.priority,
                    held=self.is_sequential and self.state.live > 1,
                    publish_after=self.moment + timedelta(seconds=FAST_SECONDS if fast else 0),
                )
            )
        return made

    def _keep_attempts(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            attempt.task_id = self.table.places[attempt.key].id  # type: ignore[assignment]
        Attempt.objects.bulk_create(attempts, batch_size=500)

    def _keep_timers(self) -> None:
        waiting = [r for r in self._retries if may_ring(self.plan, self.state, r.task_id)]
        Timer.objects.bulk_create(
            Timer(
                run_id=self.run.pk,
                task_id=self.table.places[retry.task_id].id,
                key=retry.task_id,
                kind=Timer.RETRY,
                token=token_of(self.state, retry.task_id),
                due_at=datetime.fromtimestamp(retry.due, UTC),
            )
            for retry in waiting
        )

    def _keep_events(self) -> None:
        seq = self.run.seq
        RunEvent.objects.bulk_create(
            [
                RunEvent(
                    run_id=self.run.pk,
                    seq=place,
                    type=kind,
                    task_id=task_id,
                    from_status=before,
                    to_status=to,
                    iteration=iteration,
                    attempt=attempt,
                    at=at,
                    data=_small(data),
                )
                for place, (kind, task_id, before, to, iteration, attempt, at, data) in enumerate(
                    self._entries, seq + 1
                )
            ],
            batch_size=500,
        )
        self.run.seq = seq + len(self._entries)

    def _keep_run(self) -> None:
        run, state = self.run, self.state
        changes: dict[str, Any] = {"seq": run.seq, "counters": state.counters(), "last_at": self.at}
        if run.status != state.status:
            changes["status"] = state.status
            if run.started_at is None and state.status != "pending":
                changes["started_at"] = self.moment
            if state.is_final():
                changes["ended_at"] = self.moment
        if run.reason != state.reason:
            changes["reason"] = state.reason
        if run.paused != state.paused:
            changes["paused"] = state.paused
        if self.touched_feedback:
            changes["open_feedback"] = FeedbackRequest.objects.filter(run_id=run.pk, state=FeedbackRequest.OPEN).count()
        Run.objects.filter(pk=run.pk).update(**changes)
        for name, value in changes.items():
            setattr(run, name, value)

    def _hint(self) -> hooks.Hint:
        return hooks.Hint(
            run=str(self.run.public_id), seq=self.run.seq, feedback=tuple(dict.fromkeys(self.touched_feedback))
        )

    def _messages(self, attempts: list[Attempt]) -> list[hooks.DispatchMessage]:
        return [
            hooks.DispatchMessage(attempt_id=attempt.pk, nonce=attempt.nonce, queue=attempt.queue)
            for attempt in attempts
            if attempt.publish_after > attempt.created_at and not attempt.held
        ]

    @property
    def is_sequential(self) -> bool:
        return self.plan.execution_mode == "sequential"

    def _next_turn(self, made: list[Attempt]) -> list[hooks.DispatchMessage]:
        """In a run that does one thing at a time: let the most urgent attempt go once nothing is being done."""
        is_due = any(made_one.held for made_one in made) or any(entry[2] == "running" for entry in self._entries)
        if not self.is_sequential or not is_due or not self.state.live:
            return []
        rows = Attempt.objects.filter(run_id=self.run.pk, state__in=Attempt.OPEN).order_by("priority", "pk")
        waiting = list(rows.values_list("pk", "nonce", "queue", "state", "held"))
        if not waiting or any(state == Attempt.CLAIMED or not held for *_, state, held in waiting):
            return []
        pk, nonce, queue, *_ = waiting[0]
        after = self.moment + timedelta(seconds=FAST_SECONDS)
        Attempt.objects.filter(pk=pk).update(held=False, publish_after=after)
        return [] if self.state.paused else [hooks.DispatchMessage(attempt_id=pk, nonce=nonce, queue=queue)]

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


def change(run_id: int, step: Callable[[Unit], T], *, keys: tuple[str, ...] = (), skip_locked: bool = False) -> T:
    """Run `step` as one transaction under the run's lock and keep what it did.

    `keys`: tasks the step is about; they and what follows them are loaded in one query. Raises Refused when
    the step does, Locked when `skip_locked` and somebody else has the run.
    """

    def once() -> T:
        with database.writing():
            unit = _open(run_id, keys, skip_locked)
            result = step(unit)
            unit.settle()
            unit.keep()
            return result

    return database.retried(once)


def begin(run: Run, plan: Plan, step: Callable[[Unit], None]) -> None:
    """As `change`, for a run whose row was made in the present transaction: it gets its tasks and starts."""
    at = database.now().timestamp()
    state = RunState.for_plan(plan, inputs=run.inputs)
    table = RowTable(run.pk, complete=True)
    for task in state.tasks.values():
        task.at = at
        table.new(task)
    state.tasks, state.channels = table, RowChannels(run.pk)
    table.save(list(table))
    unit = Unit(run, plan, state, at)
    step(unit)
    unit.settle()
    unit.keep()


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


def _open(run_id: int, keys: tuple[str, ...], skip_locked: bool) -> Unit:
    rows = Run.objects.all()
    if database.on_postgresql():
        rows = rows.select_for_update(skip_locked=skip_locked)
    run = rows.filter(pk=run_id).first()
    if run is None:
        raise Locked if skip_locked else Refused
    plan = plan_of(run.version_id)
    table = RowTable(run.pk)
    state = RunState.from_counters(run.counters, tasks=table, inputs=run.inputs)
    state.channels = RowChannels(run.pk)
    if keys:
        table.load({*keys, *(follower for key in keys for follower in plan.successors(key))})
    return Unit(run, plan, state, max(database.now().timestamp(), run.last_at))


def _waiting() -> int:
    """Attempts that are on the wire or about to be; counted only as far as the window reaches."""
    going = Attempt.objects.filter(state=Attempt.DISPATCHED, held=False, run__paused=False)
    return going[: WINDOW + 1].count()


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


__all__ = ["Locked", "Refused", "Unit", "begin", "change", "record", "storable"]
