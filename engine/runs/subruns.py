"""Steps that wait for another run: what is written about them inside the change of either run.

What follows after the commit is the business of `children`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.core import kinds
from engine.core.news import StartChild
from engine.runs import database
from engine.runs.outgoing import ChildRun

if TYPE_CHECKING:
    from engine.runs.ledger import Unit

FAST_SECONDS = 2.0
"""How long the engine process leaves the next step to whoever has committed the one before."""


def ask(unit: Unit, command: StartChild) -> None:
    """Have a run started for a step, once this change is kept."""
    if unit.run.depth >= kinds.MAX_DEPTH:
        unit.tell(replace(kinds.too_deep(command.task_id), at=unit.at))
        return
    row = ChildRun(
        parent_id=unit.run.pk, task_id=unit.table.row_id(command.task_id), key=command.task_id, iteration=command.iteration,
        attempt=command.attempt, workflow=command.workflow, version=command.version, inputs=command.inputs,
        follow_after=database.in_seconds(FAST_SECONDS),
    )  # fmt: skip
    row.save(force_insert=True)
    unit.to_follow.append(row.pk)


def cancel(unit: Unit, task_id: str) -> None:
    """Nobody waits for the child of this step any more: it is not started, or is to stop."""
    planned = unit.plan.tasks.get(task_id)
    if planned is None or planned.kind != "workflow":
        return
    mine = ChildRun.objects.filter(parent_id=unit.run.pk, key=task_id)
    mine.filter(state=ChildRun.ASKED).update(state=ChildRun.CANCELLED)
    # Guarded once more: a child that has ended between the two statements needs no stop.
    for pk in mine.filter(state=ChildRun.STARTED).values_list("pk", flat=True):
        if _move(pk, ChildRun.STARTED, ChildRun.STOPPING):
            unit.to_follow.append(pk)


def note_end(unit: Unit) -> None:
    """A child that has ended is to be reported to its parent."""
    if unit.run.parent_id is None or not unit.state.is_final():
        return
    for pk in ChildRun.objects.filter(child_id=unit.run.pk, state=ChildRun.STARTED).values_list("pk", flat=True):
        if _move(pk, ChildRun.STARTED, ChildRun.ENDED):
            unit.to_follow.append(pk)


def _move(pk: int, before: str, to: str) -> bool:
    moved = ChildRun.objects.filter(pk=pk, state=before)
    return moved.update(state=to, follow_after=database.in_seconds(FAST_SECONDS)) == 1
