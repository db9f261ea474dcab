"""Durable runs of the whole product, beside Celery's own canvas and beside what the disk allows.

    python -m bench durable [--mode full] [--only chain,fan] [--quick] [--rounds 1]

The product is started as a person starts it: full mode on a PostgreSQL that syncs every commit, a Redis and two
worker processes; embedded mode on SQLite with synchronous=FULL. The references run on the same machine in the same
minutes, Celery's on the same Redis with two worker processes. docs/reference/benchmarks.md says what a line means.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from graflow_site import env, services
from tests.stack import OWN_SETTINGS, ROOT, Stack, booted

PARTS = ("chain", "fan", "diamonds", "loop", "dag", "wide", "size", "idle", "waiting")
ONE_WORKER = frozenset({"waiting"})  # parts for a product of their own, with a single worker process
MODES = ("full", "embedded")
PROCESSES = 2
RESULTS, BROKER = 3, 4  # databases of the product's Redis that the product leaves alone
PART_SECONDS = 3_600.0


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench durable", description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=(*MODES, "both"), default="both")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}; separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes: for a look while changing something")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians of so many rounds")
    chosen = parser.parse_args(arguments)
    only = chosen.only.split(",")
    if unknown := set(only) - set(PARTS):
        parser.error(f"--only names {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options = ["--rounds", str(chosen.rounds), *(["--quick"] if chosen.quick else [])]
    for mode in MODES if chosen.mode == "both" else (chosen.mode,):
        print(f"\n=== {mode} mode ===", flush=True)
        for one_worker in (False, True):
            if parts := [name for name in only if (name in ONE_WORKER) is one_worker]:
                _measure(mode, [*options, *parts], one_worker=one_worker)


def _measure(mode: str, options: list[str], *, one_worker: bool) -> None:
    with ExitStack() as stack:
        product = stack.enter_context(_one_worker(mode) if one_worker else _product(mode))
        environment = _environment(product)
        if mode == "full" and not one_worker:
            stack.enter_context(_celery_worker(environment))
        subprocess.run(
            services.python("-m", "bench.parts", "--mode", mode, *options),
            cwd=ROOT,
            env=environment,
            check=True,
            timeout=PART_SECONDS,
        )


@contextmanager
def _product(mode: str, workers: int = PROCESSES, **environment: str) -> Iterator[Stack]:
    with booted(mode, GRAFLOW_WORKERS=str(workers), GRAFLOW_TASK_MODULES="bench.noop", **environment) as product:
        yield product


@contextmanager
def _one_worker(mode: str) -> Iterator[Stack]:
    """Full mode starts two workers at least; told of an outside PostgreSQL, embedded mode has one beside it."""
    if mode == "embedded":
        with _product(mode, workers=1) as product:
            yield product
        return
    with tempfile.TemporaryDirectory(prefix="graflow-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own user has to pass
        server = services.start_postgres(subprocess.DEVNULL, data=Path(folder) / "postgres")
        try:
            with _product("embedded", workers=1, DATABASE_URL=server.url) as product:
                yield product
        finally:
            server.stop()


def _environment(product: Stack) -> dict[str, str]:
    """For a process that acts on this product, and for the references beside it."""
    known = product.running()
    kept = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    return kept | {
        "DJANGO_SETTINGS_MODULE": "graflow_site.settings",
        "GRAFLOW_DATA_DIR": str(product.data_dir),
        "GRAFLOW_TASK_MODULES": "bench.noop",
        "DATABASE_URL": known["DATABASE_URL"],
        "REDIS_URL": known["REDIS_URL"],
        "LOG_LEVEL": "WARNING",
        "BENCH_BROKER": env.celery_broker(env.redis(known["REDIS_URL"], step=BROKER)),
        "BENCH_RESULTS": env.celery_broker(env.redis(known["REDIS_URL"], step=RESULTS)),
    }


@contextmanager
def _celery_worker(environment: dict[str, str]) -> Iterator[None]:
    worker = subprocess.Popen(
        services.python(
            *("-m", "celery", "-A", "bench.canvas", "worker", "-c", str(PROCESSES), "-l", "WARNING"),
            *("--without-gossip", "--without-mingle", "-n", "bench@%h"),
        ),
        cwd=ROOT,
        env={name: value for name, value in environment.items() if name != "DJANGO_SETTINGS_MODULE"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
