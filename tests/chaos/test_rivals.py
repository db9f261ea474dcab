"""F22 without the network: two people, the deadline and a stop meet at a question, ten thousand times."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import pytest

from engine.runs.invariants import check_all
from tests.access.people import person
from tests.runs.conftest import boss, quiet  # noqa: F401  the same runs without processes
from tests.runs.driver import Driver

from .harness import ROWS, Row
from .rivals import CONTESTED, CROWD, QUESTIONS, STATES, WON, Contest, verdict

RACES = int(os.environ.get("CHAOS_RACES", "10000"))


def contest(boss: Any, races: int) -> Row:  # noqa: F811
    runs = -(-races // QUESTIONS)
    row, began = Row("F22 at a question, in processes", injected=runs * len(CROWD), runs=runs), time.monotonic()
    ann, ben = person("ann", "reviewer"), person("ben", "reviewer")
    told = Contest(Driver(boss).publish(CONTESTED), boss, ann, ben).hold(runs)
    row.seconds = time.monotonic() - began
    winners = verdict(told)
    refused = Counter(code for one in told for code in one.values())
    row.hits = refused.total() - refused[WON]
    row.notes.append(f"{winners.total()} races: {dict(winners)}; told {dict(refused)}")
    row.findings.update(finding.invariant for finding in check_all())
    ROWS.append(row)
    assert set(winners) == set(STATES)  # else nothing was contested
    return row


def test_of_four_who_meet_at_a_question_one_wins(boss: Any) -> None:  # noqa: F811
    row = contest(boss, 120)
    assert not +row.findings, row


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_f22_in_thousands(boss: Any) -> None:  # noqa: F811
    row = contest(boss, RACES)
    assert not +row.findings, row
