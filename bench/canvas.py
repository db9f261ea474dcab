"""The shapes of the durable benchmarks in Celery's own words: the application of the reference's worker.

Celery's defaults throughout. Its chain, chord and groups need a result backend; the raw messages have none.
"""

from __future__ import annotations

import os
import time
from typing import Any

import networkx as nx
from celery import Celery, chain, group

SECONDS = 300.0  # after which a shape counts as stuck

app = Celery("bench", broker=os.environ.get("BENCH_BROKER"), backend=os.environ.get("BENCH_RESULTS"))
app.conf.task_serializer = "json"


@app.task
def nothing(*_: Any) -> None:
    return None


@app.task(ignore_result=True)
def silent() -> None:
    return None


def await_worker() -> None:
    nothing.delay().get(timeout=60)


def raw(count: int) -> float:
    """Seconds for `count` messages without results; the queue is in order, so its last message ends it."""
    began = time.perf_counter()
    for _ in range(count):
        silent.delay()
    nothing.delay().get(timeout=SECONDS)
    return time.perf_counter() - began


def chained(length: int) -> float:
    return _finished([chain(*(nothing.si() for _ in range(length)))])


def chord(width: int) -> float:
    """A task, `width` tasks side by side, a task that waits for them."""
    return _finished([chain(nothing.si(), group(nothing.si() for _ in range(width)), nothing.si())])


def diamonds(count: int) -> float:
    return _finished([chain(nothing.si(), group(nothing.si(), nothing.si()), nothing.si()) for _ in range(count)])


def layers(graph: nx.DiGraph) -> float:
    """A graph that no canvas can say, layer after layer: the next one is sent when all of a layer is done."""
    began = time.perf_counter()
    for layer in nx.topological_generations(graph):
        group(nothing.si() for _ in layer).apply_async().get(timeout=SECONDS)
    return time.perf_counter() - began


def _finished(shapes: list[Any]) -> float:
    began = time.perf_counter()
    for result in [shape.apply_async() for shape in shapes]:
        result.get(timeout=SECONDS)
    return time.perf_counter() - began
