"""F19 F21 F22: bodies that behave badly, runs that are stopped at any moment, people who all act at once."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.stack import Answer

from .harness import FINAL, RUNS, Product, Row, document, percentile, state_of

pytestmark = [pytest.mark.chaos, pytest.mark.stack, pytest.mark.timeout(1200)]

LOSS_BUDGET = 3
LEASE_SECONDS = 20.0
SIDE_BY_SIDE = 4  # each of these runs holds a slot with a body that must be killed
BAD = ("starve", "crash", "endless")
MANY_STATES = document(
    "Many states",
    [
        {"id": "deaf", "uses": "chaos.deaf"}, {"id": "fails", "uses": "chaos.fail"}, {"id": "works", "uses": "chaos.work"},
        {"id": "ask", "kind": "approval", "data": 1}, {"id": "waits", "kind": "delay", "seconds": 3600},
        {"id": "later", "uses": "chaos.work"},
    ],
    [{"source": one, "target": "later"} for one in ("deaf", "fails", "works", "ask", "waits")],
)  # fmt: skip
QUESTION = document(
    "Question",
    [
        {"id": "ask", "kind": "approval", "data": 1, "timeout": 2.0, "on_timeout": "skip"},
        {"id": "then", "uses": "chaos.work"},
    ],
    [{"source": "ask", "target": "then"}],
)


def test_f19_bodies_that_kill_their_process_or_never_end(product: Product) -> None:
    row = Row("F19 OOM, segfault, endless")
    bad = document("Bad bodies", [{"id": name, "uses": f"chaos.{name}"} for name in BAD], [])
    with product.load(row, RUNS // 10, seconds=0.02):
        runs = [product.start(bad) for _ in range(2)]
        row.injected = len(runs) * len(BAD)
        product.stack.wait_for(
            lambda: all(state_of(product, run) == "failed" for run in runs), "the end of bad runs", 180
        )
    for run in runs:
        for name in BAD:
            task = product.ask("GET", f"runs/{run}/tasks/{name}/").body
            states = Counter(attempt["state"] for attempt in task["attempts"])
            row.hits += states["lost"] + states["error"]
            expected = {"error": 2} if name == "endless" else {"lost": LOSS_BUDGET + 1}
            assert states == expected, (name, states)
    assert not +row.findings, row


def test_f21_runs_are_stopped_whatever_their_tasks_do(product: Product) -> None:
    row = Row("F21 stop in every state")
    product.publish(MANY_STATES)
    began, stopped_in, rounds = time.monotonic(), Counter[str](), max(4, RUNS // 40)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for states, seconds in pool.map(lambda place: _stopped(product, 0.4 * (place % 5)), range(rounds)):
            stopped_in.update(states)
            row.recoveries.append(seconds)
    row.injected = row.runs = rounds
    row.hits, row.seconds = len(stopped_in), time.monotonic() - began
    row.notes.append(f"stopped in {dict(stopped_in)}")
    product.judge(row)
    assert {"running", "blocked", "feedback_required"} <= set(stopped_in)
    assert percentile(row.recoveries, 95) <= LEASE_SECONDS + 10
    assert not +row.findings, row


def _stopped(product: Product, after: float) -> tuple[list[str], float]:
    """Stop a run some time after its start: what its tasks were doing, and how long it took."""
    run = product.start(MANY_STATES)
    time.sleep(after)
    states = [task["status"] for task in product.ask("GET", f"runs/{run}/").body["tasks"]]
    assert product.ask("POST", f"runs/{run}/stop/", {}).status in (200, 202)
    at = time.monotonic()
    product.stack.wait_for(lambda: state_of(product, run) == "stopped", "the stop", 45)
    return states, time.monotonic() - at


def test_f22_two_answers_a_deadline_and_a_stop_at_the_same_instant(product: Product) -> None:
    row, outcomes, began = Row("F22 two answers, deadline, stop"), Counter[str](), time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        for _ in range(max(5, RUNS // 30)):
            run = product.start(QUESTION)
            (question,) = product.ask("GET", f"feedback/?run={run}&state=open").body["results"]
            due = float(
                product.rows(
                    f"SELECT extract(epoch FROM due_at) FROM engine_feedbackrequest WHERE public_id = '{question['id']}'"
                )[0][0]
            )
            answers = list(pool.map(*_all_at(product, run, question["id"], due)))
            row.injected += 4
            won = sum(answer.status == 200 for answer in answers[:2])
            assert won <= 1, answers
            assert all(answer.status in (200, 409, 410) for answer in answers), answers
            row.hits += sum(answer.status in (409, 410) for answer in answers) > 0
            outcomes[question_state(product, question["id"])] += 1
            row.runs += 1
    settled = f"SELECT count(*) FROM engine_run WHERE status NOT IN {FINAL}"
    product.stack.wait_for(lambda: product.number(settled) == 0, "the end of all runs", 60)
    row.seconds = time.monotonic() - began
    row.notes.append(f"outcomes {dict(outcomes)}")
    product.judge(row)
    assert "open" not in outcomes
    assert not +row.findings, row


def question_state(product: Product, question: str) -> str:
    product.stack.wait_for(
        lambda: product.ask("GET", f"feedback/{question}/").body["state"] != "open", "an outcome", 10
    )
    state: str = product.ask("GET", f"feedback/{question}/").body["state"]
    return state


def _all_at(product: Product, run: str, question: str, due: float) -> tuple[Any, list[int]]:
    """Three calls that leave together, about when the deadline is due and the engine sees it."""
    gate, moment = Barrier(3), due + random.uniform(0.0, 1.2)

    def act(place: int) -> Answer:
        gate.wait()
        time.sleep(max(0.0, moment - time.time()))
        if place == 2:
            return product.ask_once("POST", f"runs/{run}/stop/", {}, person=2)
        decision = ("approve", "reject")[place]
        body = {"decision": decision, "reason": "because"}
        return product.ask_once("POST", f"feedback/{question}/answer/", body, person=place)

    return act, [0, 1, 2]
