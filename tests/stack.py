"""The whole product as child processes, started the way a person starts it, on a data folder and ports of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graflow_site.services import free_port

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
# What the test process itself runs on must not reach the product under test.
OWN_SETTINGS = ("DATABASE_URL", "REDIS_URL", "DJANGO_ALLOW_ASYNC_UNSAFE", "DJANGO_SETTINGS_MODULE", "MODE", "DEBUG")
ROLES = ("viewer", "operator", "reviewer", "designer", "admin")


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class Stack:
    """A running product. `kill` and `start` may be used as often as a test likes."""

    def __init__(self, mode: str, data_dir: Path, **environment: str) -> None:
        self.mode, self.data_dir = mode, data_dir
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
        self.environment |= {
            "GRAFLOW_DATA_DIR": str(data_dir),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "GRAFLOW_WORKERS": "2",
            **environment,
        }
        self.console = data_dir.parent / f"{data_dir.name}.console"
        self.process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}

    def start(self, *, until_ready: bool = True) -> Stack:
        with self.console.open("ab") as console:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--mode", self.mode],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if until_ready:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until the database, the broker, a worker and the engine all say that they are there."""
        self.wait_for(lambda: self.call("GET", "/readyz").status == 200, "readiness", seconds, every=0.2)

    def wait_for(self, is_met: Callable[[], Any], what: str, seconds: float = 30.0, *, every: float = 0.05) -> Any:
        """The first true value of `is_met`; connection errors count as not yet."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"the product ended while a test waited for {what}\n{self.logs()}")
            try:
                if found := is_met():
                    return found
            except OSError:
                pass
            time.sleep(every)
        raise AssertionError(f"no {what} within {seconds:g} s\n{self.logs()}")

    def stop(self, how: signal.Signals = signal.SIGINT, seconds: float = 60.0) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(seconds)

    def running(self) -> dict[str, Any]:
        """What the launcher wrote about its children: `pids` by name, REDIS_URL, DATABASE_URL."""
        try:
            found: dict[str, Any] = json.loads((self.data_dir / "running.json").read_text())
        except FileNotFoundError:
            return {"pids": {}}
        return found

    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.running()["pids"]
        return pids

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """kill -9 of one process by its name (web, engine, worker, worker-1, redis, postgres, up); its old pid."""
        pid = self.process.pid if name == "up" and self.process else self.pids()[name]
        os.kill(pid, how)
        if name == "up" and self.process:
            self.process.wait()
        return pid

    def manage(self, *arguments: str, text: str | None = None) -> str:
        """Output of a management command on this product's data."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"manage.py {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}")
        return done.stdout

    def account(self, name: str, *roles: str) -> str:
        """A new person with these roles (default: all five); the password."""
        password = secrets.token_urlsafe(15)
        self.manage("create_account", name, "--roles", ",".join(roles or ROLES), "--password-stdin", text=password)
        return password

    def token(self, name: str, *roles: str) -> str:
        """The API token of a person, who is made when this stack has not seen the name yet."""
        if name not in self._tokens:
            self.account(name, *roles)
            self._tokens[name] = self.manage("create_token", name).strip().splitlines()[-1]
        return self._tokens[name]

    def call(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Answer:
        """One HTTP request; refusals are answers too."""
        request = urllib.request.Request(self.base_url + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Token {token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as refused:
            return _answer(refused.code, refused.headers, refused.read())

    def logs(self, lines: int = 40) -> str:
        """The last lines of every process, for a failed test."""
        parts = []
        for path in [self.console, *sorted((self.data_dir / "log").glob("*.log"))]:
            if path.exists() and (tail := path.read_text(errors="replace").splitlines()[-lines:]):
                parts.append("\n".join([f"--- {path.name}", *tail]))
        return "\n".join(parts)


def _answer(status: int, headers: Any, raw: bytes) -> Answer:
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = raw.decode(errors="replace")
    return Answer(status, body, {name.lower(): value for name, value in headers.items()})


@contextmanager
def booted(mode: str, *, until_ready: bool = True, **environment: str) -> Iterator[Stack]:
    """A product on a new data folder; ended and removed afterwards, whatever the test did to it."""
    place = Path(tempfile.mkdtemp(prefix="graflow-stack-"))
    place.chmod(0o711)  # PostgreSQL's own user has to pass
    stack = Stack(mode, place / "data", **environment)
    try:
        yield stack.start(until_ready=until_ready)
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop(signal.SIGTERM)
        shutil.rmtree(place, ignore_errors=True)
