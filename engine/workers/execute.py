"""One attempt from claim to record: what a worker does with a job."""

from __future__ import annotations

import json
import logging
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from django.db import InterfaceError, OperationalError

from engine.core import kinds, registry
from engine.core import news as n
from engine.core.arguments import Sources, fill
from engine.core.context import Execution
from engine.core.errors import EngineError
from engine.core.plan import PlanTask
from engine.core.scope import upstream
from engine.execution.attempt import Call, Outcome, carry_out
from engine.runs import hooks, leases, sweeps, values
from engine.runs.attempts import DEFAULT_QUEUE, LEASE_SECONDS, Taker, limit_of
from engine.runs.channels import StoredChannels, StoredSteps
from engine.runs.leases import Claim, Report
from engine.runs.questions import StoredAnswers
from engine.runs.stretch import Stretch, is_plain, keep
from engine.workers import network, strangers

log = logging.getLogger(__name__)

RECORD_SECONDS = LEASE_SECONDS
"""How long a finished body's report is offered to a database that does not answer."""
GO_ON_SECONDS = 1.0
"""How long a worker goes on with one run before the wire has its turn again."""
PULL_SECONDS = 0.25
"""How long it goes on with other runs."""
TOGETHER = 8
"""How many short attempts of one run a worker takes, and records, together."""
AHEAD = 31
"""How many attempts that surely follow it may go ahead with, before it records what it has done."""
SHORT_SECONDS = 0.005
_SEEN = 20

_times: dict[str, deque[float]] = {}  # function -> how long its last bodies took in this process
_odd: dict[str, int] = {}  # function -> how many of its bodies must simply work before that is expected again


def execute(attempt_id: int, nonce: str, worker: str) -> bool:
    """Claim, carry out, record; then go on with the same run while it has work that this worker can do, and after that
    with what waits for room on the wire, so that nobody is idle until the engine process has looked.

    Delivered twice, the second claim finds nothing to claim; gives whether there was something.
    """

    def taker_for(queue: str | None) -> Taker:
        return Taker(
            worker=worker, job=attempt_id, most=TOGETHER, is_short=_is_short, ahead=AHEAD, is_plain=_is_plain,
            can=lambda task: task.queue == queue and _is_known(task),
        )  # fmt: skip

    began = time.monotonic()
    claim = leases.claim(attempt_id, nonce, worker, taker_for)
    if claim is None:
        return False
    queue = claim.task.queue
    while claim is not None:
        _go_on(claim, taker_for(queue), began + GO_ON_SECONDS)
        claim = _fetched(worker, attempt_id, queue or DEFAULT_QUEUE, taker_for, began + PULL_SECONDS)
    return True


def _go_on(claim: Claim, taker: Taker, until: float) -> None:
    """Carry out what was claimed, and what the run has next."""
    claims = [claim]
    while claims:
        stretch = Stretch(claims)
        while (following := stretch.following()) is not None:
            stretch.add(following, carry_out_claim(following))
        claims = _record(stretch, taker if time.monotonic() < until else None)


def _fetched(worker: str, job: int, queue: str, taker_for: leases.TakerFor, until: float) -> Claim | None:
    """What waits for room on the wire, or after `until` nothing: the next that waits is on the wire then."""
    try:
        if time.monotonic() < until and (claim := leases.pull(worker, job, queue, taker_for, until)):
            return claim
        if time.monotonic() > until:
            _hand_on(queue)
    except (OperationalError, InterfaceError) as down:
        log.warning("execute: what waits is left to the engine process: %s", down)
    return None


def _hand_on(queue: str) -> None:
    """Put the next that waits on the wire; the worker that takes it goes on from there."""
    hooks.send(
        [
            hooks.DispatchMessage(attempt_id=item.id, nonce=item.nonce, queue=item.queue, is_urgent=item.lost_count > 0)
            for item in sweeps.take_unpublished(1, [queue])
        ]
    )


def _is_known(task: PlanTask) -> bool:
    """Whether this worker could carry the task out."""
    return task.kind == "http" or (not kinds.is_inline(task) and (task.uses or task.id) in registry.tasks())


class Overdue(BaseException):
    """The body has used up its time. Not an Exception: an author's `except Exception` does not stop it."""


def _is_short(task: PlanTask) -> bool:
    """Whether every recent body of the task's function was short. One that never ran here is not known to be."""
    seen = _times.get(task.uses or task.id)
    return seen is not None and len(seen) >= 3 and max(seen) < SHORT_SECONDS


def _is_plain(task: PlanTask) -> bool:
    """Whether every recent body of the task's function was short and simply worked."""
    return _is_short(task) and not _odd.get(task.uses or task.id)


def _note(task: PlanTask, seconds: float, report: Report) -> None:
    name = task.uses or task.id
    _times.setdefault(name, deque(maxlen=_SEEN)).append(seconds)
    _odd[name] = max(0, _odd.get(name, 0) - 1) if is_plain(report) else _SEEN


