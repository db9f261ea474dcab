"""The store under everything that may happen to it, in any order: hypothesis plays broker, workers, people and time.

After each step all invariants hold; whatever happened, every run can be brought to its end afterwards.
`STATEFUL_EXAMPLES` is the number of sequences (default 6 of up to 40 steps, with it 50 steps each). A failure is
shown as it was found; set `STATEFUL_SHRINK` to have it made smaller, which takes minutes on a database.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.core import news as n
from engine.core.errors import Conflict, DefinitionError, Gone
from engine.core.feedback import build_request
from engine.runs import api, database, hooks, inbox, leases, plans, stretch, sweeps
from engine.runs.attempts import Taker
from engine.runs.invariants import check_all
from engine.runs.models import Attempt, FeedbackRequest, Run, RunTask, Timer
from tests.core.test_machine_properties import documents

from .driver import Driver, document, finish, task

PHASES = [Phase.explicit, Phase.reuse, Phase.generate] + ([Phase.shrink] if "STATEFUL_SHRINK" in os.environ else [])
EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "0"))
STEPS = 50 if EXAMPLES else 40
PATIENCE = stretch.STRETCH_SECONDS
ROUNDS = 400
"""Rounds of calm work after which every run must have ended."""
WORKERS = [f"00000000-0000-0000-0000-00000000000{place}" for place in "ab"]
FINAL = ("succeeded", "failed", "rejected", "stopped")

MIXED = document(
    [
        task("a", max_cycle=2), task("b"), task("c", max_retries=1), {"id": "ask", "kind": "approval", "data": 1},
        {"id": "pause", "kind": "delay", "params": {"seconds": 3600}}, task("z", join="any"),
    ],
    ["a>b", "a>c", "b>ask", "c>ask", {"source": "ask", "target": "a", "on": "rejected", "loop": True}, "ask>pause", "pause>z"],
)  # fmt: skip
SHORT = document([task("a"), task("b"), task("z")], ["a>z", "b>z"])
CHAIN = document([task(key) for key in "abcdefgh"], [f"{one}>{other}" for one, other in pairwise("abcdefgh")])
FORKED = document([task(key) for key in "abcde"], ["a>b", "b>c", "b>d", "c>e", "d>e"])
pick = st.integers(0, 99)


def taker_of(worker: str, job: int, *, most: int = 1, ahead: int = 0) -> Taker:
    return Taker(
        worker=worker, job=job, most=most, ahead=ahead, can=lambda planned: planned.kind == "task",
        is_short=lambda _: True, is_plain=lambda _: True,
    )  # fmt: skip


def past() -> Any:
    return database.now() - timedelta(seconds=1)


class Store(RuleBasedStateMachine):
    """`handed` is what a process is about to publish, `wire` what the broker holds; `held` are claims of living
    workers, `zombies` those whose lease is over and who do not know it. `ahead` is what living workers have done and not
    recorded, `late` what dead ones had.
    """

    boss: Any

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[tuple[int, str]] = []
        self.wire: list[tuple[int, str]] = []
        self.held: list[leases.Claim] = []
        self.jobs: dict[int, int] = {}  # attempt -> the one whose message its worker works off
        self.zombies: list[leases.Claim] = []
        self.ahead: list[stretch.Stretch] = []
        self.late: list[stretch.Stretch] = []
        self.claimed: set[int] = set()
        self.answered: list[str] = []
        self.runs: list[Run] = []
        stretch.STRETCH_SECONDS = 3600.0
        hooks.dispatch = lambda messages: self.handed.extend((m.attempt_id, m.nonce) for m in messages)

    # -- runs and people --------------------------------------------------------------------------------------------

    @initialize(
        body=st.sampled_from([MIXED, MIXED, SHORT]) | documents(),
        mode=st.sampled_from(["parallel", "sequential"]),
    )
    def start(self, body: dict[str, Any], mode: str) -> None:
        for one in body["tasks"]:
            if one.get("kind", "task") == "task":
                one["uses"] = "test.echo"
        body = body | {"defaults": body["defaults"] | {"execution_mode": mode}}
        try:
            self.workflow = Driver(self.boss).publish(body)
        except DefinitionError:  # a random drawing that is none
            self.workflow = Driver(self.boss).publish(SHORT)
        self.start_another()

    @precondition(lambda self: len(self.runs) < 2)
    @rule()
    def start_another(self) -> None:
        started = api.start_run(self.boss, workflow=self.workflow)
        self.runs.append(Run.objects.get(public_id=started.id))

    @rule(which=pick, do=st.sampled_from(["pause", "resume", "resume", "resume", "stop"]))
    def control(self, which: int, do: str) -> None:
        run = str(self.runs[which % len(self.runs)].public_id)
        order = {"pause": api.pause_run, "resume": api.resume_run, "stop": api.stop_run}[do]
        try:
            order(self.boss, run)
        except Conflict as refused:
            assert refused.code == "run_status"

    @precondition(lambda self: self.questions())
    @rule(which=pick, decision=st.sampled_from(["approve", "reject", "skip"]))
    def answer(self, which: int, decision: str) -> None:
        found = self.questions()
        question = str(found[which % len(found)].public_id)
        api.answer_feedback(self.boss, question, decision=decision, reason="because")
        self.answered.append(question)

    @precondition(lambda self: self.answered)
    @rule(which=pick)
    def answer_twice(self, which: int) -> None:
        with pytest.raises((Conflict, Gone)):
            api.answer_feedback(self.boss, self.answered[which % len(self.answered)], decision="approve")

    def questions(self) -> list[FeedbackRequest]:
        return list(FeedbackRequest.objects.filter(run__in=self.runs, state=FeedbackRequest.OPEN).order_by("pk"))

    # -- the wire ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.handed)
    @rule(which=pick, fate=st.sampled_from(["sent and marked", "sent", "lost with its process"]))
    def publish(self, which: int, fate: str) -> None:
        message = self.handed.pop(which % len(self.handed))
        if fate.startswith("sent"):
            self.wire.append(message)
        if fate == "sent and marked":
            sweeps.mark_published([message[0]])

    @precondition(lambda self: self.waiting())
    @rule(marks=st.booleans())
    def relay(self, marks: bool) -> None:
        """One round of an engine process, which may die before it notes what it sent."""
        self.waited()
        self._send(sweeps.take_unpublished(100), marks)

    @precondition(lambda self: self.waiting())
    @rule()
    def resend(self) -> None:
        self.waited()
        self._send(sweeps.take_stale(100), True)

    def _send(self, taken: list[sweeps.Waiting], marks: bool) -> None:
        self.wire += [(item.id, item.nonce) for item in taken]
        if marks:
            sweeps.mark_published(item.id for item in taken)

    def waiting(self) -> bool:
        return Attempt.objects.filter(run__in=self.runs, state=Attempt.DISPATCHED).exists()

    def waited(self) -> None:
        """The patience with what was handed over or published is at its end."""
        Attempt.objects.filter(run__in=self.runs, state=Attempt.DISPATCHED).update(publish_after=past())

    @precondition(lambda self: self.wire)
    @rule(which=pick)
    def drop(self, which: int) -> None:
        self.wire.pop(which % len(self.wire))

    @precondition(lambda self: self.wire)
    @rule(which=pick)
    def duplicate(self, which: int) -> None:
        self.wire.append(self.wire[which % len(self.wire)])

    @precondition(lambda self: self.wire)
    @rule()
    def wipe_the_broker(self) -> None:
        self.wire.clear()
        sweeps.forget_published()

    @precondition(lambda self: self.handed)
    @rule()
    def restart_the_engine(self) -> None:
        """What only a process knew is gone."""
        self.handed.clear()
        plans.forget()

    # -- workers ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.wire)
    @rule(which=pick, worker=st.sampled_from(WORKERS), keeps_message=st.booleans(), ahead=st.integers(0, 6))
    def deliver(self, which: int, worker: str, keeps_message: bool, ahead: int) -> None:
        place = which % len(self.wire)
        message = self.wire[place] if keeps_message else self.wire.pop(place)
        paused = Run.objects.get(attempts__pk=message[0]).paused
        claim = leases.claim(*message, worker, lambda queue: taker_of(worker, message[0], ahead=ahead))
        if claim is None:
            return
        assert not paused, "claimed while its run is paused"
        self._hold(claim, claim.attempt_id)

    def _hold(self, claim: leases.Claim, job: int) -> None:
        assert claim.attempt_id not in self.claimed, "claimed twice"
        self.claimed.add(claim.attempt_id)
        self.jobs[claim.attempt_id] = job
        self.held.append(claim)

    @precondition(lambda self: self.held)
    @rule(which=pick, most=st.integers(1, 3), how=st.sampled_from(["worked", "worked", "again", "child", "fails"]))
    def report_and_go_on(self, which: int, most: int, how: str) -> None:
        """A worker records what its job has claimed, and begins the next work of the run in the same transaction."""
        job = self.jobs[self.held[which % len(self.held)].attempt_id]
        done = [claim for claim in self.held if self.jobs[claim.attempt_id] == job]
        self.held = [claim for claim in self.held if claim not in done]
        paused = Run.objects.get(attempts__pk=job).paused
        reports = [
            (claim, leases.Report(news=self._news(claim, how if place == 0 else "worked")))
            for place, claim in enumerate(done)
        ]
        counted, begun = stretch.finish(reports, taker_of(done[0].worker, job, most=most))
        assert counted == len(done), "the report of a living worker was refused"
        assert not (paused and begun), "begun while its run is paused"
        for claim in begun:
            self._hold(claim, job)

    @precondition(lambda self: self.held)
    @rule(which=pick, bodies=st.integers(1, 7), how=st.sampled_from(["worked", "worked", "worked", "again", "fails"]))
    def go_ahead(self, which: int, bodies: int, how: str) -> None:
        """A worker carries out what its job has claimed and what it may go ahead with, and has not recorded it yet."""
        job = self.jobs[self.held[which % len(self.held)].attempt_id]
        claims = [claim for claim in self.held if self.jobs[claim.attempt_id] == job]
        self.held = [claim for claim in self.held if claim not in claims]
        done = stretch.Stretch(claims)
        while (claim := done.following()) is not None:
            is_last = len(done.done) + 1 >= max(bodies, len(claims))
            done.add(claim, leases.Report(news=self._news(claim, how if is_last else "worked")))
            if is_last:
                break
        self.ahead.append(done)

    @precondition(lambda self: self.ahead)
    @rule(which=pick, most=st.integers(1, 3), ahead=st.integers(0, 6))
    def record_what_was_done_ahead(self, which: int, most: int, ahead: int) -> None:
        done = self.ahead.pop(which % len(self.ahead))
        first = done.claims[0]
        job = self.jobs[first.attempt_id]
        paused = Run.objects.get(attempts__pk=job).paused
        counted, begun = stretch.keep(done, taker_of(first.worker, job, most=most, ahead=ahead))
        assert counted == len(done.done), "the report of a living worker was refused"
        assert not (paused and begun), "begun while its run is paused"
        for claim in begun:
            self._hold(claim, job)

    @precondition(lambda self: self.ahead)
    @rule(which=pick)
    def kill_a_worker_that_went_ahead(self, which: int) -> None:
        done = self.ahead.pop(which % len(self.ahead))
        first = done.claims[0]
        assert leases.lost_with(self.jobs[first.attempt_id], first.worker, "killed") == len(done.claims)
        self.late.append(done)

    @precondition(lambda self: self.late)
    @rule(which=pick)
    def record_too_late(self, which: int) -> None:
        assert stretch.keep(self.late[which % len(self.late)]) == (0, []), "the report of a zombie counted"

    @precondition(lambda self: self.held)
    @rule(
        which=pick,
        how=st.sampled_from(["worked", "worked", "worked", "again", "child", "asks", "fails", "fails for good"]),
    )
    def report(self, which: int, how: str) -> None:
        claim = self.held.pop(which % len(self.held))
        assert finish(claim, self._news(claim, how), claim.worker), "the report of a living worker was refused"

    def _news(self, claim: leases.Claim, how: str) -> n.BodyReport:
        key, state = claim.task.id, claim.task_state
        if how.startswith("fails"):
            return n.TaskFailed(task_id=key, at=0.0, error="broken", retryable=how == "fails", delay=3600)
        if how == "asks" and not state.resumed:
            return n.TaskSuspended(task_id=key, at=0.0, requests=(build_request(key, state.iteration, "#1"),))
        wishes = None
        if how == "again":
            wishes = n.Wishes(iterate=True)
        elif how == "child" and state.parent is None:
            child = n.Spawn(task_id=f"child_{claim.attempt_id:08x}", uses="test.echo", args={}, join=True)
            wishes = n.Wishes(spawn=(child,))
        return n.TaskFinished(key, 0.0, claim.attempt_id, wishes)

    @precondition(lambda self: self.held)
    @rule(which=pick)
    def expire_the_lease(self, which: int) -> None:
        claim = self.held.pop(which % len(self.held))
        Attempt.objects.filter(pk=claim.attempt_id).update(lease_until=past())
        assert leases.reap(claim.attempt_id)
        self.zombies.append(claim)

    @precondition(lambda self: self.zombies)
    @rule(which=pick, how=st.sampled_from(["worked", "again", "child", "fails", "asks"]))
    def wake_a_zombie(self, which: int, how: str) -> None:
        claim = self.zombies[which % len(self.zombies)]
        assert not finish(claim, self._news(claim, how), claim.worker), "the report of a zombie counted"

    @precondition(lambda self: self.held)
    @rule(which=pick)
    def kill_a_worker(self, which: int) -> None:
        """With everything its job has claimed."""
        chosen = self.held[which % len(self.held)]
        job = self.jobs[chosen.attempt_id]
        gone = [claim for claim in self.held if self.jobs[claim.attempt_id] == job]
        self.held = [claim for claim in self.held if claim not in gone]
        assert leases.lost_with(job, chosen.worker, "killed") == len(gone)
        assert leases.lost_with(job, chosen.worker, "killed") == 0

    @precondition(lambda self: self.held or self.zombies)
    @rule(worker=st.sampled_from(WORKERS))
    def heartbeat(self, worker: str) -> None:
        unwanted = leases.renew(worker, {self.jobs[claim.attempt_id] for claim in self.held + self.zombies})
        for attempt_id, _ in unwanted.cancelled:
            assert leases.killed(attempt_id, worker, why="the run was stopped")
            self.held = [claim for claim in self.held if claim.attempt_id != attempt_id]

    # -- time -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: Timer.objects.filter(run__in=self.runs, fired_at=None).exists())
    @rule()
    def let_timers_ring(self) -> None:
        Timer.objects.filter(run__in=self.runs, fired_at=None).update(due_at=past())
        due = sweeps.due_timers()
        for one in due:
            sweeps.fire(one)
        assert sum(map(sweeps.fire, due)) == 0, "a timer rang twice"

    @precondition(lambda self: self.questions())
    @rule(which=pick)
    def let_a_question_expire(self, which: int) -> None:
        found = self.questions()
        question = found[which % len(found)]
        FeedbackRequest.objects.filter(pk=question.pk).update(due_at=past())
        assert inbox.expire(question.pk)
        assert not inbox.expire(question.pk)
        self.answered.append(str(question.public_id))

    # -- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        assert not list(check_all([run.pk for run in self.runs]))

    def teardown(self) -> None:
        """Nothing is lost: with no further harm, every run comes to its end."""
        try:
            if self.runs:
                self._bring_to_the_end()
        finally:
            hooks.dispatch = None
            stretch.STRETCH_SECONDS = PATIENCE
            Run.objects.all().delete()

    def _bring_to_the_end(self) -> None:
        self.restart_the_engine()
        for run in self.runs:
            row = Run.objects.get(pk=run.pk)
            if row.paused and row.status not in FINAL:
                api.resume_run(self.boss, str(run.public_id))
        for _ in range(ROUNDS):
            self.wipe_the_broker()
            self.relay(marks=True)
            while self.wire:
                self.deliver(0, WORKERS[0], keeps_message=False, ahead=0)
            while self.ahead:
                self.record_what_was_done_ahead(0, 1, 0)
            while self.held:
                claim = self.held.pop()
                assert finish(claim, self._news(claim, "worked"), claim.worker)
            while self.questions():
                self.answer(0, "approve")
            self.let_timers_ring()
            if all(run.status in FINAL for run in Run.objects.filter(pk__in=[run.pk for run in self.runs])):
                self.nothing_is_broken()
                return
        left = RunTask.objects.filter(run__in=self.runs).exclude(status="completed").values_list("key", "status")
        raise AssertionError(f"a run does not come to its end; open: {list(left)}")


class StraightStore(Store):
    """The same with runs in which a worker may go far ahead."""

    @initialize(
        body=st.sampled_from([CHAIN, FORKED]), mode=st.sampled_from(["parallel", "sequential"]), ahead=st.integers(1, 7),
        bodies=st.integers(1, 8),
    )  # fmt: skip
    def start(self, body: dict[str, Any], mode: str, ahead: int, bodies: int) -> None:  # type: ignore[override]
        self.workflow = Driver(self.boss).publish(body | {"defaults": {"execution_mode": mode}})
        self.start_another()
        self.relay(marks=True)
        self.deliver(0, WORKERS[0], keeps_message=False, ahead=ahead)
        self.go_ahead(0, bodies, "worked")

    @precondition(lambda self: self.held)
    @rule(which=pick, bodies=st.integers(1, 7))
    def report(self, which: int, bodies: int) -> None:  # type: ignore[override]
        self.go_ahead(which, bodies, "worked")

    @precondition(lambda self: self.held)
    @rule(which=pick)
    def report_and_go_on(self, which: int) -> None:  # type: ignore[override]
        self.go_ahead(which, 7, "worked")


@pytest.mark.both_databases
@pytest.mark.timeout(0 if EXAMPLES else 300)
@pytest.mark.parametrize("store", [Store, StraightStore])
def test_the_store_keeps_its_promises_whatever_happens(boss: Any, store: type[Store]) -> None:
    few = 6 if connection.vendor == "postgresql" else 10
    kind = type("StoreOfBoss", (store,), {"boss": boss})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=EXAMPLES or few, stateful_step_count=STEPS, deadline=None,
            suppress_health_check=list(HealthCheck), print_blob=True, phases=PHASES,
        ),
    )  # fmt: skip
