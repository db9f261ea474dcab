"""The same shapes on other engines, each in an environment of its own that is made for the measurement.

    python -m bench peers [--only dbos,langgraph] [--quick] [--seconds 300]

Nothing of them is installed beside Graflow. An engine that does not install is named as such; one that is not done
in time is ended, and what it had measured until then counts. Single measurements, for orientation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from graflow_site import services

SCRIPTS = Path(__file__).resolve().parent / "others"
SHAPES = ("chain", "fan", "loop", "diamonds")
SIZES = {"chain": 1_000, "fan": 500, "loop": 1_000, "diamonds": 200}
QUICK = {"chain": 100, "fan": 50, "loop": 100, "diamonds": 20}
INSTALL_SECONDS = 300.0


@dataclass(frozen=True)
class Peer:
    """`stores` are where it keeps its runs: `memory`, `sqlite`, `postgres`, or `own` where it brings one."""

    name: str
    packages: tuple[str, ...]
    stores: tuple[str, ...]


PEERS = (
    Peer("dbos", ("dbos", "psycopg[binary]"), ("sqlite", "postgres")),
    Peer(
        "langgraph",
        ("langgraph", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres", "psycopg[binary]"),
        ("memory", "sqlite", "postgres"),
    ),
    Peer("prefect", ("prefect",), ("own",)),
    Peer("luigi", ("luigi",), ("memory",)),
)


def main(arguments: list[str]) -> None:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench peers", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}; separated by commas")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--seconds", type=float, default=300.0, help="the most that one engine may take on one store")
    chosen = parser.parse_args(arguments)
    only = chosen.only.split(",")
    if unknown := set(only) - set(names):
        parser.error(f"--only names {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    sizes = QUICK if chosen.quick else SIZES
    told = [f"{name} {sizes[name]:,}" for name in SHAPES]
    print(f"{'tasks/s':24} " + " ".join(f"{title:>14}" for title in told), flush=True)
    with tempfile.TemporaryDirectory(prefix="graflow-peers-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own user has to pass
        for peer in (peer for peer in PEERS if peer.name in only):
            _measure(peer, Path(folder), sizes, chosen.seconds)


def _measure(peer: Peer, folder: Path, sizes: dict[str, int], seconds: float) -> None:
    python = _installed(peer, folder / peer.name)
    if python is None:
        print(f"{peer.name:24} does not install here", flush=True)
        return
    for store in peer.stores:
        home = folder / f"{peer.name}-{store}"
        home.mkdir(mode=0o711)
        address, close = _opened(store, home)
        try:
            rates, complaint = _rates(peer, python, home, address, sizes, seconds)
        finally:
            close()
        figures = " ".join(f"{f'{rates[name]:,.0f}' if name in rates else '–':>14}" for name in SHAPES)
        print(f"{f'{peer.name}, {store}':24} {figures}  {complaint}", flush=True)
    shutil.rmtree(folder / peer.name, ignore_errors=True)


def _installed(peer: Peer, place: Path) -> Path | None:
    """The interpreter of a fresh environment with the engine in it; None when it cannot be had."""
    python = place / "bin" / "python"
    steps = [[sys.executable, "-m", "venv", str(place)], [str(python), "-m", "pip", "install", "-q", *peer.packages]]
    try:
        for step in steps:
            subprocess.run(step, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return python


def _opened(store: str, home: Path) -> tuple[str, Callable[[], object]]:
    """The address of a new store as these engines read it, and how to close it."""
    if store == "sqlite":
        return f"sqlite:///{home / 'runs.sqlite3'}", lambda: None
    if store != "postgres":
        return store, lambda: None
    server = services.start_postgres(subprocess.DEVNULL, data=home / "postgres")
    parts = urlsplit(server.url)
    return (
        f"postgresql://{parts.username}@/{parts.path.strip('/')}?host={parse_qs(parts.query)['host'][0]}",
        server.stop,
    )


def _rates(
    peer: Peer, python: Path, home: Path, address: str, sizes: dict[str, int], seconds: float
) -> tuple[dict[str, float], str]:
    """Tasks per second by shape, and why some are missing."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ} | {
        "HOME": str(home), "BENCH_SIZES": json.dumps(sizes), "BENCH_STORE": address, "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [str(python), str(SCRIPTS / f"{peer.name}_shapes.py")],
        cwd=home, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    complaint = ""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        complaint = f"ended after {seconds:g} s"
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
    if process.returncode and not complaint:
        complaint = (errors.strip().splitlines() or ["failed"])[-1][:120]
    found = [json.loads(line) for line in output.splitlines() if line.startswith('{"shape"')]
    return {item["shape"]: item["rate"] for item in found}, complaint
