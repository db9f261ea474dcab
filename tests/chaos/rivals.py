"""Many processes that want different things of the same questions at the same instant.

Each has its own connection to the database and calls what the pages and the engine process call. Of each question one
approves, one rejects and one lets the deadline pass, while one more stops the run they all belong to. A barrier lets
them go together, run by run.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import BrokenBarrierError
from typing import Any

from django.db import connections

from engine.access import Actor
from engine.core.errors import Conflict, Gone
from engine.runs import api, inbox
from engine.runs.models import FeedbackDecision, FeedbackRequest, Run

LANES = 2  # crowds that race beside each other: one waits for the processor while another waits for the disk
QUESTIONS = 4  # of a run: its start, its stop and the look at it afterwards cost as much as a race
ROUND = 50  # runs a lane starts before it races over them
SPREAD_SECONDS = (0.002, 0.002, 0.03, 0.01)  # whoever asks the database least would always win
PATIENCE_SECONDS = 60.0
CONTESTED: dict[str, Any] = {
    "schema": "graflow/1", "name": "Contested", "edges": [], "defaults": {"execution_mode": "parallel"},
    "tasks": [
        {"id": f"ask{number}", "kind": "approval", "data": 1, "timeout": 0.001, "on_timeout": "skip"}
        for number in range(QUESTIONS)
    ],
}  # fmt: skip
WON = "won"
ANSWERS = 3
STOP = ANSWERS  # its place among the wants
STATES = ("answered", "rejected", "skipped", FeedbackRequest.WITHDRAWN)
"""What a question becomes when the first, second, third or last of the four wins."""
CROWD = [(want, number) for number in range(QUESTIONS) for want in range(ANSWERS)] + [(STOP, 0)]

Refusals = dict[str, str]  # question, or the run for a stop -> how it went: `won`, or the code of the refusal


@dataclass(slots=True)
class Contest:
    """Who takes part. `boss` starts runs and stops them, `ann` and `ben` answer."""

    workflow: str
    boss: Actor
    ann: Actor
    ben: Actor

    def hold(self, runs: int) -> list[Refusals]:
        """Race over the questions of as many runs; what each of the four was told."""
        forks, crowd = multiprocessing.get_context("fork"), []
        gates = [forks.Barrier(len(CROWD)) for _ in range(LANES)]  # kept: the memory of one let go would be used again
        connections.close_all()  # a connection must not be shared over a fork
        for lane, gate in enumerate(gates):
            count = runs // LANES + (lane < runs % LANES)
            for place in range(len(CROWD)):
                ours, theirs = forks.Pipe(duplex=False)
                process = forks.Process(
                    target=self._race, args=(f"lane {lane} ", place, count, gate, theirs), daemon=True
                )
                process.start()
                theirs.close()
                crowd.append((CROWD[place][0], process, ours))
        told: list[Refusals] = [{} for _ in STATES]
        for want, process, ours in crowd:
            told[want] |= ours.recv()  # EOFError: the process has failed, and said why
            process.join(PATIENCE_SECONDS)
        return told

    def _race(self, lane: str, place: int, runs: int, gate: Any, answer: Any) -> None:
        told: Refusals = {}
        want = CROWD[place][0]
        act = (self._approve, self._reject, self._expire, self._stop)[want]
        try:
            for begun in range(0, runs, ROUND):
                for question in self._questions(f"{lane}{begun} ", place, min(ROUND, runs - begun), gate):
                    gate.wait(PATIENCE_SECONDS)
                    time.sleep(random.uniform(0.0, SPREAD_SECONDS[want]))
                    contested = question.run if want == STOP else question
                    told[str(contested.public_id)] = _outcome(act, question)
            answer.send(told)
        except BrokenBarrierError:
            pass  # another one has failed, and says so
        except BaseException:
            gate.abort()
            raise
        finally:
            connections.close_all()

    def _questions(self, name: str, place: int, count: int, gate: Any) -> list[FeedbackRequest]:
        """One question of each of so many new runs, the same runs for the whole crowd, each of whom starts its share."""
        for number in range(place, count, len(CROWD)):
            api.start(self.boss, workflow=self.workflow, business_key=f"{name}{number}")
        gate.wait(PATIENCE_SECONDS)
        mine = FeedbackRequest.objects.filter(run__business_key__startswith=name, task_key=f"ask{CROWD[place][1]}")
        found = list(mine.select_related("run").order_by("run_id"))
        assert len(found) == count, (name, len(found), count)
        return found

    def _approve(self, question: FeedbackRequest) -> bool:
        return bool(api.answer_feedback(self.ann, str(question.public_id), decision="approve"))

    def _reject(self, question: FeedbackRequest) -> bool:
        return bool(api.answer_feedback(self.ben, str(question.public_id), decision="reject", reason="because"))

    def _expire(self, question: FeedbackRequest) -> bool:
        return inbox.expire(question.pk)

    def _stop(self, question: FeedbackRequest) -> bool:
        return bool(api.stop_run(self.boss, str(question.run.public_id)))


def _outcome(wants: Callable[[FeedbackRequest], bool], question: FeedbackRequest) -> str:
    try:
        return WON if wants(question) else "too late"
    except (Conflict, Gone) as refused:
        return refused.code


def verdict(told: list[Refusals]) -> Counter[str]:
    """Asserts that every question had one winner and that its rows say the same; how often who won."""
    decided = Counter(FeedbackDecision.objects.values_list("request__public_id", flat=True))
    winners: Counter[str] = Counter()
    runs: dict[str, tuple[Run, set[str]]] = {}
    for row in FeedbackRequest.objects.select_related("run"):
        question, run = str(row.public_id), str(row.run.public_id)
        runs.setdefault(run, (row.run, set()))[1].add(row.state)
        answers = [one[question] for one in told[:STOP]]
        won = [place for place, answer in enumerate(answers) if answer == WON]
        if not won and told[STOP][run] == WON:
            won = [STOP]  # which has whatever nobody decided before it
        assert len(won) == 1, (question, answers, told[STOP][run])
        assert row.state == STATES[won[0]], (question, answers, told[STOP][run])
        assert decided[row.public_id] == (won != [STOP]), (question, answers)
        winners[row.state] += 1
    assert all(len(one) == winners.total() for one in told[:STOP])
    assert len(told[STOP]) == len(runs)
    for run, (row_of_run, states) in runs.items():
        is_stopped = told[STOP][run] == WON
        assert is_stopped == (FeedbackRequest.WITHDRAWN in states), (run, states)
        ended = "stopped" if is_stopped else "rejected" if "rejected" in states else "succeeded"
        assert row_of_run.status == ended, (run, states)
    return winners
