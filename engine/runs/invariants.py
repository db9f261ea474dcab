"""What must hold of every run, at rest and under fire; checked on any database, by reading only.

I1  events are gapless from 1 (or from what is not archived yet), and the run's seq is the last one
I2  every move is legal and continues the one before it
I3  a task's row is what its events say
I4  at most one result counts per task and iteration; at most one attempt of a task is claimed, and what is reserved is
    so for a job that has claimed something
I5  what is ready has an open attempt, what waits for a retry a timer, for people a question, for a workflow a run
I6  a run that has ended has nothing open
I7  a run that goes on has something that can move it
I8  iterations, retries and losses stay within their limits
I9  one decision per person and question
I10 nothing begins while its run is paused
I11 a join lets its task go once per iteration, after the inputs it asks for
I12 a result that counts came under the newest token of its iteration
I13 every task, attempt and event belongs to a run that is there
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef

from engine.core import kinds
from engine.core.plan import Plan
from engine.core.retry import LOSS_BUDGET
from engine.core.state import FINAL_RUN_STATUSES, LEGAL_MOVES, TaskStatus
from engine.runs.models import Attempt, FeedbackDecision, FeedbackRequest, Run, RunEvent, RunTask, Timer
from engine.runs.outgoing import ChildRun
from engine.runs.plans import plan_of

_SHOWN = 20
_LIVE = ("ready", "running", "retry_waiting", "feedback_required")
_RESULTS = (Attempt.OK,)
_ENDS = ("planned", "success", "completed")
_ON_ITS_WAY = (ChildRun.ASKED, ChildRun.STARTED, ChildRun.ENDED)


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    run: str
    invariant: str
    message: str

    def __str__(self) -> str:
        return f"run {self.run}: {self.invariant}: {self.message}"


@dataclass
class _Facts:
    """Everything of one run, read once."""

    run: Run
    plan: Plan

    def __post_init__(self) -> None:
        self.tasks = {task.key: task for task in RunTask.objects.filter(run=self.run).defer("result")}
        self.events = list(RunEvent.objects.filter(run_id=self.run.pk).order_by("seq"))
        self.attempts = list(Attempt.objects.filter(run=self.run).defer("result", "inputs").order_by("pk"))
        self.timers = list(Timer.objects.filter(run=self.run, fired_at=None))
        self.children = list(ChildRun.objects.filter(parent=self.run).select_related("child").defer("child__counters"))
        self.questions = list(FeedbackRequest.objects.filter(run=self.run).defer("data"))


def check_all(runs: list[int] | None = None) -> Iterator[Finding]:
    """Findings over all runs, or those with these row ids. Runs that move meanwhile may be found in mid-step."""
    rows = Run.objects.order_by("pk")
    if runs is not None:
        rows = rows.filter(pk__in=runs)
    for run in rows.iterator(chunk_size=200):
        yield from check_run(run)
    if runs is None:
        yield from _orphans()


def check_run(run: Run) -> Iterator[Finding]:
    facts = _Facts(run, plan_of(run.version_id))
    for check in _CHECKS:
        for invariant, message in check(facts):
            yield Finding(str(run.public_id), invariant, message)


def _orphans() -> Iterator[Finding]:
    """Rows whose run is gone; the tables do not refuse them (ADR 8)."""
    for model in (RunTask, Attempt, RunEvent):
        runs = model._default_manager.filter(~Exists(Run.objects.filter(pk=OuterRef("run_id"))))
        for run_id, count in runs.order_by().values_list("run_id").annotate(count=Count("run_id"))[:_SHOWN]:
            yield Finding(f"#{run_id}", "I13", f"{count} rows of {model._meta.db_table} belong to no run")


_Found = Iterator[tuple[str, str]]


def _gapless(facts: _Facts) -> _Found:
    seqs = [event.seq for event in facts.events]
    first = facts.run.min_seq  # what is older is archived
    if seqs != list(range(first, first + len(seqs))):
        missing = sorted(set(range(first, first + len(seqs))) - set(seqs))[:5]
        yield "I1", f"events are not gapless from {first}; missing: {missing}"
    if (seqs[-1] if seqs else first - 1) != facts.run.seq:
        yield "I1", f"the run's seq is {facts.run.seq}, its last event {seqs[-1] if seqs else 0}"


def _legal(facts: _Facts) -> _Found:
    if facts.run.min_seq > 1:
        return  # the moves before these are archived, so these have nothing to continue
    status = dict.fromkeys(facts.plan.tasks, "blocked")
    run_status = "pending"
    for event in facts.events:
        if event.type == "run_status":
            if event.from_status != run_status:
                yield "I2", f"event {event.seq} leaves {event.from_status}, but the run was {run_status}"
            run_status = event.to_status or ""
        elif event.type == "task_created":
            status[event.task_id or ""] = "blocked"
        elif event.type == "task_status" and event.task_id:
            before = status.get(event.task_id, "blocked")
            if event.from_status != before:
                yield "I2", f"event {event.seq} moves {event.task_id} from {event.from_status}, but it was {before}"
            if event.to_status not in LEGAL_MOVES[TaskStatus(before)] and event.from_status == before:
                yield "I2", f"event {event.seq}: {event.from_status} → {event.to_status} is no legal move"
            status[event.task_id] = event.to_status or ""
    if run_status != facts.run.status:
        yield "I3", f"the run is {facts.run.status}; its events say {run_status}"
    for key, task in facts.tasks.items():
        if task.status != status.get(key):
            yield "I3", f"task {key} is {task.status}; its events say {status.get(key)}"


def _counted_once(facts: _Facts) -> _Found:
    counted = Counter((a.key, a.iteration) for a in facts.attempts if a.state in _RESULTS)
    for (key, iteration), count in counted.items():
        if count > 1:
            yield "I4", f"task {key} has {count} results in iteration {iteration}"
    claimed = Counter(a.key for a in facts.attempts if a.state == Attempt.CLAIMED)
    for key, count in claimed.items():
        if count > 1:
            yield "I4", f"task {key} has {count} claimed attempts"
        if facts.tasks[key].status != "running":
            yield "I4", f"task {key} is {facts.tasks[key].status}, but an attempt is claimed"
    jobs = {a.job for a in facts.attempts if a.state == Attempt.CLAIMED}
    for attempt in facts.attempts:
        if attempt.state == Attempt.RESERVED and attempt.job not in jobs:
            yield "I4", f"an attempt of {attempt.key} is reserved for a job that has claimed nothing"
    newest: dict[tuple[str, int], int] = {}
    for attempt in facts.attempts:
        place = (attempt.key, attempt.iteration)
        newest[place] = max(newest.get(place, 0), attempt.number)
    for attempt in facts.attempts:
        if attempt.state in _RESULTS and attempt.number != newest[attempt.key, attempt.iteration]:
            yield "I12", f"the result of {attempt.key}, iteration {attempt.iteration}, came under an old token"


def _has_what_moves_it(facts: _Facts) -> _Found:
    if facts.run.status in FINAL_RUN_STATUSES:
        return
    open_attempts = Counter(a.key for a in facts.attempts if a.state in Attempt.OPEN)
    timers = {timer.key for timer in facts.timers}
    asked = {question.task_key for question in facts.questions if question.state == FeedbackRequest.OPEN}
    children = {(child.key, child.iteration, child.attempt) for child in facts.children if child.state in _ON_ITS_WAY}
    for key, task in facts.tasks.items():
        planned = facts.plan.tasks.get(key)
        waits_for_resume = facts.run.paused and planned is not None and kinds.is_inline(planned)
        if task.status == "ready" and open_attempts[key] != 1 and not waits_for_resume:
            yield "I5", f"task {key} is ready with {open_attempts[key]} open attempts"
        if task.status == "running" and planned is not None and planned.kind == "delay":
            if key not in timers:
                yield "I5", f"task {key} is a delay, but no timer is set"
        elif task.status == "running" and planned is not None and planned.kind == "workflow":
            if (key, task.iteration, task.attempt) not in children:
                yield "I5", f"task {key} runs a workflow, but no child is on its way"
        elif task.status == "running" and open_attempts[key] != 1:
            yield "I5", f"task {key} is running with {open_attempts[key]} open attempts"
        if task.status == "retry_waiting" and key not in timers:
            yield "I5", f"task {key} waits for a retry, but no timer is set"
        if task.status == "feedback_required" and key not in asked:
            yield "I5", f"task {key} waits for people, but no question is open"
    for child in facts.children:
        if child.state == ChildRun.STARTED and (child.child is None or child.child.is_final):
            yield "I5", f"task {child.key} waits for run {child.child and child.child.public_id}, which has ended"
    if not any(task.status in _LIVE for task in facts.tasks.values()):
        yield "I7", "the run goes on, but nothing can move it"


def _closed(facts: _Facts) -> _Found:
    if facts.run.status not in FINAL_RUN_STATUSES:
        return
    left: dict[str, list[str | None]] = {
        "attempts": [a.key for a in facts.attempts if a.state in (*Attempt.OPEN, Attempt.RESERVED)],
        "questions": [q.task_key for q in facts.questions if q.state == FeedbackRequest.OPEN],
        "timers": [timer.key for timer in facts.timers],
        "children": [c.key for c in facts.children if c.state in (ChildRun.ASKED, ChildRun.STARTED)],
        "tasks": [key for key, task in facts.tasks.items() if task.status != "completed"],
    }
    for what, keys in left.items():
        if keys:
            yield "I6", f"the run is {facts.run.status}, but has open {what}: {', '.join(map(str, keys[:5]))}"


def _within_limits(facts: _Facts) -> _Found:
    limited = {name for edge in facts.plan.edges for name in edge.limited}
    for key, task in facts.tasks.items():
        planned = facts.plan.tasks.get(key)
        if planned is None:
            continue
        counts = key in limited or not planned.loops  # the rest of a body runs as often as those say
        if counts and planned.max_cycle and task.cycle_count > planned.max_cycle:
            yield (
                "I8",
                f"task {key} ran {task.cycle_count} times since its loop was entered; its limit is {planned.max_cycle}",
            )
        if task.retry_count > planned.max_retries:
            yield "I8", f"task {key} was retried {task.retry_count} times; its limit is {planned.max_retries}"
        if task.lost_count > LOSS_BUDGET + 1:
            yield "I8", f"task {key} was lost {task.lost_count} times; its budget is {LOSS_BUDGET}"


def _decided_once(facts: _Facts) -> _Found:
    decisions = FeedbackDecision.objects.filter(request__run=facts.run)
    pairs: Any = decisions.values("request", "user")
    twice = pairs.annotate(count=Count("pk")).filter(count__gt=1)
    for row in twice:
        yield "I9", f"question {row['request']} has {row['count']} decisions of one person"
    decided = Counter(decisions.values_list("request__state", flat=True))
    if open_ones := decided.get(FeedbackRequest.OPEN, 0):
        yield "I9", f"{open_ones} decided questions are still open"


def _still_while_paused(facts: _Facts) -> _Found:
    if facts.run.min_seq > 1:
        return  # as above: whether it was paused may be archived
    paused = False
    for event in facts.events:
        if event.type == "run_status":
            paused = event.to_status == "paused"
        elif paused and event.type == "task_status" and event.to_status == "running":
            yield "I10", f"event {event.seq} starts {event.task_id} while the run is paused"


def _joined_once(facts: _Facts) -> _Found:
    if facts.run.min_seq > 1:
        return  # as above: what a join waited for may be archived
    plan = facts.plan
    heads = {head for loop in plan.loops for head in loop.heads}
    over: set[int] = set()  # loops that have ended before
    ended: set[str] = set()
    let_go: set[tuple[str, int]] = set()
    for event in facts.events:
        key = event.task_id or ""
        if event.type == "loop_ended" and event.data is not None:
            over.add(event.data["loop"])
        elif event.type == "task_created" or (event.from_status, event.to_status) == ("planned", "ready"):
            ended.discard(key)  # a new iteration
        elif event.to_status in _ENDS:
            ended.add(key)
        elif (event.from_status, event.to_status) == ("blocked", "ready") and key in plan.tasks:
            if (key, event.iteration) in let_go:
                yield "I11", f"event {event.seq} lets {key} go again in iteration {event.iteration}"
            let_go.add((key, event.iteration))
            if key in heads and event.iteration > 1:
                continue  # over a loop edge, or again with the loop around it
            edges = [plan.edges[index] for index in plan.tasks[key].inputs]
            come = sum(over.issuperset(e.leaves) and ended.issuperset(plan.members_of(e.source)) for e in edges)
            needed = _needed(plan.tasks[key].join, len(edges))
            if come < needed:
                yield "I11", f"event {event.seq} lets {key} go after {come} of {needed} inputs"


def _needed(join: str | int, edges: int) -> int:
    """How many of so many edges must be decided at least before the join may let its task go."""
    if join in ("all_done", "all"):
        return edges
    return min(edges, 1 if join == "any" else int(join))


_CHECKS = (
    _gapless, _legal, _counted_once, _has_what_moves_it, _closed, _within_limits, _decided_once, _still_while_paused,
    _joined_once,
)  # fmt: skip

__all__ = ["Finding", "check_all", "check_run"]
