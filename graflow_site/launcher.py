"""Starts the whole product and keeps it running: `manage.py up`.

Redis and, in full mode, PostgreSQL first; then the database's tables beside the web process; then workers and
engine. A process that dies is started again. Whatever ends this launcher, kill -9 included, ends all of it.

Loads no Django itself, so that its children come up sooner; they read the same environment.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from graflow_site import env, services
from graflow_site.processes import follower

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "static" / "dist" / "manifest.json"
MODES = ("embedded", "full")

READY_SECONDS = 60.0
LOOK_SECONDS = 0.1
MAX_DEATHS, DEATHS_SECONDS = 5, 60.0  # of one process; after that something is wrong that starting again cannot cure
MAX_BACKOFF_SECONDS = 8.0
WEB_STOP_SECONDS, ENGINE_STOP_SECONDS, WORKER_STOP_SECONDS = 5.0, 10.0, 40.0
LOG_BYTES = 5 * 1024 * 1024  # a longer log becomes name.log.1 at the next start
TAIL_LINES = 12


class Refused(Exception):
    """The product cannot start, or cannot go on. The message is for the person at the console."""


@dataclass
class Member:
    """A process the launcher answers for."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    stop_seconds: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    deaths: deque[float] = field(default_factory=deque)
    start_at: float | None = None  # monotonic; waits for its next start

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mode", choices=MODES, default=os.environ.get("MODE") or "embedded", help="which database")
    parser.add_argument("--check", action="store_true", help="say what is missing and end")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="manage.py up", description="Start everything; Ctrl-C stops it.")
    add_arguments(parser)
    chosen = parser.parse_args(arguments)
    return run(mode=chosen.mode, check=chosen.check)


def run(*, mode: str, check: bool = False) -> int:
    """The exit code: 0 after an orderly stop, 1 when the product could not start or go on."""
    try:
        launcher = Launcher(mode)
        if check:
            return launcher.check()
        return launcher.run()
    except (Refused, services.CannotStart, ImproperlyConfigured) as refused:
        print(refused, file=sys.stderr, flush=True)
        return 1


