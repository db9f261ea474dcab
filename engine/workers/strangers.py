"""Tasks whose function this worker does not know: handed back for one that does, later each time.

While new code is rolled out some workers know a function and some do not. Nothing of the task's own budget is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core import news as n
from engine.core.errors import EngineError
from engine.runs.models import Attempt
from engine.runs.queues import STRANGE

if TYPE_CHECKING:
    from engine.runs.leases import Claim

FIRST_SECONDS, CEILING_SECONDS = 1.0, 120.0


class UnknownFunction(EngineError):
    """This worker has no function of that name."""

    code = "unknown_function"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{STRANGE.removeprefix('released: ')}{name!r}. Its module must be listed in GRAFLOW_TASK_MODULES of a worker "
            "that listens to the task's queue."
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name,)


def handed_back(claim: Claim, unknown: UnknownFunction) -> n.TaskFailed:
    """The news that the attempt is released, with a pause that doubles up to two minutes."""
    before = Attempt.objects.filter(
        task_id=claim.task_row, iteration=claim.task_state.iteration, state=Attempt.RELEASED, error__startswith=STRANGE
    ).count()
    delay = min(CEILING_SECONDS, FIRST_SECONDS * 2.0 ** min(before, 20))
    return n.TaskFailed(task_id=claim.task.id, at=0.0, error=str(unknown), kind="released", delay=delay)
