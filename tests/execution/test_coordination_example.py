"""`examples/coordination.py` does on every backend what it says."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.contract.places import ROOT, worker

FOLDER = ROOT / "examples"


@pytest.mark.parametrize(
    ("backend", "where"),
    [("memory", "this process"), ("multiprocessing", "other processes"), ("redis", "other processes")],
)
def test_the_example_counts_the_same_everywhere(backend, where, redis_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(FOLDER)]))
    if backend != "redis":
        assert _run(backend) == _expected(where)
        return
    # Examples use the usual queue: a database of its own keeps other tests' workers away from it.
    url = f"{redis_url.partition('?')[0]}?db=9"
    with worker(url, "graflow", tmp_path / f"{uuid.uuid4().hex}", module="coordination"):
        assert _run(backend, url) == _expected(where)


def _run(*arguments: str) -> list[str]:
    script = Path(FOLDER / "coordination.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _expected(where: str) -> list[str]:
    return ["6 words of 24 letters", f"counted in {where}", "{'a': 4, 'b': 9, 'c': 16}"]
