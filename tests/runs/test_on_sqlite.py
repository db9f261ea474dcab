"""The same promises on SQLite: the tests of runs and workers once more, in a process with the other database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

HERE = Path(__file__).parent


@pytest.mark.timeout(300)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="this is that process")
def test_all_of_it_on_sqlite(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["TEST_DATABASE_URL"] = f"sqlite:///{tmp_path / 'runs.sqlite3'}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(HERE), str(HERE.parent / "workers"), "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:]
