"""A backend as the tests name it, and a Redis worker as a child process."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from engine import CoordinationBackend, ParallelGroupExecutor, TaskCoordinator, WorkflowContext, workflow
from engine.execution.coordinator import create_coordinator

ROOT = Path(__file__).parents[2]
LEASE = 1.5
"""Short, so that a killed worker is noticed within a test's patience."""


@dataclass(frozen=True)
class Backend:
    """One backend and how to reach it."""

    kind: CoordinationBackend
    config: dict[str, Any] = field(default_factory=dict)

    def coordinator(self, **more: Any) -> TaskCoordinator:
        return create_coordinator(self.kind, self.config | more)

    def executor(self, **more: Any) -> ParallelGroupExecutor:
        return ParallelGroupExecutor(self.kind, self.config | more)

    def workflow(self, name: str = "contract", **more: Any) -> WorkflowContext:
        settings = {"execution_mode": "parallel", "max_workers": 2} | more
        return workflow(name, coordination_backend=self.kind, backend_config=self.config, **settings)

    @property
    def is_elsewhere(self) -> bool:
        return self.kind is not CoordinationBackend.MEMORY


@contextlib.contextmanager
def worker(
    url: str, queue: str, log: Path, *, module: str = "tests.contract.workloads", concurrency: int = 2
) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis worker as a process of its own, ready to work; afterwards it is gone."""
    command = [sys.executable, "-m", "engine.execution.redis_worker", "--url", url, "--queue", queue]
    command += ["--import", module, "--concurrency", str(concurrency)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 30
        while b" ready." not in log.read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


def eventually(holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "", within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)
