"""Fifty wide, deep, dense, layered and looping graphs: what compiling them costs, and asking for one more edge.

    python -m bench graphs

The shapes are those of the tests, up to the limits of a definition. The reference is networkx building the same
graph and sorting it (its strongly connected components, where it goes round).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import networkx as nx

from engine import CycleDetector
from engine.core.compile import compile as compile_document
from tests.core.test_graph import FIFTY, TASKS, document_of, graph_of

ROUNDS = 5


def milliseconds(work: Callable[[], Any]) -> float:
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return statistics.median(spent) * 1e3


def main(_: list[str]) -> None:
    head = ("graph", "tasks", "edges", "compile", "one edge", "networkx", "× networkx")
    print("{:10} {:>6} {:>7} {:>10} {:>10} {:>10} {:>11}".format(*head))
    compiled, asked = [], []
    for shape, size in FIFTY:
        edges = shape(size)
        document = document_of(size, edges)
        detector = CycleDetector(graph_of(edges))
        compiled.append(milliseconds(lambda document=document: compile_document(document, TASKS)))  # type: ignore[misc]
        asked.append(
            milliseconds(lambda detector=detector, size=size: detector.is_safe_to_add_edge(str(size - 1), "0"))  # type: ignore[misc]
        )
        theirs = milliseconds(lambda edges=edges: list(nx.strongly_connected_components(graph_of(edges))))  # type: ignore[misc]
        print(
            f"{shape.__name__:10} {size:>6} {len(edges):>7} {compiled[-1]:>7.1f} ms {asked[-1]:>7.2f} ms "
            f"{theirs:>7.1f} ms {compiled[-1] / theirs:>11.1f}"
        )
    for name, all_of in (("compile", compiled), ("one edge", asked)):
        print(f"{name}: median {statistics.median(all_of):.2f} ms, longest {max(all_of):.1f} ms")
