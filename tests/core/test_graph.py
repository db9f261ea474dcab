"""Graphs of any shape are looked at in time that grows with their size alone.

Counted in function calls, since a shared machine's clock proves nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest

from engine import CycleDetector, TaskWrapper
from engine.core.compile import compile as compile_document

TASKS = {"do": TaskWrapper("do", lambda: None)}
Edges = list[tuple[int, int]]


def wide(size: int) -> Edges:
    return [(0, node) for node in range(1, size - 1)] + [(node, size - 1) for node in range(1, size - 1)]


def deep(size: int) -> Edges:
    return [(node, node + 1) for node in range(size - 1)]


def dense(size: int) -> Edges:
    return [(first, second) for first in range(size) for second in range(first + 1, size)]


def layered(size: int) -> Edges:
    """Layers of five, each joined to all of the next."""
    return [
        (node, later) for node in range(size) for later in range(node - node % 5 + 5, min(size, node - node % 5 + 10))
    ]


def looping(size: int) -> Edges:
    """A chain with five loops, one after the other."""
    part = size // 5
    return deep(size) + [((number + 1) * part - 1, number * part) for number in range(5)]


SIZES: dict[Callable[[int], Edges], list[int]] = {
    wide: [10, 20, 40, 80, 120, 200, 300, 500, 1_000, 2_000],
    deep: [10, 20, 40, 80, 120, 200, 300, 500, 1_000, 2_000],
    dense: [5, 10, 20, 30, 40, 50, 60, 70, 80, 140],
    layered: [10, 20, 40, 80, 120, 200, 300, 400, 600, 1_000],
    looping: [10, 20, 40, 80, 120, 200, 300, 500, 1_000, 2_000],
}
FIFTY = [(shape, size) for shape, sizes in SIZES.items() for size in sizes]


def calls(work: Callable[[], Any]) -> int:
    """How many functions, Python's and built-in ones, `work` calls once everything it needs is loaded."""
    count = 0
    work()

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def graph_of(edges: Edges) -> nx.DiGraph:
    return nx.DiGraph((str(first), str(second)) for first, second in edges)


def document_of(size: int, edges: Edges) -> dict[str, Any]:
    return {
        "schema": "graflow/1",
        "name": "shape",
        "tasks": [{"id": str(node), "uses": "do"} for node in range(size)],
        "edges": [{"source": str(first), "target": str(second)} for first, second in edges],
    }


@pytest.mark.parametrize(("shape", "size"), FIFTY, ids=lambda value: getattr(value, "__name__", value))
def test_compiling_costs_so_much_per_task_and_edge_in_any_shape(shape: Callable[[int], Edges], size: int) -> None:
    edges = shape(size)
    document = document_of(size, edges)
    spent = calls(lambda: compile_document(document, TASKS))
    assert spent <= 300 * (size + len(edges)), spent / (size + len(edges))


@pytest.mark.parametrize(("shape", "size"), FIFTY, ids=lambda value: getattr(value, "__name__", value))
def test_asking_for_one_more_edge_is_one_search(shape: Callable[[int], Edges], size: int) -> None:
    edges = shape(size)
    detector = CycleDetector(graph_of(edges))
    ends = [(str(size - 1), "0"), ("0", str(size - 1))]
    assert [detector.is_safe_to_add_edge(*pair) for pair in ends] == [False, True]
    spent = calls(lambda: [detector.is_safe_to_add_edge(*pair) for pair in ends])
    assert spent <= 20 * (size + len(edges)), spent / (size + len(edges))


def test_eleven_nodes_all_joined_to_each_other_hang_nothing() -> None:
    nodes = range(11)
    edges = [(first, second) for first in nodes for second in nodes if first != second]
    detector = CycleDetector(graph_of(edges))
    assert calls(detector.detect_cycles) < 100_000
    assert 0 < len(detector.detect_cycles()) <= 100
    assert calls(lambda: detector.is_safe_to_add_edge("0", "10")) < 1_000
    document = {
        "schema": "graflow/1",
        "name": "all",
        "tasks": [{"id": str(node), "uses": "do"} for node in nodes],
        "edges": [{"source": str(first), "target": str(second)} for first, second in edges],
        "defaults": {"max_cycle": 2},
    }
    # More loops than a new version may have; one that was published before that rule is followed all the same.
    assert calls(lambda: compile_document(document, TASKS, published=True)) < 100_000
