"""Whatever is killed in the middle of a task: the run finishes, and every task counts once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack

MODULES = "graflow_site.demo,tests.acceptance.gated"
DOCUMENT: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Held",
    "defaults": {"execution_mode": "parallel"},
    "inputs": {"type": "object", "properties": {"folder": {"type": "string"}}},
    "tasks": [
        {"id": "first", "uses": "gated.hold", "params": {"name": "first"}},
        {"id": "second", "uses": "gated.hold", "params": {"name": "second"}},
        {"id": "after", "uses": "gated.follow"},
    ],
    "edges": [{"source": "first", "target": "after"}, {"source": "second", "target": "after", "on": "always"}],
}


class Held:
    """A run whose two first tasks are in the middle of their bodies."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.token = stack.token("ann")
        workflow = self.call("POST", "workflows/", {"name": "Held", "document": DOCUMENT})
        self.call("POST", f"workflows/{workflow['id']}/versions/", {"note": ""})
        run = self.call("POST", "runs/", {"workflow": workflow["id"], "inputs": {"folder": str(folder)}})
        self.id = run["id"]
        stack.wait_for(lambda: self.children("first") and self.children("second"), "bodies in the middle")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.stack.call(method, f"/api/v1/{path}", body, token=self.token)
        assert answer.status in (200, 201), answer
        return answer.body

    def children(self, name: str) -> list[int]:
        """Processes that began the body, oldest first."""
        path = self.folder / f"{name}.started"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def let_go(self) -> None:
        (self.folder / "go").touch()

    def finish(self, seconds: float = 60.0) -> None:
        """The run succeeds, each task has one effective result, events have no gap, all invariants hold."""
        self.stack.wait_for(lambda: self.call("GET", f"runs/{self.id}/")["status"] == "succeeded", "the end", seconds)
        for task_id in ("first", "second", "after"):
            attempts = self.call("GET", f"runs/{self.id}/tasks/{task_id}/")["attempts"]
            assert [a["state"] for a in attempts].count("ok") == 1, attempts
            assert attempts[-1]["state"] == "ok"
        events = self.call("GET", f"runs/{self.id}/events/?after=0&limit=1000")
        assert [event["seq"] for event in events["results"]] == list(range(1, events["last_seq"] + 1))
        self.stack.manage("check_runs")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def held(boot: Callable[..., Stack], tmp_path: Path) -> Callable[[str], Held]:
    tmp_path.chmod(0o777)
    return lambda mode: Held(boot(mode, GRAFLOW_TASK_MODULES=MODULES), tmp_path)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["embedded", "full"])
def test_a_killed_worker_child_loses_nothing(held: Callable[[str], Held], mode: str) -> None:
    run = held(mode)
    killed = run.children("first")[0]
    os.kill(killed, signal.SIGKILL)
    run.stack.wait_for(lambda: len(run.children("first")) == 2, "another try of the lost task", 10)
    run.let_go()
    run.finish()
    lost = run.call("GET", f"runs/{run.id}/tasks/first/")["attempts"][0]
    assert (lost["state"], lost["error"].partition(":")[0]) == ("lost", "worker_lost")


@pytest.mark.timeout(180)
def test_killed_workers_lose_nothing(held: Callable[[str], Held]) -> None:
    run = held("full")
    bodies = [*run.children("first"), *run.children("second")]
    for name in ("worker-1", "worker-2"):
        run.stack.kill(name)
    run.stack.wait_for(lambda: not any(map(is_running, bodies)), "the end of the workers' children")
    run.let_go()
    run.finish()
    assert len(run.children("first")) == len(run.children("second")) == 2


@pytest.mark.timeout(180)
def test_a_killed_product_goes_on_where_it_was(held: Callable[[str], Held]) -> None:
    run = held("embedded")
    bodies = [*run.children("first"), *run.children("second")]
    run.stack.kill("up")
    until = time.monotonic() + 20
    while any(map(is_running, bodies)):  # the product is gone, so nobody else can wait for them
        assert time.monotonic() < until, "bodies outlived their product"
        time.sleep(0.02)
    run.let_go()
    run.stack.start()
    run.finish(seconds=15)
    assert len(run.children("first")) == len(run.children("second")) == 2


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["embedded", "full"])
def test_a_killed_engine_and_a_killed_redis_lose_nothing(held: Callable[[str], Held], mode: str) -> None:
    run = held(mode)
    run.stack.kill("engine")
    run.stack.kill("redis")
    run.let_go()
    run.finish()