def carry_out_claim(claim: Claim) -> Report:
    """Run the body. Whatever it does becomes a report."""
    try:
        call = _call(claim)
    except strangers.UnknownFunction as unknown:
        return Report(news=strangers.handed_back(claim, unknown))
    except EngineError as error:
        return Report(news=_invalid(claim, str(error)))
    seconds = limit_of(claim.task)
    jitter = random.uniform(0.5, 1.5)
    began = time.monotonic()
    try:
        with _deadline(seconds) as is_kept:
            outcome = carry_out(call if is_kept else replace(call, timeout=seconds), clock=time.time, jitter=jitter)
    except Overdue:
        news = n.TaskFailed(
            task_id=claim.task.id, at=0.0, error=f"did not end within {seconds:g} s", kind="timeout", jitter=jitter
        )
        return Report(news=news, inputs=_inputs(call))
    seconds = time.monotonic() - began
    report = _report(claim, call, outcome)
    _note(claim.task, seconds, report)
    return report


@contextmanager
def _deadline(seconds: float) -> Iterator[bool]:
    """Raise Overdue in this thread when the time is up; gives False where signals cannot do that."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return

    if signal.getsignal(signal.SIGALRM) is not _ring:  # a body may have put its own in place
        signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(number: int, frame: FrameType | None) -> None:
    raise Overdue


def _call(claim: Claim) -> Call:
    state, task = claim.task_state, claim.task
    uses = state.uses or task.uses or task.id
    wrapper = network.task() if task.kind == "http" else registry.tasks().get(uses)
    if wrapper is None:
        raise strangers.UnknownFunction(uses)
    by_name, main = upstream(claim.plan, claim.state, task.id)
    execution = Execution(
        run_id=str(claim.run.public_id), task_id=task.id, iteration=state.iteration, attempt=state.attempt,
        cycle_count=state.cycle_count, inputs=claim.state.inputs, channels=StoredChannels(claim.run.pk),
        feedback=StoredAnswers(claim.run.public_id, claim.task_row),
        steps=StoredSteps(claim.task_row, state.iteration), max_cycle=task.max_cycle, token=claim.token,
    )  # fmt: skip
    sources = Sources(
        params=kinds.resolved_params(claim.plan, claim.state, task.id), given=state.args or {},
        inputs=claim.state.inputs, by_name=by_name, main=main,
    )  # fmt: skip
    return Call(task=wrapper, execution=execution, sources=sources)


def _report(claim: Claim, call: Call, outcome: Outcome) -> Report:
    """The outcome as it can be kept: plain JSON, or a failure that says what cannot."""
    news, inputs = outcome.news, _inputs(call)
    try:
        if isinstance(news, n.TaskFinished):
            news.value = json.loads(values.check(news.value))
            for write in outcome.writes:
                values.check(write.value, f"The value written to {write.channel}:{write.key}")
            if news.wishes is not None:
                values.check(news.wishes.iterate_args, "The arguments of the next iteration")
                for spawn in news.wishes.spawn:
                    values.check(spawn.args, f"The arguments of {spawn.task_id}")
        elif isinstance(news, n.TaskSuspended):
            for request in news.requests:
                values.check(request.data, "The data of the request")
    except values.Unstorable as error:
        return Report(news=_invalid(claim, f"{error.code}: {error}"), inputs=inputs)
    return Report(news=news, writes=outcome.writes, inputs=inputs)


def _inputs(call: Call) -> dict[str, Any]:
    """What the function was called with, for people to look at."""
    try:
        positional, keywords = fill(
            call.task.signature, call.sources, task_id=call.execution.task_id, pulls=call.task.pulls,
            pull=lambda channel, key: f"channel {channel}:{key}",
        )  # fmt: skip
    except EngineError:
        return {}
    keywords.pop(call.task.signature.context or "", None)
    keywords = network.shown(call.task, keywords)
    shown = {name: values.preview(value) for name, value in keywords.items()}
    return {**{f"#{place}": values.preview(value) for place, value in enumerate(positional, 1)}, **shown}


def _invalid(claim: Claim, error: str) -> n.TaskFailed:
    return n.TaskFailed(task_id=claim.task.id, at=0.0, error=error, kind="invalid", retryable=False)


def _record(stretch: Stretch, taker: Taker | None) -> list[Claim]:
    """Record reports and take what is next. While the database is away, keep them as long as a lease could last."""
    until = time.monotonic() + RECORD_SECONDS
    while True:
        try:
            return keep(stretch, taker)[1]
        except (OperationalError, InterfaceError) as down:
            if time.monotonic() > until:
                ids = ", ".join(str(claim.attempt_id) for claim, _ in stretch.done)
                log.error("execute: the reports of attempts %s could not be kept: %s", ids, down)
                raise
            time.sleep(0.5)