class Launcher:
    def __init__(self, mode: str, out: TextIO = sys.stdout) -> None:
        self.mode, self.out = mode, out
        self.data = env.folder("GRAFLOW_DATA_DIR", ROOT / "var")
        self.host = env.text("HOST", "127.0.0.1")
        self.port = env.number("PORT", 8000, least=1, most=65535)
        self.workers = env.number("GRAFLOW_WORKERS", os.cpu_count() or 1, least=1, most=256)
        shown = "localhost" if self.host in env.LOOPBACK_HOSTS else self.host
        self.url = env.text("PUBLIC_URL", f"http://{shown}:{self.port}").rstrip("/")
        self.members: list[Member] = []  # in the order of their start
        self.folders: list[Path] = []
        self.environment = dict(os.environ)
        self.stop_requests = 0

    # --- start ----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        os.umask(0o077)  # data, logs and sockets are for this user alone
        self._refuse_taken_port()
        lock = self._lock()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Explicitly: a process started in a script's background has SIGINT ignored.
            signal.signal(number, self._on_signal)
        try:
            self._start()
            return self._watch() if not self.stop_requests else 0
        except Refused as refused:
            self.say(str(refused))
            return 1
        finally:
            self._stop()
            os.close(lock)

    def _start(self) -> None:
        services.remove_stale_socket_folders()
        self._start_redis()
        self._start_postgres()
        self._write_running()
        # The web process needs a second to load; the tables get ready meanwhile, and nobody knows the address yet.
        self._add(Member("web", self._child("web", self._web()), WEB_STOP_SECONDS))
        prepared = self._prepare()
        if self.stop_requests:
            return
        self._add(Member("engine", self._child("engine", self._manage("run_engine")), ENGINE_STOP_SECONDS))
        count = 2 if self.mode == "full" else 1
        for number in range(1, count + 1):
            name = "worker" if count == 1 else f"worker-{number}"
            self._add(Member(name, self._child(name, self._worker(name, count)), WORKER_STOP_SECONDS))
        self._wait_for_page()
        if self.stop_requests:
            return
        self.say(f"Graflow is ready: {self.url}/")
        if path := prepared.get("setup_path"):
            self.say(f"First login (good once, for 30 minutes): {self.url}{path}")
        self.say(f"Data in {_short(self.data)}, logs in {_short(self.data / 'log')}. Ctrl-C stops it.")

    def _start_redis(self) -> None:
        if given := env.text("REDIS_URL", ""):
            self.environment["REDIS_URL"] = env.redis(given)
            if not services.is_reachable(self.environment["REDIS_URL"]):
                self.say(
                    f"REDIS_URL={env.hidden(given)} does not answer. Runs are kept, but no task runs until it does."
                )
            return
        port = services.free_port() if self.mode == "full" else None
        folder, log = self._folder(), self._log("redis")
        service = services.start_redis(log, folder=folder, port=port)
        password = urlsplit(service.url).password or ""
        self.environment["REDIS_URL"] = service.url
        again = lambda: services.start_redis(log, folder=folder, port=port, password=password).process  # noqa: E731
        self.members.append(Member("redis", again, process=service.process))

    def _start_postgres(self) -> None:
        default = f"sqlite:///{self.data / 'graflow.sqlite3'}"
        self.environment["DATABASE_URL"] = env.text("DATABASE_URL", default)
        if self.mode != "full" or env.text("DATABASE_URL", ""):
            return
        data, sockets, log = services.postgres_data(self.data), self._folder(), self._log("postgres")
        if data.parent != self.data:
            self.say(f"The database lies in {data}: its own user may not enter {_short(self.data)}.")
        service = services.start_postgres(log, data=data, sockets=sockets)
        self.environment["DATABASE_URL"] = service.url
        again = lambda: services.start_postgres(log, data=data, sockets=sockets).process  # noqa: E731
        self.members.append(Member("postgres", again, stop_signal=signal.SIGINT, process=service.process))

    def _prepare(self) -> dict[str, Any]:
        """Tables, examples and the way to the first login, in a process of its own; returns what it says."""
        log = self._log("prepare")
        process = subprocess.Popen(
            self._manage("prepare"),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            preexec_fn=follower(),
        )
        output, _ = process.communicate()
        os.close(log)
        if process.returncode == os.EX_CONFIG:
            raise Refused(self._lines("prepare")[-1])
        if process.returncode != 0:
            raise Refused(f"The database could not be prepared.\n{self._tail('prepare')}")
        said: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
        return said

    def _wait_for_page(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.stop_requests:
            if self._page_answers():
                return
            self._look_after_members()
            if time.monotonic() > deadline:
                raise Refused(f"The page did not answer within {READY_SECONDS:.0f} s.\n{self._tail('web')}")
            time.sleep(LOOK_SECONDS / 2)

    def _page_answers(self) -> bool:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        connection = http.client.HTTPConnection(host, self.port, timeout=5)
        try:
            connection.request("GET", "/healthz", headers={"Host": urlsplit(self.url).netloc})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    # --- commands -------------------------------------------------------------------------------------------------

    def _manage(self, *arguments: str) -> list[str]:
        return services.python(str(ROOT / "manage.py"), *arguments)

    def _web(self) -> list[str]:
        where = ["-b", self.host, "-p", str(self.port)]
        return services.python("-m", "daphne", "-v", "0", *where, "--no-server-name", "graflow_site.asgi:application")

    def _worker(self, name: str, count: int) -> list[str]:
        return services.python(
            *("-m", "celery", "-A", "graflow_site.celery", "worker", "--without-gossip", "--without-mingle"),
            *("-n", f"{name}@%h", "-c", str(max(1, self.workers // count)), "-l", env.text("LOG_LEVEL", "INFO")),
        )

    def _child(self, name: str, command: list[str]) -> Callable[[], subprocess.Popen[bytes]]:
        def start() -> subprocess.Popen[bytes]:
            log = self._log(name)
            try:
                return subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches the launcher alone, which stops them in order
                    preexec_fn=follower(),
                )
            finally:
                os.close(log)

        return start

    def _add(self, member: Member) -> None:
        member.process = member.start()
        self.members.append(member)
        self._write_running()

    # --- run ------------------------------------------------------------------------------------------------------

    def _watch(self) -> int:
        while not self.stop_requests:
            self._look_after_members()
            time.sleep(LOOK_SECONDS)
        self.say("Stopping; running tasks may finish. Ctrl-C again ends them at once.")
        return 0

    def _look_after_members(self) -> None:
        for member in self.members:
            if member.is_alive() or self.stop_requests:
                continue
            if member.start_at is None:
                assert member.process is not None
                _end_group(member.process.pid)  # what it left behind must not go on beside its successor
                self._note_death(member, _how(member.process.returncode))
            elif time.monotonic() >= member.start_at:
                self._start_again(member)

    def _start_again(self, member: Member) -> None:
        try:
            member.process = member.start()
        except services.CannotStart:
            self._note_death(member, "does not start")
            return
        member.start_at = None
        self._write_running()

    def _note_death(self, member: Member, how: str) -> None:
        now = time.monotonic()
        member.deaths.append(now)
        while member.deaths[0] < now - DEATHS_SECONDS:
            member.deaths.popleft()
        if len(member.deaths) >= MAX_DEATHS:
            raise Refused(
                f"{member.name} {how}, for the {MAX_DEATHS}th time in a minute. Giving up.\n{self._tail(member.name)}"
            )
        delay = min(MAX_BACKOFF_SECONDS, 0.25 * 2 ** (len(member.deaths) - 1))
        member.start_at = now + delay
        self.say(f"{member.name} {how}; it starts again in {delay:g} s.")

    # --- stop -----------------------------------------------------------------------------------------------------

    def _on_signal(self, *_: object) -> None:
        self.stop_requests += 1

    def _stop(self) -> None:
        """First those who take new work, then those who carry it out, at last what they all need."""
        by_name = {member.name: member for member in self.members}
        workers = [member for name, member in by_name.items() if name.startswith("worker")]
        self._stop_together([by_name[name] for name in ("web", "engine") if name in by_name])
        self._stop_together(workers)
        self._stop_together([by_name[name] for name in ("redis", "postgres") if name in by_name])
        (self.data / env.RUNNING_FILE).unlink(missing_ok=True)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _stop_together(self, members: list[Member]) -> None:
        alive = [member for member in members if member.is_alive()]
        for member in alive:
            assert member.process is not None
            member.process.send_signal(member.stop_signal)
        began = time.monotonic()
        for member in alive:
            while member.is_alive() and self.stop_requests < 2 and time.monotonic() - began < member.stop_seconds:
                time.sleep(LOOK_SECONDS / 5)
        for member in members:
            if member.process is not None:
                _end_group(member.process.pid)
                member.process.wait()

    # --- what is where --------------------------------------------------------------------------------------------

    def check(self) -> int:
        """Say of everything a start needs whether it is there."""
        redis = env.text("REDIS_URL", "") or services.redis_program()
        found = [
            ("the built pages", PAGES.exists(), "run `make static/dist/manifest.json`"),
            ("Redis", bool(redis), "install redis-server, or set REDIS_URL"),
            (f"port {self.port} on {self.host}", not self._port_taken(), "stop what uses it, or choose another PORT"),
        ]
        if self.mode == "full":
            postgres = env.text("DATABASE_URL", "") or services.postgres_bin()
            found.append(("PostgreSQL", bool(postgres), "install postgresql, or set DATABASE_URL"))
        for what, is_there, remedy in found:
            self.say(f"ok       {what}" if is_there else f"missing  {what}: {remedy}")
        return 0 if all(is_there for _, is_there, _ in found) else 1

    def _refuse_taken_port(self) -> None:
        if self._port_taken():
            raise Refused(
                f"Port {self.port} on {self.host} is taken. Stop what uses it, or choose another: PORT=8001 make run"
            )

    def _port_taken(self) -> bool:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as refused:
                if refused.errno == errno.EADDRINUSE:
                    return True
                raise Refused(f"HOST={self.host} PORT={self.port}: {refused.strerror}") from None
        return False

    def _lock(self) -> int:
        """One launcher for a data folder; the lock goes with the process, however it ends."""
        handle = os.open(self.data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"Graflow already runs on {_short(self.data)}. Stop it first, or set GRAFLOW_DATA_DIR."
            ) from None
        return handle

    def _folder(self) -> Path:
        folder = services.socket_folder()
        self.folders.append(folder)
        return folder

    def _write_running(self) -> None:
        """What other commands on this data folder need to find the private services."""
        pids = {member.name: member.process.pid for member in self.members if member.process is not None}
        said = {
            "pid": os.getpid(),
            "url": self.url,
            "REDIS_URL": self.environment["REDIS_URL"],
            "DATABASE_URL": self.environment["DATABASE_URL"],
            "pids": pids,
        }
        path = self.data / env.RUNNING_FILE
        fresh = path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(said, file, indent=1)
        fresh.replace(path)

    def _log(self, name: str) -> int:
        folder = self.data / "log"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _tail(self, name: str) -> str:
        lines = self._lines(name)[-TAIL_LINES:]
        return "\n".join([*(f"  {line}" for line in lines), f"  (all of it: {_short(self._path(name))})"])

    def _lines(self, name: str) -> list[str]:
        return self._path(name).read_text(errors="replace").splitlines()

    def _path(self, name: str) -> Path:
        return self.data / "log" / f"{name}.log"

    def say(self, text: str) -> None:
        print(text, file=self.out, flush=True)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _end_group(pid: int) -> None:
    """Kill what is left of the session a child opened."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
