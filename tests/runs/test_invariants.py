"""The checker sees what it is for: each test breaks one promise in the rows and hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.plan import Plan
from engine.runs import api, invariants
from engine.runs.invariants import check_all
from engine.runs.models import Attempt, FeedbackRequest, RunEvent, RunTask, Timer
from engine.runs.models import Run as RunRow
from tests.core.test_machine_properties import SETTINGS, compiled, documents, play

from .driver import Driver, document, task

LOOP = document(
    [task("a"), task("b"), task("c", max_cycle=2), task("d"), task("e")], ["a>c", "b>c", "c>d", "d>c", "d>e"]
)


def named() -> set[str]:
    return {finding.invariant for finding in check_all()}


def event(**which: Any) -> RunEvent:
    return RunEvent.objects.get(**which)


def rewrite(row: RunEvent, **fields: Any) -> None:
    RunEvent.objects.filter(run_id=row.run_id, seq=row.seq).update(**fields)


def swap(one: RunEvent, other: RunEvent) -> None:
    """Let two things have happened in the other order."""
    mine, others = one.seq, other.seq
    rewrite(one, seq=10_000)
    rewrite(other, seq=mine)
    RunEvent.objects.filter(run_id=one.run_id, seq=10_000).update(seq=others)


@pytest.fixture
def run(boss: Any) -> Any:
    """A run that has gone once round its loop and ended."""
    found = Driver(boss).start(LOOP)
    found.work("a", "b", "c", "d", "c", "d", "e")
    assert found.status == "succeeded"
    assert named() == set()
    return found


def drop_an_event(run: Any) -> None:
    RunEvent.objects.filter(seq=5).delete()


def make_a_move_illegal(run: Any) -> None:
    rewrite(event(task_id="a", to_status="running"), to_status="planned")


def move_a_row_alone(run: Any) -> None:
    RunTask.objects.filter(key="a").update(status="error")


def count_a_result_twice(run: Any) -> None:
    Attempt.objects.filter(key="c", iteration=2).update(iteration=1)


def leave_an_attempt_open(run: Any) -> None:
    Attempt.objects.filter(key="a").update(state=Attempt.DISPATCHED)


def leave_an_attempt_reserved(run: Any) -> None:
    Attempt.objects.filter(key="a").update(state=Attempt.RESERVED, job=None)


def go_round_too_often(run: Any) -> None:
    RunTask.objects.filter(key="c").update(cycle_count=3)


def join_before_the_second_input(run: Any) -> None:
    swap(
        event(task_id="b", to_status="completed"),
        event(task_id="c", from_status="blocked", to_status="ready"),
    )
    rewrite(event(task_id="b", to_status="success"), to_status="error")


def leave_the_loop_before_its_end(run: Any) -> None:
    RunEvent.objects.filter(type="loop_ended").update(type="loop_taken")


def go_twice_in_one_iteration(run: Any) -> None:
    RunEvent.objects.filter(task_id="d", from_status="blocked", to_status="ready").update(iteration=1)


BROKEN: list[tuple[Callable[[Any], None], str]] = [
    (drop_an_event, "I1"),
    (make_a_move_illegal, "I2"),
    (move_a_row_alone, "I3"),
    (count_a_result_twice, "I4"),
    (leave_an_attempt_open, "I6"),
    (leave_an_attempt_reserved, "I4"),
    (leave_an_attempt_reserved, "I6"),
    (go_round_too_often, "I8"),
    (join_before_the_second_input, "I11"),
    (leave_the_loop_before_its_end, "I11"),
    (go_twice_in_one_iteration, "I11"),
]


@pytest.mark.parametrize(("breach", "invariant"), BROKEN, ids=[f"{breach.__name__}-{name}" for breach, name in BROKEN])
def test_a_broken_promise_is_found(run: Any, breach: Callable[[Any], None], invariant: str) -> None:
    breach(run)
    assert invariant in named()


def test_a_task_that_began_while_its_run_was_paused_is_found(boss: Any) -> None:
    run = Driver(boss).start(document([task("a"), task("b")], []))
    run.work("a")
    api.pause_run(boss, run.id)
    assert named() == set()
    pause = event(type="run_status", to_status="paused")
    swap(pause, event(task_id="a", from_status="ready", to_status="running"))
    assert "I10" in named()


def test_what_waits_for_something_that_does_not_exist_is_found(boss: Any) -> None:
    body = document([task("a"), task("b"), {"id": "ask", "kind": "approval"}], [])
    run = Driver(boss).start(body)
    run.fail("a")
    assert named() == set()
    Timer.objects.all().delete()
    FeedbackRequest.objects.update(state=FeedbackRequest.WITHDRAWN)
    Attempt.objects.filter(key="b").delete()
    found = [finding.message for finding in check_all() if finding.invariant == "I5"]
    assert len(found) == 3, found


def test_a_result_under_an_old_token_is_found(boss: Any) -> None:
    run = Driver(boss).start(document([task("a")], []))
    run.fail("a")
    Attempt.objects.update(state=Attempt.OK)
    row = Attempt.objects.get()
    row.pk, row.number, row.state = None, 2, Attempt.LOST
    row.save()
    assert "I12" in named()


def test_rows_of_a_run_that_is_gone_are_found(run: Any) -> None:
    RunRow.objects.filter(pk=run.row.pk)._raw_delete("default")
    assert {(finding.invariant, finding.message.split(" belong")[0]) for finding in check_all()} == {
        ("I13", "5 rows of engine_runtask"),
        ("I13", "7 rows of engine_attempt"),
        ("I13", f"{RunEvent.objects.count()} rows of engine_runevent"),
    }
    for model in (Attempt, RunEvent, RunTask):
        model.objects.all().delete()


@dataclass
class Played:
    """What the checks of a history read, of a run that was only played in memory."""

    plan: Plan
    events: list[RunEvent]
    run: RunRow = field(default_factory=RunRow)


@SETTINGS
@given(documents(), st.integers(0, 2**16), st.integers(0, 2**16))
def test_no_random_run_starts_a_join_early_or_twice(document: dict[str, Any], fate: int, order: int) -> None:
    plan = compiled(document)
    if plan is None:
        return
    _, history = play(plan, fate, order)
    events = [
        RunEvent(
            seq=e.seq, type=e.type, task_id=e.task_id, from_status=e.from_, to_status=e.to, iteration=e.iteration,
            data=e.data,
        )
        for e in history
    ]  # fmt: skip
    assert not list(invariants._joined_once(Played(plan, events)))  # type: ignore[arg-type]
