"""What one worker does with a run between two commits: what it has claimed, and then what it may go ahead with.

The attempts of a stretch are on disk before the first of its bodies begins: the first ones claimed, the others
reserved (`attempts.reserve`). While nothing unforeseen happens the run moves in memory from one body to the next, and
all of it is recorded by one statement, which holds only if nobody has changed the run meanwhile. Else what was claimed
is recorded as ever, and what was done ahead is handed back: it is done again.
"""

from __future__ import annotations

import logging
import time
from collections import deque

from django.db import InterfaceError, OperationalError

from engine.core import news as n
from engine.core.state import TaskStatus
from engine.runs import attempts
from engine.runs.attempts import Taken, Taker
from engine.runs.leases import Claim, Report, keep_late, record
from engine.runs.ledger import Refused, Unit, change, go_on, go_on_to_the_end
from engine.runs.statements import Late, Moved
from engine.sql import NeedsLock, only_reads

log = logging.getLogger(__name__)

STRETCH_SECONDS = 0.05
"""How long a worker goes ahead before it records what it has done."""
_TROUBLE = (Moved, NeedsLock, OperationalError, InterfaceError)


class Stretch:
    """`claims` are attempts of one run that one worker has claimed together, in the order they are carried out."""

    def __init__(self, claims: list[Claim]) -> None:
        self.claims = claims
        self.known = claims[0].unit
        self.done: list[tuple[Claim, Report]] = []
        self._ahead = deque(claims[0].ahead)
        self._seq = self.known.run.seq
        self._unit: Unit | None = None  # the run in memory, once something is done ahead
        self._told = 0  # how many of `done` that unit knows
        self._until = time.monotonic() + STRETCH_SECONDS

    @property
    def later(self) -> list[tuple[Claim, Report]]:
        """What was done ahead."""
        return self.done[len(self.claims) :]

    def add(self, claim: Claim, report: Report) -> None:
        self.done.append((claim, report))

    def following(self) -> Claim | None:
        """What to carry out now; None when it is time to record."""
        if len(self.done) < len(self.claims):
            return self.claims[len(self.done)]
        if not self._ahead or time.monotonic() > self._until or not self._is_plain_so_far():
            return None
        try:
            with only_reads():
                return self._begin_next()
        except _TROUBLE as why:
            log.debug("stretch: run %d is not gone ahead with: %r", self.known.run.pk, why)
            self._ahead.clear()
            if self._unit is not None:
                self._unit.is_spent = True
            return None

    def _is_plain_so_far(self) -> bool:
        return all(is_plain(report) for _, report in self.done[self._told :])

    def _begin_next(self) -> Claim | None:
        if self._unit is None:
            self._unit = go_on(self.known)
        unit = self._unit
        self._tell(unit)
        unit.settle()
        taken = self._ahead[0]
        if unit.state.tasks[taken.key].status is not TaskStatus.READY:
            return None
        unit.table.load(unit.plan.sources(taken.key))
        if not attempts.begin_reserved(unit, taken, self.claims[0].worker):
            return None
        self._ahead.popleft()
        return Claim(
            attempt_id=taken.id, worker=self.claims[0].worker, task=taken.task, unit=unit, began_at=unit.moment
        )

    def _tell(self, unit: Unit) -> None:
        """Fold what has ended since the last time into the run, at the present moment."""
        unit.look_at_the_clock()
        for claim, report in self.done[self._told :]:
            record(unit, claim, report)
            self._told += 1

    # -- recording it -------------------------------------------------------------------------------------------

    def keep(self, taker: Taker | None) -> list[Claim]:
        """Record everything in one transaction and let `taker` begin the run's next work; what was begun.

        Raises Refused when an attempt no longer belongs to the worker.
        """
        unit = self._kept_at_once(taker)
        if unit is None:
            keys = tuple(claim.task.id for claim, _ in self.done)
            unit = change(self.known.run.pk, self._again, keys=keys, taker=taker, known=self.known)
        return _begun(unit, taker)

    def _kept_at_once(self, taker: Taker | None) -> Unit | None:
        """As it was done, if the run is still where it was; else None."""
        unit = self._unit
        if unit is None or unit.is_spent:
            return None
        try:
            with only_reads():
                self._tell(unit)
                self._give_back_the_rest(unit)
            go_on_to_the_end(unit, self._seq, taker)
        except Late:
            raise Refused from None
        except _TROUBLE as why:
            log.debug("stretch: run %d is recorded under its lock: %r", self.known.run.pk, why)
            unit.is_spent = True
            return None
        return unit

    def _again(self, unit: Unit) -> Unit:
        """The same once more, on the run as it is in the database now."""
        for claim, report in self.done[: len(self.claims)]:
            record(unit, claim, report)
        if self.later and unit.run.seq != self._seq:
            attempts.hand_back(
                unit, self.claims[0].job, "the run was changed while it was done ahead; it is done again"
            )
            return unit
        for claim, report in self.later:
            unit.settle()
            attempts.begin_reserved(unit, Taken(claim.task.id, claim.task), claim.worker)
            record(unit, claim, report)
        self._give_back_the_rest(unit)
        return unit

    def _give_back_the_rest(self, unit: Unit) -> None:
        """Attempts that were reserved and not begun."""
        for taken in self.claims[0].ahead[len(self.later) :]:
            attempts.give_back(unit, taken, self.claims[0].worker)


def is_plain(report: Report) -> bool:
    """Whether the body simply worked: nothing it wrote or asked for has to be on disk before the next one begins."""
    return isinstance(report.news, n.TaskFinished) and report.news.wishes is None and not report.writes


def finish(done: list[tuple[Claim, Report]], taker: Taker | None = None) -> tuple[int, list[Claim]]:
    """Record how the attempts of one run that were claimed together went; see `keep`."""
    stretch = Stretch([claim for claim, _ in done])
    stretch.done = list(done)
    return keep(stretch, taker)


def keep(stretch: Stretch, taker: Taker | None = None) -> tuple[int, list[Claim]]:
    """Record a stretch in one transaction, and let `taker` begin the run's next work in it.

    Returns how many attempts counted and what was begun. A report whose worker no longer has the attempt is kept as a
    late result for people to see, and changes nothing.
    """
    try:
        return len(stretch.done), stretch.keep(taker)
    except Refused:
        if len(stretch.done) == 1:
            keep_late(*stretch.done[0])
            return 0, []
    # One of several is late: the others count all the same. What was done ahead went with what was claimed.
    for claim, report in stretch.later:
        keep_late(claim, report)
    claimed = stretch.done[: len(stretch.claims)]
    return sum(finish([(claim.with_ahead([]), report)])[0] for claim, report in claimed), []


def _begun(unit: Unit, taker: Taker | None) -> list[Claim]:
    if taker is None:
        return []
    claims = [
        Claim(attempt_id=taken.id, worker=taker.worker, task=taken.task, unit=unit, job=taker.job)
        for taken in unit.taken
    ]
    for claim in claims:
        unit.table.load(unit.plan.sources(claim.task.id))
    return [claims[0].with_ahead(unit.ahead), *claims[1:]] if claims else []


__all__ = ["Stretch", "finish", "keep"]
