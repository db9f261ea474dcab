"""The parts of the durable benchmarks, measured on a running product: the child process of `bench.durable`.

Reads from the environment which product to use, as every command of the site does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import django
import networkx as nx

django.setup()

from django.db import connection  # noqa: E402

from bench import canvas, commits, shapes  # noqa: E402
from bench.engine import random_dag  # noqa: E402
from engine.access.actors import SYSTEM  # noqa: E402
from engine.core.state import FINAL_RUN_STATUSES  # noqa: E402
from engine.runs import api, database  # noqa: E402
from engine.runs.models import FeedbackRequest, Run, RunEvent  # noqa: E402

RUN_SECONDS = 300.0  # after which a run counts as stuck
POLL_SECONDS = 0.01
LATENCY = {"full": (0.050, 0.250), "embedded": (0.020, 0.100)}  # READY to RUNNING: p50, p99 in seconds
PLAIN = 5  # tasks of the plain run whose latency is compared


@dataclass(frozen=True)
class Sizes:
    chain: int = 1_000
    fan: int = 500
    loop: int = 1_000
    diamonds: int = 200
    dag: int = 2_000
    small: int = 200
    wide: int = 1_000
    raw: int = 5_000
    commit_seconds: float = 2.0
    idle: int = 100
    waiting: int = 10_000
    plain: int = 40


QUICK = Sizes(
    chain=200, fan=100, loop=200, diamonds=40, dag=400, small=100, wide=200, raw=1_000, commit_seconds=0.5,
    idle=30, waiting=500, plain=20,
)  # fmt: skip


# --- the product --------------------------------------------------------------------------------------------------


def published(document: dict[str, Any]) -> str:
    """The name of a workflow that may be started."""
    workflow = api.create_workflow(SYSTEM, name=document["name"], document=document)
    api.publish(SYSTEM, workflow.slug)
    return workflow.slug


def run_through(slug: str, count: int = 1) -> float:
    """Seconds from the first start request to the end of the last of `count` runs."""
    began = time.perf_counter()
    started = [api.start(SYSTEM, workflow=slug) for _ in range(count)]
    left = Run.objects.filter(public_id__in=started).exclude(status__in=FINAL_RUN_STATUSES)
    while left.exists():
        if time.perf_counter() - began > RUN_SECONDS:
            raise SystemExit(f"{slug}: {left.count()} of {count} runs have not ended within {RUN_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - began
    odd = set(Run.objects.filter(public_id__in=started).values_list("status", flat=True)) - {"succeeded"}
    if odd:
        raise SystemExit(f"{slug}: a run ended as {odd}")
    return seconds


def waits_for_a_worker(slug: str, count: int) -> list[float]:
    """READY to RUNNING of a single task, seconds by the database's clock, in a system that does nothing else."""
    last = RunEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for _ in range(count):
        run_through(slug)
    moments: dict[int, dict[str, float]] = {}
    told = RunEvent.objects.filter(pk__gt=last, to_status__in=("ready", "running"))
    for run, status, at in told.values_list("run_id", "to_status", "at"):
        moments.setdefault(run, {})[status] = at
    return sorted(moment["running"] - moment["ready"] for moment in moments.values())


def latency(slug: str, count: int) -> float:
    """Median seconds from the start of a run to its end by the database's clock."""
    last = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for _ in range(count):
        run_through(slug)
    times = Run.objects.filter(pk__gt=last).values_list("created_at", "ended_at")
    return statistics.median((ended - created).total_seconds() for created, ended in times)


# --- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Goal:
    """`ours` must be at least `factor` times the figure of `reference`; no factor: only shown."""

    reference: str
    factor: float | None = None


@dataclass(frozen=True)
class Part:
    """Something measured in tasks per second."""

    title: str
    rate: Callable[[], float]
    goals: tuple[Goal, ...]


