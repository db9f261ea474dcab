"""Starts a real PostgreSQL and a real Redis before Django reads its settings; a pytest plugin named in pyproject.toml.

A missing service is an error, never a skip. TEST_DATABASE_URL and TEST_REDIS_URL name outside ones instead. The
first process starts PostgreSQL and hands it on by its environment; each xdist worker has its own Redis, since keys
would collide, and its own database, which pytest-django names for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from graflow_site import services

DATABASE, REDIS, DATA = "DATABASE_URL", "REDIS_URL", "GRAFLOW_DATA_DIR"


def _start() -> None:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = Path(tempfile.mkdtemp(prefix="graflow-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[DATA] = str(folder / "data")
    os.environ.pop("DEBUG", None)
    # How full the disk of the machine is that tests is no matter of the tests.
    os.environ["GRAFLOW_DISK_WARN_PERCENT"] = os.environ["GRAFLOW_DISK_REFUSE_PERCENT"] = "0"
    # Playwright's synchronous interface keeps a loop running in this process; the servers get no such permission.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    services.remove_stale_socket_folders()
    if not is_worker:
        os.environ[DATABASE] = os.environ.get("TEST_DATABASE_URL") or _postgres(folder)
    os.environ[REDIS] = os.environ.get("TEST_REDIS_URL") or _redis()


def _postgres(folder: Path) -> str:
    folder.chmod(0o711)
    server = services.start_postgres(subprocess.DEVNULL, data=folder / "postgres", quick=True, name="postgres")
    # atexit and not a pytest hook: a bad option ends pytest without its closing hooks.
    atexit.register(server.stop)
    return server.url


def _redis() -> str:
    server = services.start_redis(subprocess.DEVNULL)
    atexit.register(server.stop)
    return server.url


# At import: plugins named by -p are imported before pytest-django looks at the settings.
_start()
