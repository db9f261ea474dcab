"""The time a whole run may take: set when it starts, rung by the engine process.

Pauses and waiting for people count: a deadline is a promise to whoever waits for the run.
"""

from __future__ import annotations

from datetime import timedelta

from engine.core import news as n
from engine.core.definition import MAX_DEADLINE
from engine.core.errors import InvalidInput
from engine.core.kinds import DEADLINE, PAST_DEADLINE
from engine.core.plan import Plan
from engine.runs.ledger import Unit
from engine.runs.models import Run, Timer


def seconds_of(plan: Plan, given: float | None) -> float | None:
    """What a start named, else what the workflow says. Raises InvalidInput."""
    if given is None:
        return plan.deadline
    if not 0 < given <= MAX_DEADLINE:
        message = f"deadline={given:g}: expected seconds above 0, at most {MAX_DEADLINE}, for example 3600."
        raise InvalidInput(message, errors=[{"path": "deadline", "message": message}])
    return given


def length_of(run: Run) -> float | None:
    """The seconds a run was given, for another one like it."""
    return None if run.deadline_at is None else (run.deadline_at - run.created_at).total_seconds()


def arm(run: Run, seconds: float | None) -> None:
    """Set the deadline of a run whose row is about to be made."""
    run.deadline_at = None if seconds is None else run.created_at + timedelta(seconds=seconds)


def keep_timer(run: Run) -> None:
    """Have the deadline of a run that was just made rung; a run that ends before takes the timer along."""
    if run.deadline_at is not None:
        Timer.objects.create(run=run, kind=Timer.DEADLINE, token="", due_at=run.deadline_at)


def ring(unit: Unit) -> None:
    """The time is up: the run fails, what does not run is closed, what runs is cancelled."""
    unit.tell(n.RunFailed(unit.at, DEADLINE, PAST_DEADLINE))
