"""The same news told to a run in memory and to a run in the database give the same history, step by step."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core import news as n
from engine.core.compile import compile as compile_document
from engine.core.errors import DefinitionError
from engine.core.feedback import build_request
from engine.core.machine import advance
from engine.core.plan import Plan
from engine.core.state import RunState, TaskStatus
from engine.runs import api
from engine.runs.invariants import check_all
from engine.runs.models import RunEvent
from tests.core.test_machine_properties import documents

from .driver import Driver, Run, finish

LIVE = (TaskStatus.READY, TaskStatus.FEEDBACK_REQUIRED)


class Both:
    """One workflow run twice: in memory, and durably through claims and reports."""

    def __init__(self, boss: Any, document: dict[str, Any], plan: Plan, fate: int) -> None:
        self.plan, self.fate = plan, fate
        self.answered: set[tuple[str, int]] = set()
        self.state = RunState.for_plan(plan)
        self.stored: Run = Driver(boss).start(document)
        self.tell(n.RunStarted(0.0))

    def tell(self, news: n.News) -> None:
        for command in advance(self.plan, self.state, news).commands:
            if isinstance(command, n.ArmTimer):
                self.tell(n.TimerRang(command.task_id, 0.0))  # the tries below ask for no delay

    def carry_out(self, task_id: str) -> None:
        """The body ends as fate has it, in both runs."""
        task = self.state.tasks[task_id]
        luck = Random(f"{self.fate}/{task_id}/{task.iteration}/{task.attempt}/{task.resumed}")
        roll = luck.random()
        report: n.BodyReport
        if roll < 0.2:
            report = n.TaskFailed(task_id=task_id, at=0.0, error="broken", retryable=luck.random() < 0.5, delay=0.0)
        elif roll < 0.35 and (task_id, task.iteration) not in self.answered:  # a later try finds the answer there
            report = n.TaskSuspended(task_id=task_id, at=0.0, requests=(build_request(task_id, task.iteration, "#1"),))
        elif roll < 0.45:
            child = n.Spawn(task_id=f"child_{luck.getrandbits(32):08x}", uses="test.echo", args={}, join=True)
            wishes = n.Wishes(spawn=(child,) if task.parent is None else ())
            report = n.TaskFinished(task_id, 0.0, luck.randint(0, 3), wishes)
        elif roll < 0.55:
            report = n.TaskFinished(task_id, 0.0, luck.randint(0, 3), n.Wishes(iterate=True))
        else:
            report = n.TaskFinished(task_id, 0.0, luck.randint(0, 3))
        self.tell(n.TaskStarted(task_id, 0.0))
        self.tell(report)
        assert finish(self.stored.claim(task_id), report)

    def answer(self, task_id: str) -> None:
        decision: Any = Random(f"{self.fate}/{task_id}/{self.state.tasks[task_id].iteration}").choice(
            ["approve", "approve", "reject", "skip"]
        )
        self.answered.add((task_id, self.state.tasks[task_id].iteration))
        self.tell(n.Answered(task_id=task_id, at=0.0, decision=decision, reason="because"))
        found = api.list_feedback(self.stored.boss, run=self.stored.id).results
        item = next(one for one in found if one.task_id == task_id)
        api.answer_feedback(self.stored.boss, item.id, decision=decision, reason="because")

    def histories(self) -> tuple[list[Any], list[Any]]:
        rows = RunEvent.objects.filter(run=self.stored.row).order_by("seq")
        stored = list(rows.values_list("type", "task_id", "from_status", "to_status", "iteration", "attempt"))
        return [tuple(entry[:6]) for entry in self.state.log], stored


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), st.integers(0, 2**16), st.integers(0, 2**16))
def test_memory_and_database_tell_the_same_story(boss: Any, document: dict[str, Any], fate: int, order: int) -> None:
    for task in document["tasks"]:
        task["uses"] = "test.echo"
    document["defaults"]["execution_mode"] = "parallel"
    try:
        plan = compile_document(document)
    except DefinitionError:
        return
    both, rng = Both(boss, document, plan, fate), Random(order)
    while not both.state.is_final():
        task = rng.choice([task for task in both.state.tasks.values() if task.status in LIVE])
        if task.status is TaskStatus.READY:
            both.carry_out(task.task_id)
        else:
            both.answer(task.task_id)
    memory, stored = both.histories()
    assert stored == memory
    assert both.stored.status == both.state.status
    assert not list(check_all([both.stored.row.pk]))
