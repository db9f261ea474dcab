"""The three backends, each for real: threads, processes, and Celery workers over Redis as child processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from django.conf import settings

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
def worker(url: str, queue: str, log: Path, concurrency: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis worker as a process of its own, ready to work; afterwards it is gone."""
    command = [sys.executable, "-m", "engine.execution.redis_worker", "--url", url, "--queue", queue]
    command += ["--import", "tests.contract.workloads", "--concurrency", str(concurrency)]
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


@pytest.fixture(scope="session")
def worker_queue() -> str:
    return f"contract-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="session")
def redis_worker(worker_queue: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    with worker(settings.REDIS_URL, worker_queue, tmp_path_factory.mktemp("worker") / "log") as process:
        yield process


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["memory", "multiprocessing", "redis"])
def backend(request: pytest.FixtureRequest, redis_url: str) -> Backend:
    """Every test with this fixture holds for all three."""
    return _backend(request, redis_url)


@pytest.fixture(params=["multiprocessing", "redis"])
def other_process(request: pytest.FixtureRequest, redis_url: str) -> Backend:
    """The backends whose work leaves this process, and can die there."""
    return _backend(request, redis_url)


def _backend(request: pytest.FixtureRequest, redis_url: str) -> Backend:
    kind = CoordinationBackend(request.param)
    if kind is CoordinationBackend.REDIS:
        request.getfixturevalue("redis_worker")
        queue = request.getfixturevalue("worker_queue")
        return Backend(kind, {"url": redis_url, "queue": queue, "lease": LEASE})
    return Backend(kind, {"process_count": 2} if kind is CoordinationBackend.MULTIPROCESSING else {})


@pytest.fixture
def nothing_left(redis_client: redis.Redis) -> Iterator[None]:
    """What a test leaves in Redis, in threads or in processes fails it."""
    keys, processes = set(redis_client.keys("*")), _children()
    yield
    eventually(lambda: set(redis_client.keys("*")) <= keys, lambda: f"left: {set(redis_client.keys('*')) - keys}")
    eventually(lambda: _children() <= processes, lambda: f"left: {_children() - processes}")


def _children() -> set[int]:
    """Worker processes below this one; the fork server and its helper stay for the next pool."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = child.parent()
            if parent is not None and "forkserver" in " ".join(parent.cmdline()):
                found.add(child.pid)
    return found


def eventually(holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "", within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.02)
