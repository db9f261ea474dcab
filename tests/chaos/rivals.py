"""Four processes that want different things of the same question at the same instant.

Each has its own connection to the database and calls what the pages and the engine process call: one approves, one
rejects, one lets the deadline pass, one stops the run. A barrier lets them go together, question by question.
"""

from __future__ import annotations

import multiprocessing
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import BrokenBarrierError
from typing import Any

from django.db import connections

from engine.access import Actor
from engine.core.errors import Conflict, Gone
from engine.runs import api, control, inbox
from engine.runs.models import FeedbackDecision, FeedbackRequest, Run

LANES = 3  # groups of four: one waits for the processor while another waits for the disk
ROUND = 50  # runs a lane starts before it races over them
SPREAD_SECONDS = (0.002, 0.002, 0.015, 0.015)  # whoever asks the database least would always win
PATIENCE_SECONDS = 60.0
QUESTION: dict[str, Any] = {
    "schema": "graflow/1", "name": "Contested",
    "tasks": [{"id": "ask", "kind": "approval", "data": 1, "timeout": 0.001, "on_timeout": "skip"}], "edges": [],
}  # fmt: skip
WON = "won"
STATES = ("answered", "rejected", "skipped", FeedbackRequest.WITHDRAWN)
"""What the question becomes when the first, second, third or last of the four wins."""
STATUSES = ("succeeded", "rejected", "succeeded", "stopped")
DECISIONS = {"answered", "rejected", "skipped"}

Refusals = dict[str, str]  # question -> how it went: `won`, or the code of the refusal


@dataclass(slots=True)
class Contest:
    """Who takes part. `boss` starts runs and stops them, `ann` and `ben` answer."""

    workflow: str
    boss: Actor
    ann: Actor
    ben: Actor

    def hold(self, races: int) -> list[Refusals]:
        """Race over as many questions; what each of the four was told, by question."""
        forks, lanes = multiprocessing.get_context("fork"), []
        gates = [forks.Barrier(len(STATES)) for _ in range(LANES)]  # kept: the memory of one let go would be used again
        connections.close_all()  # a connection must not be shared over a fork
        for lane, gate in enumerate(gates):
            for place in range(len(STATES)):
                ours, theirs = forks.Pipe(duplex=False)
                count = races // LANES + (lane < races % LANES)
                process = forks.Process(
                    target=self._race, args=(f"lane {lane} ", place, count, gate, theirs), daemon=True
                )
                process.start()
                theirs.close()
                lanes.append((place, process, ours))
        told: list[Refusals] = [{} for _ in STATES]
        for place, process, ours in lanes:
            told[place] |= ours.recv()  # EOFError: the process has failed, and said why
            process.join(PATIENCE_SECONDS)
        return told

    def _race(self, lane: str, place: int, races: int, gate: Any, answer: Any) -> None:
        told: Refusals = {}
        wants = (self._approve, self._reject, self._expire, self._stop)[place]
        try:
            for begun in range(0, races, ROUND):
                for question in self._questions(f"{lane}{begun} ", place, min(ROUND, races - begun), gate):
                    gate.wait(PATIENCE_SECONDS)
                    time.sleep(random.uniform(0.0, SPREAD_SECONDS[place]))
                    told[str(question.public_id)] = _outcome(wants, question)
            answer.send(told)
        except BrokenBarrierError:
            pass  # another one has failed, and says so
        except BaseException:
            gate.abort()
            raise
        finally:
            connections.close_all()

    def _questions(self, name: str, place: int, count: int, gate: Any) -> list[FeedbackRequest]:
        """New questions, the same for all four, each of whom starts its share of the runs."""
        for number in range(place, count, len(STATES)):
            control.start(self.boss, workflow=self.workflow, business_key=f"{name}{number}")
        gate.wait(PATIENCE_SECONDS)
        found = list(
            FeedbackRequest.objects.filter(run__business_key__startswith=name).select_related("run").order_by("pk")
        )
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
    rows = {str(row.public_id): row for row in FeedbackRequest.objects.select_related("run")}
    decided = Counter(FeedbackDecision.objects.values_list("request__public_id", flat=True))
    assert all(set(one) == set(rows) for one in told)
    winners: Counter[str] = Counter()
    for question, row in rows.items():
        answers = [one[question] for one in told]
        assert answers.count(WON) == 1, (question, answers)
        winner = answers.index(WON)
        assert (row.state, row.run.status) == (STATES[winner], STATUSES[winner]), (question, answers)
        assert decided[uuid.UUID(question)] == (row.state in DECISIONS), (question, answers)
        winners[row.state] += 1
    assert Run.objects.exclude(status__in=STATUSES).count() == 0
    return winners
