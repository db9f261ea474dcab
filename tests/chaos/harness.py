"""The product under fire: standard load, people who answer, what happened, and the verdict.

Signals go only to processes that the stack under test started. Nothing here sleeps to be right: it sleeps between two
looks, or to be a fault.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

from tests.stack import ROOT, Answer, Stack

from .bodies import LOG

RUNS = int(os.environ.get("CHAOS_RUNS", "300"))
FINAL = "('succeeded', 'failed', 'rejected', 'stopped')"
CLAIMED = "SELECT count(*) FROM engine_attempt WHERE started_at IS NOT NULL"
RESULTS_PER_RUN = 11  # of its 12 executions one is a person's
BODY_SECONDS = 0.06  # long enough that slots are what work waits for, so that most faults cut a body
AMPLIFICATION = 1.2  # messages per claimed attempt, while nothing is broken
PEOPLE = 24  # each may write once a second, and a load is two writes a run
STARTERS = ANSWERERS = 3
PATIENCE_SECONDS = 60.0
MODULES = "graflow_site.demo,tests.chaos.bodies"


def _work(task_id: str, **more: Any) -> dict[str, Any]:
    return {"id": task_id, "uses": "chaos.work", **more}


STANDARD: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Standard load",
    "inputs": {"type": "object", "properties": {"folder": {"type": "string"}, "seconds": {"type": "number"}}},
    "defaults": {"execution_mode": "parallel"},
    "tasks": [
        _work("begin"), _work("left"), _work("middle"), _work("right"), _work("meet"), _work("draft", max_cycle=4),
        _work("check"), {"id": "ask", "kind": "approval", "prompt": "Go on?", "data": 1}, _work("after"), _work("end"),
    ],
    "groups": [{"id": "three", "members": ["left", "middle", "right"]}],
    "edges": [
        {"source": "begin", "target": "three"}, {"source": "three", "target": "meet"},
        {"source": "meet", "target": "draft"}, {"source": "draft", "target": "check"},
        {"source": "check", "target": "draft", "loop": True, "when": "result.round < 2"},
        {"source": "check", "target": "ask"}, {"source": "ask", "target": "after"}, {"source": "after", "target": "end"},
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """What a body said: `begin`, `end` or `fail`, and who, where, when."""

    what: str
    pid: int
    place: tuple[str, str, int, int]  # run, task, iteration, attempt
    at: float


@dataclass(slots=True)
class Row:
    """One row of the fault matrix, as it went."""

    fault: str
    injected: int = 0
    hits: int = 0
    recoveries: list[float] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0
    outage: float = 0.0  # seconds during which the fault itself left no way to work
    findings: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        broken = [f"{count} {what}" for what, count in self._kinds().items()]
        times = (
            f", recovery p95 {percentile(self.recoveries, 95):.1f} s of {len(self.recoveries)}"
            if self.recoveries
            else ""
        )
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"{self.fault}: injected {self.injected}, hit {self.hits}{times}; {self.runs} runs in {self.seconds:.0f} s: "
            f"{', '.join(broken)}{notes}"
        )

    def _kinds(self) -> dict[str, int]:
        found = self.findings
        return {
            "lost": found["I5"] + found["I7"] + found["unfinished"],
            "doubled": found["I4"] + found["I12"] + found["miscounted"],
            "illegal": found["I2"] + found["I3"] + found["I10"] + found["I11"],
            "gaps": found["I1"],
            "others": found["I6"] + found["I8"] + found["I9"],
        }


ROWS: list[Row] = []


INPUTS = {"type": "object", "properties": {"folder": {"type": "string"}}}


def document(name: str, tasks: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": "graflow/1", "name": name, "inputs": INPUTS, "defaults": {"execution_mode": "parallel"},
        "tasks": tasks, "edges": edges,
    }  # fmt: skip


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Product:
    """A stack with people who have tokens, a view of its database, and the bodies' own account of things."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.failures = 0  # calls that got no answer or a 5xx, and were repeated
        self._turn = self._judged = 0
        self._workflows: dict[str, str] = {}
        self._kept = threading.local()
        self.tokens = self._people()

    def _people(self) -> list[str]:
        code = (
            "import json; from engine.access import accounts, tokens; from engine.access.policy import ROLES\n"
            f"people = [accounts.create(f'chaos-{{n}}', list(ROLES), password='a long enough one {{n}}', email='') for n in range({PEOPLE})]\n"
            "print(json.dumps([tokens.create(person, 'chaos') for person in people]))"
        )
        made: list[str] = json.loads(self.stack.manage("shell", "-v", "0", "-c", code).strip().splitlines()[-1])
        return made

    # -- as a person ------------------------------------------------------------------------------------------------

    def ask_once(
        self, method: str, path: str, body: Any = None, *, person: int | None = None, **headers: str
    ) -> Answer:
        self._turn += 1
        token = self.tokens[(self._turn if person is None else person) % PEOPLE]
        return self.stack.call(method, f"/api/v1/{path}", body, token=token, **headers)

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """As a patient client: what gets no answer is sent again, with the same key and as the same person."""
        person, headers = self._turn, {"Idempotency_Key": key} if key else {}
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self.ask_once(method, path, body, person=person, **headers)
                if answer.status < 500 and answer.status != 429:
                    return answer
                self.failures += answer.status >= 500
            except OSError:
                self.failures += 1
            assert time.monotonic() < until, f"{method} {path}: no answer within {PATIENCE_SECONDS:g} s"
            time.sleep(0.2)

    def publish(self, document: dict[str, Any]) -> str:
        name = document["name"]
        if name not in self._workflows:
            made = self.ask("POST", "workflows/", {"name": name, "document": document})
            assert made.status == 201, made
            self._workflows[name] = made.body["id"]
            assert self.ask("POST", f"workflows/{made.body['id']}/versions/", {"note": ""}).status == 201
        return self._workflows[name]

    def start(self, document: dict[str, Any] = STANDARD, **inputs: Any) -> str:
        body = {"workflow": self.publish(document), "inputs": {"folder": str(self.folder), **inputs}}
        answer = self.ask("POST", "runs/", body, key=str(uuid.uuid4()))
        assert answer.status in (200, 201), answer
        run: str = answer.body["id"]
        return run

    def answer_everything(self) -> None:
        found = self.ask("GET", "feedback/?state=open&limit=200").body["results"]
        with ThreadPoolExecutor(ANSWERERS) as pool:
            list(pool.map(self._answer, [question["id"] for question in found]))

    def _answer(self, question: str) -> None:
        answer = self.ask("POST", f"feedback/{question}/answer/", {"decision": "approve"}, key=question)
        assert answer.status in (200, 409, 410), answer

    # -- from behind ------------------------------------------------------------------------------------------------

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query finds; while the database is away, tried again."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._rows(sql)
            except (psycopg.OperationalError, sqlite3.OperationalError, KeyError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self.stack.mode == "embedded":
            file = sqlite3.connect(self.stack.data_dir / "graflow.sqlite3", timeout=20)
            try:
                return file.execute(sql).fetchall()
            finally:
                file.close()
        try:
            found = self._connection().execute(sql)  # type: ignore[call-overload]
            return list(found.fetchall()) if found.description else []
        except psycopg.OperationalError:
            self._connection().close()
            raise

    def _connection(self) -> psycopg.Connection:
        """This thread's own. It is kept: a new one for each look would take a tenth of a processor from the product."""
        kept: psycopg.Connection | None = getattr(self._kept, "connection", None)
        if kept is None or kept.closed:
            kept = self._kept.connection = psycopg.connect(self.stack.running()["DATABASE_URL"], autocommit=True)
        return kept

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def redis(self) -> Redis:
        return Redis.from_url(self.stack.running()["REDIS_URL"], socket_timeout=5)

    def lines(self) -> list[Line]:
        path = self.folder / LOG
        found = []
        for text in path.read_text().splitlines() if path.exists() else []:
            what, pid, run, task_id, iteration, attempt, at = text.split()
            found.append(Line(what, int(pid), (run, task_id, int(iteration), int(attempt)), float(at)))
        return found

    def busy(self) -> int:
        """The process whose body spoke last; 0 before the first one."""
        path = self.folder / LOG
        last = path.read_bytes()[-1_000:].splitlines() if path.exists() else []
        return int(last[-1].split()[1]) if last else 0

    def children(self, name: str) -> list[int]:
        """Living pool processes of a worker; a signal to a dead one that its parent has not buried would hit nothing."""
        parent, found = self.stack.pids().get(name), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and parent is not None:
                try:
                    state, its_parent = stat(int(entry.name))
                    if int(its_parent) == parent and state != "Z":
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def send(self, pid: int, how: signal.Signals) -> bool:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return False
        return True

    def interrupted(self, kills: list[tuple[float, int]]) -> list[tuple[Line, float]]:
        """Bodies that were in the middle when their process was killed, with that moment.

        The children of a killed worker live for a moment more, in which a short body may come to its end.
        """
        last_of = {line.pid: line for line in self.lines()}
        cut = []
        for at, pid in kills:
            last = last_of.get(pid)
            if last and last.what == "begin" and 0 <= at - last.at < PATIENCE_SECONDS:
                cut.append((last, at))
        return cut

    def recoveries(self, kills: list[tuple[float, int]]) -> list[float]:
        """Seconds from each kill that cut a body until the same execution began again."""
        begun: dict[tuple[Any, ...], list[float]] = {}
        for line in self.lines():
            if line.what == "begin":
                begun.setdefault(line.place[:3], []).append(line.at)
        found = []
        for line, at in self.interrupted(kills):
            later = [moment for moment in begun[line.place[:3]] if moment > at]
            if later:
                found.append(later[0] - at)
        return found

    # -- load and verdict -------------------------------------------------------------------------------------------

    @contextmanager
    def load(
        self, row: Row, runs: int = RUNS, *, seconds: float = BODY_SECONDS, limit: float = 600.0
    ) -> Iterator[Load]:
        """Standard load in the background while the block injects its fault; afterwards everything must end well."""
        self.publish(STANDARD)
        load, began = Load(self, runs, seconds), time.monotonic()
        try:
            yield load
            load.wait(limit)
        finally:
            load.end()
            row.seconds, row.runs = time.monotonic() - began, runs
            self.judge(row, load)

    @cached_property
    def calm(self) -> float:
        """Seconds the standard load takes while nothing is broken; measured when first asked for."""
        row, sent, claimed = Row("calm"), self.messages(), self.number(CLAIMED)
        with self.load(row) as load:
            load.wait(600)
        sent, claimed = self.messages() - sent, self.number(CLAIMED) - claimed
        row.notes.append(f"{sent} messages for {claimed} attempts")
        assert not +row.findings, row
        assert sent <= AMPLIFICATION * claimed, row
        return row.seconds

    def messages(self) -> int:
        """Messages that were put into a queue since Redis started."""
        counted: Any = self.redis().info("commandstats")
        return sum(counted.get(f"cmdstat_{command}", {}).get("calls", 0) for command in ("lpush", "rpush"))

    def check(self, row: Row) -> None:
        """What every row with the standard load promises."""
        assert not +row.findings, row
        assert row.seconds <= 2 * self.calm + row.outage, f"{row}; {self.calm:.0f} s while nothing was broken"

    def judge(self, row: Row, load: Load | None = None) -> None:
        """Ask check_runs and count for ourselves; the row is printed at the end, whatever comes of it."""
        row.findings += self.findings()
        if load is not None:
            ids = (
                ", ".join(f"'{run if self.stack.mode == 'full' else uuid.UUID(run).hex}'" for run in load.started)
                or "''"
            )
            mine = f"FROM engine_run_table r WHERE r.public_id IN ({ids})".replace(
                "engine_run_table", self.table("run")
            )
            row.findings["unfinished"] += load.runs - self.number(f"SELECT count(*) {mine} AND r.status = 'succeeded'")
            attempts = self.table("attempt")
            counted = f"SELECT count(*) FROM {attempts} a WHERE a.run_id = r.id AND a.state = 'ok'"
            row.findings["miscounted"] += self.number(
                f"SELECT count(*) {mine} AND r.status = 'succeeded' AND ({counted}) <> {RESULTS_PER_RUN}"
            )
        ROWS.append(row)

    def findings(self, *, anew: bool = False) -> Counter[str]:
        """What `check_runs` finds in the runs it has not looked at yet, or in all."""
        newest = self.number("SELECT coalesce(max(id), 0) FROM engine_run")
        wanted = f"SELECT public_id FROM engine_run WHERE id > {0 if anew else self._judged} AND id <= {newest}"
        self._judged = newest
        runs = [str(public_id) for (public_id,) in self.rows(wanted)]
        if not runs:
            return Counter()
        done = subprocess.run(
            [sys.executable, "manage.py", "check_runs", *runs], cwd=ROOT, env=self.stack.environment, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert f"{len(runs)} runs checked" in done.stdout, (done.stdout, done.stderr[-2_000:])
        found = Counter(re.findall(r"^run \S+: (I\d+):", done.stderr, re.MULTILINE))
        assert (done.returncode == 0) == (not found), done.stderr[-2_000:]
        if found:
            print(done.stderr[:4_000])
        return found

    def table(self, name: str) -> str:
        return {"run": "engine_run", "attempt": "engine_attempt", "event": "engine_runevent"}[name]

    def is_settled(self) -> bool:
        return self.number(f"SELECT count(*) FROM {self.table('run')} WHERE status NOT IN {FINAL}") == 0


class Load:
    """Runs being started by some threads, and answered by another."""

    def __init__(self, product: Product, runs: int, seconds: float) -> None:
        self.product, self.runs, self.seconds = product, runs, seconds
        self.started: list[str] = []
        self.errors: list[BaseException] = []
        self._over = threading.Event()
        self._missing = iter(range(runs))
        jobs = [*[self._start] * STARTERS, self._answer]
        self._threads = [threading.Thread(target=self._guarded, args=(do,)) for do in jobs]
        for thread in self._threads:
            thread.start()

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except BaseException as error:
            self.errors.append(error)

    def _start(self) -> None:
        while next(self._missing, None) is not None and not self._over.is_set():
            self.started.append(self.product.start(seconds=self.seconds))

    def _answer(self) -> None:
        while not self._over.wait(0.5):
            self.product.answer_everything()

    @property
    def is_done(self) -> bool:
        if self.errors:
            raise self.errors[0]
        return len(self.started) == self.runs and self.product.is_settled()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.is_done:
            assert time.monotonic() < until, f"the runs did not end within {seconds:g} s\n{self.product.stack.logs()}"
            time.sleep(0.3)

    def every(self, seconds: float, inject: Callable[[], Any], *, at_most: int = 10_000) -> None:
        """Inject again and again while there is something to hit, soon for the first time."""
        for time_ in range(at_most):
            until = time.monotonic() + (seconds if time_ else min(seconds, 2.0))
            while time.monotonic() < until:
                if self.is_done:
                    return
                time.sleep(0.1)
            inject()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS * 2)


def stat(pid: int) -> tuple[str, str]:
    """State and parent of a process; OSError when there is none."""
    state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    return state, parent


def is_alive(pid: int) -> bool:
    """Whether it can still do something: a dead one is in the table until its parent looks, which may take a second."""
    try:
        return stat(pid)[0] != "Z"
    except OSError:
        return False


def state_of(product: Product, run: str) -> str:
    status: str = product.ask("GET", f"runs/{run}/status/").body["status"]
    return status
