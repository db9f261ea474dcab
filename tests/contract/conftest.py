"""The three backends, each for real: threads, processes, and Celery workers over Redis as child processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator

import psutil
import pytest
import redis
from django.conf import settings

from engine import CoordinationBackend
from tests.contract.places import LEASE, Backend, eventually, worker


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
    keys, processes, threads = set(redis_client.keys("*")), _children(), _threads()
    yield
    eventually(lambda: _threads() <= threads, lambda: f"left: {_threads() - threads}")
    eventually(lambda: set(redis_client.keys("*")) <= keys, lambda: f"left: {set(redis_client.keys('*')) - keys}")
    eventually(lambda: _children() <= processes, lambda: f"left: {_children() - processes}")


def _threads() -> set[str]:
    """Ours and those of pools; a thread's name is unique enough."""
    return {f"{thread.name} {thread.ident}" for thread in threading.enumerate() if "graflow" in thread.name}


def _children() -> set[int]:
    """Worker processes below this one; the fork server and its helper stay for the next pool."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = child.parent()
            if parent is not None and "forkserver" in " ".join(parent.cmdline()):
                found.add(child.pid)
    return found