@dataclass
class Bench:
    mode: str
    sizes: Sizes
    rounds: int
    references: dict[str, Callable[[], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = self.sizes
        self.commits = "PostgreSQL commits" if self.mode == "full" else "SQLite commits"
        self.references[self.commits] = self._commits
        if self.mode != "full":
            return
        dag = random_dag(sizes.dag)
        canvases: dict[str, tuple[int, Callable[[], float]]] = {
            "Celery messages": (sizes.raw, lambda: canvas.raw(sizes.raw)),
            "Celery chain": (sizes.chain, lambda: canvas.chained(sizes.chain)),
            "Celery chord": (sizes.fan + 2, lambda: canvas.chord(sizes.fan)),
            "Celery diamonds": (4 * sizes.diamonds, lambda: canvas.diamonds(sizes.diamonds)),
            "Celery layers": (sizes.dag, lambda: canvas.layers(dag)),
        }
        for name, (tasks, run) in canvases.items():
            self.references[name] = lambda tasks=tasks, run=run: tasks / run()  # type: ignore[misc]

    def _commits(self) -> float:
        if self.mode == "full":
            return commits.postgres(_connection(), self.sizes.commit_seconds)
        return commits.sqlite(Path(os.environ["GRAFLOW_DATA_DIR"]) / "commits.sqlite3", self.sizes.commit_seconds)

    def compare(self, parts: list[Part]) -> None:
        """Every part right beside its references, in turns, so that noise meets both; a line for each."""
        if self.mode == "full":
            canvas.await_worker()
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(self.rounds):
            for part in parts:
                for name in self._references(part):
                    rates.setdefault((part.title, name), []).append(self.references[name]())
                rates.setdefault((part.title, "ours"), []).append(part.rate())
        head("tasks/s", "ours", "reference", "", "ratio")
        for part in parts:
            ours = statistics.median(rates[part.title, "ours"])
            for name, factor in self._references(part).items():
                theirs = statistics.median(rates[part.title, name])
                line(part.title, f"{ours:,.0f}", name, f"{theirs:,.0f}", ours / theirs, factor)

    def _references(self, part: Part) -> dict[str, float | None]:
        """Those of this mode with their factors."""
        return {goal.reference: goal.factor for goal in part.goals if goal.reference in self.references}


def head(what: str, ours: str, reference: str, theirs: str, ratio: str) -> None:
    print(f"\n{what:24} {ours:>10} {reference:>22} {theirs:>10} {ratio:>7} {'goal':>8}", flush=True)


def line(
    title: str, ours: str, reference: str, theirs: str, ratio: float, goal: float | None, *, most: bool = False
) -> None:
    met = goal is None or (ratio <= goal if most else ratio >= goal)
    wanted = "" if goal is None else f"{'≤' if most else '≥'} {goal:g}"
    verdict = "" if goal is None else ("met" if met else "MISSED")
    print(f"{title:24} {ours:>10} {reference:>22} {theirs:>10} {ratio:>7.2f} {wanted:>8} {verdict}", flush=True)


def _connection() -> dict[str, Any]:
    known = connection.settings_dict
    return {"host": known["HOST"], "dbname": known["NAME"], "user": known["USER"]}


# --- the parts ----------------------------------------------------------------------------------------------------


def throughput(bench: Bench, chosen: list[str]) -> None:
    sizes, full = bench.sizes, bench.mode == "full"

    def of(document: dict[str, Any], tasks: int, runs: int = 1) -> Callable[[], float]:
        slug = published(document)
        return lambda: tasks * runs / run_through(slug, runs)

    known: dict[str, Callable[[], Part]] = {
        "chain": lambda: Part(
            f"chain {sizes.chain:,}",
            of(shapes.of_graph(f"chain {sizes.chain}", shapes.path(sizes.chain)), sizes.chain),
            (Goal("Celery chain", 8), Goal(bench.commits, 0.6 if full else 0.3), Goal("Celery messages")),
        ),
        "fan": lambda: Part(
            f"fan-out {sizes.fan:,}, join",
            of(shapes.fan_out(sizes.fan), sizes.fan + 2),
            (Goal("Celery chord", 2), Goal(bench.commits)),
        ),
        "diamonds": lambda: Part(
            f"{sizes.diamonds:,} diamond runs",
            of(shapes.of_graph("diamond", shapes.DIAMOND), 4, sizes.diamonds),
            (Goal("Celery diamonds", 1.5), Goal(bench.commits)),
        ),
        "loop": lambda: Part(
            f"loop {sizes.loop:,}",
            of(shapes.loop(sizes.loop), sizes.loop),
            (Goal("Celery chain", 1), Goal(bench.commits)),
        ),
        "dag": lambda: Part(
            f"random DAG {sizes.dag:,}",
            of(_dag(sizes.dag), sizes.dag),
            (Goal("Celery layers", 1), Goal(bench.commits)),
        ),
        "wide": lambda: Part(
            f"group of {sizes.wide:,}",
            of(shapes.fan_out(sizes.wide), sizes.wide + 2),
            (Goal(bench.commits, 1),),
        ),
    }
    if parts := [known[name]() for name in chosen if name in known]:
        bench.compare(parts)


def _dag(size: int) -> dict[str, Any]:
    return shapes.of_graph(f"random DAG {size}", random_dag(size))


def size(bench: Bench) -> None:
    """P6: time per task of a big run against that of small ones, as many tasks altogether."""
    big, small = bench.sizes.dag, bench.sizes.small
    runs = big // small
    many, one = published(_dag(small)), published(_dag(big))
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(bench.rounds):
        spent[0].append(sum(run_through(many) for _ in range(runs)) / (runs * small))
        spent[1].append(run_through(one) / big)
    theirs, ours = (statistics.median(each) for each in spent)
    head("time per task", "big run", "reference", "", "ratio")
    line(
        f"random DAG {big:,}", f"{ours * 1e3:.2f} ms", f"random DAG {small:,}", f"{theirs * 1e3:.2f} ms", ours / theirs,
        1.3, most=True,
    )  # fmt: skip


def idle(bench: Bench) -> None:
    """READY to RUNNING where nothing else is done."""
    slug = published(shapes.of_graph("one task", nx.empty_graph(1, create_using=nx.DiGraph)))
    run_through(slug)
    waits = waits_for_a_worker(slug, bench.sizes.idle)
    head("READY to RUNNING, idle", "ours", "goal's figure", "", "ratio")
    for name, value, goal in zip(("p50", "p99"), (_at(waits, 0.5), _at(waits, 0.99)), LATENCY[bench.mode], strict=True):
        line(f"{name} of {len(waits)}", f"{value * 1e3:.1f} ms", "", f"{goal * 1e3:.0f} ms", value / goal, 1, most=True)


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def waiting(bench: Bench) -> None:
    """P10: a plain run beside many runs that wait for people, on one worker."""
    sizes = bench.sizes
    plain = published(shapes.of_graph(f"chain {PLAIN}", shapes.path(PLAIN)))
    asking = published(shapes.question())
    latency(plain, 3)
    before = latency(plain, sizes.plain)
    began = time.perf_counter()
    for _ in range(sizes.waiting):
        api.start(SYSTEM, workflow=asking)
    seconds = time.perf_counter() - began
    if database.on_postgresql():
        # What autovacuum does within a minute or so; here the requests are seconds old.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    opened = FeedbackRequest.objects.filter(state=FeedbackRequest.OPEN).count()
    assert opened == sizes.waiting, f"{opened} of {sizes.waiting} requests are open"
    after = latency(plain, sizes.plain)
    head("latency of a plain run", "beside", "reference", "", "ratio")
    line(
        f"{sizes.waiting:,} open requests", f"{after * 1e3:.1f} ms", "none open", f"{before * 1e3:.1f} ms", after / before,
        1.1, most=True,
    )  # fmt: skip
    print(f"{'start requests/s meanwhile':24} {sizes.waiting / seconds:>10,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.parts")
    parser.add_argument("--mode", choices=("full", "embedded"), required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("parts", nargs="+")
    chosen = parser.parse_args()
    bench = Bench(chosen.mode, QUICK if chosen.quick else Sizes(), chosen.rounds)
    throughput(bench, chosen.parts)
    for name, measure in (("size", size), ("idle", idle), ("waiting", waiting)):
        if name in chosen.parts:
            measure(bench)


if __name__ == "__main__":
    main()
