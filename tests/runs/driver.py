"""Drives runs by hand: `Driver(boss).start(document)`, then `work`, `fail`, `answer`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

from django.db import connection

from engine.core import news as n
from engine.runs import api, leases, stretch, sweeps
from engine.runs.models import Attempt, RunTask
from engine.runs.models import Run as RunRow

from . import tasks_here  # noqa: F401  registers the functions that `task` names

WORKER = "00000000-0000-0000-0000-00000000000a"


def task(task_id: str, **settings: Any) -> dict[str, Any]:
    return {"id": task_id, "uses": "test.echo", **settings}


def document(tasks: list[dict[str, Any]], edges: list[Any], **more: Any) -> dict[str, Any]:
    """A definition whose tasks run side by side; an edge is "a>b" or a whole edge."""
    drawn = [
        dict(zip(("source", "target"), edge.split(">"), strict=True)) if isinstance(edge, str) else edge
        for edge in edges
    ]
    defaults = {"execution_mode": "parallel"}
    return {"schema": "graflow/1", "name": "Test", "tasks": tasks, "edges": drawn, "defaults": defaults, **more}


class Driver:
    def __init__(self, boss: Any) -> None:
        self.boss = boss

    def publish(self, body: dict[str, Any]) -> str:
        workflow = api.create_workflow(self.boss, name=body["name"], document=body)
        api.publish(self.boss, workflow.id)
        return workflow.id

    def start(self, body: dict[str, Any], **inputs: Any) -> Run:
        return Run(self.boss, api.start_run(self.boss, workflow=self.publish(body), inputs=inputs).id)


class Run:
    def __init__(self, boss: Any, run_id: str) -> None:
        self.boss, self.id = boss, run_id

    @property
    def row(self) -> RunRow:
        return RunRow.objects.get(public_id=self.id)

    @property
    def status(self) -> str:
        return api.run_status(self.boss, self.id).status

    def task(self, key: str) -> RunTask:
        return RunTask.objects.get(run=self.row, key=key)

    def open(self) -> list[Attempt]:
        """Attempts nobody has claimed."""
        return list(Attempt.objects.filter(run=self.row, state=Attempt.DISPATCHED).order_by("pk"))

    def claim(self, key: str, worker: str = WORKER) -> leases.Claim:
        attempt = Attempt.objects.get(run=self.row, key=key, state=Attempt.DISPATCHED)
        claim = leases.claim(attempt.pk, attempt.nonce, worker)
        assert claim is not None, f"{key} could not be claimed"
        return claim

    def work(self, *keys: str, value: Any = "done") -> None:
        """Claim and finish these tasks, one after another."""
        for key in keys:
            assert finish(self.claim(key), n.TaskFinished(key, 0.0, value))

    def fail(self, key: str, error: str = "boom", *, retryable: bool = True) -> None:
        news = n.TaskFailed(task_id=key, at=0.0, error=error, retryable=retryable, delay=3600)
        assert finish(self.claim(key), news)

    def question(self) -> Any:
        return api.list_feedback(self.boss, run=self.id).results[0]

    def answer(self, decision: str, **more: Any) -> None:
        api.answer_feedback(self.boss, self.question().id, decision=decision, **more)

    def events(self) -> list[Any]:
        return list(api.events_after(self.boss, self.id, 0, 1000).results)


def finish(claim: leases.Claim, news: Any, worker: str = WORKER) -> bool:
    """Whether the report counted."""
    return stretch.finish([(replace(claim, worker=worker), leases.Report(news=news))])[0] == 1


def reap() -> int:
    """What the engine process does about leases that are over."""
    return sum(leases.reap(attempt_id) for attempt_id in leases.overdue())


def fire_timers() -> int:
    """What the engine process does about timers that are due."""
    return sum(sweeps.fire(due) for due in sweeps.due_timers())


def at_once(count: int, do: Callable[[int], Any]) -> list[Any]:
    """Results (or errors) of `do(0..count-1)`, all begun at the same moment in threads of their own."""
    barrier = Barrier(count)

    def one(place: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait()
            return do(place)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
