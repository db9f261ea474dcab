"""Runs in process, with their whole history, against a plain loop over networkx' topological order.

    python -m bench engine

The floor calls the same no-op functions in dependency order and keeps their results; it has no states, no
history, no joins. Figures are medians of rounds taken in turns, so that noise meets both, of the processor's time:
both sides only compute, and a shared machine takes the clock's time away from either.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from engine import TaskWrapper, WorkflowContext, task
from engine.core.task import ParallelGroup

MEASURED = 40_000  # tasks on either side, as far as that takes no fewer than 3 rounds and no more than 30


def nothing() -> None:
    return None


@dataclass
class Shape:
    """`build` makes the workflow, `floor` the plain loop of the same number of calls."""

    name: str
    tasks: int
    run: Callable[[], None]
    floor: Callable[[], None]
    goal: float


def plain(graph: nx.DiGraph) -> Callable[[], None]:
    functions = dict.fromkeys(graph, nothing)

    def run() -> None:
        results = {}
        for node in nx.topological_sort(graph):
            results[node] = functions[node]()

    return run


def repeated(count: int) -> Callable[[], None]:
    """The floor of a loop: as many calls in a chain's order, because a loop has no topological order."""
    return plain(nx.path_graph(count, create_using=nx.DiGraph))


def workflow_of(graph: nx.DiGraph) -> WorkflowContext:
    wf = WorkflowContext("bench")
    tasks = {node: TaskWrapper(f"t{node}", nothing) for node in graph}
    for node in graph:
        wf.add(tasks[node])
    for source, target in graph.edges:
        wf.add_edge(tasks[source], tasks[target])
    wf.plan()
    return wf


def executed(wf: WorkflowContext) -> Callable[[], None]:
    def run() -> None:
        result = wf.execute()
        assert result.status == "succeeded", result

    return run


def random_dag(size: int, seed: int = 7) -> nx.DiGraph:
    """`size` tasks with up to three predecessors each among the hundred before them."""
    rng = random.Random(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    for node in range(1, size):
        for other in rng.sample(range(max(0, node - 100), node), min(node, rng.randint(1, 3))):
            graph.add_edge(other, node)
    return graph


def self_loop(count: int) -> Shape:
    @task(name="spin", max_cycle=count)
    def spin() -> None:
        return None

    wf = WorkflowContext("self-loop").add(spin)
    wf.add_edge(spin, spin)
    wf.plan()
    return Shape(f"self-loop, {count:,} iterations", count, executed(wf), repeated(count), 8)


def body_loop(width: int, rounds: int) -> Shape:
    wf = WorkflowContext("body loop")
    tasks = [TaskWrapper(f"b{i}", nothing, max_cycle=rounds) for i in range(width)]
    for first, second in pairwise(tasks):
        wf.add_edge(first, second)
    wf.add_edge(tasks[-1], tasks[0])
    wf.plan()
    return Shape(f"loop over a body of {width} × {rounds}", width * rounds, executed(wf), repeated(width * rounds), 8)


def fan_out(width: int) -> Shape:
    first, last = TaskWrapper("first", nothing), TaskWrapper("last", nothing)
    group = ParallelGroup([TaskWrapper(f"f{i}", nothing) for i in range(width)])
    wf = WorkflowContext("fan-out")
    wf.add(first >> group >> last)
    wf.plan()
    graph = nx.DiGraph()
    graph.add_edges_from(("first", i) for i in range(width))
    graph.add_edges_from((i, "last") for i in range(width))
    return Shape(f"fan-out {width}", width + 2, executed(wf), plain(graph), 8)


def diamonds(count: int) -> Shape:
    graph = nx.DiGraph([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])
    wf = workflow_of(graph)
    once, floor = executed(wf), plain(graph)

    def many(call: Callable[[], None]) -> Callable[[], None]:
        return lambda: [call() for _ in range(count)] and None

    return Shape(f"{count} diamond runs", 4 * count, many(once), many(floor), 8)


def of_graph(name: str, graph: nx.DiGraph, goal: float) -> Shape:
    return Shape(name, len(graph), executed(workflow_of(graph)), plain(graph), goal)


def timed(call: Callable[[], None]) -> float:
    gc.collect()
    started = time.process_time()
    call()
    return time.process_time() - started


def measure(shape: Shape) -> tuple[float, float]:
    """(seconds of ours, seconds of the floor), medians of rounds in turns."""
    ours, floor = [], []
    shape.run()
    for _ in range(min(30, max(3, MEASURED // shape.tasks))):
        floor.append(timed(shape.floor))
        ours.append(timed(shape.run))
    return statistics.median(ours), statistics.median(floor)


def bytes_per_task(graph: nx.DiGraph) -> float:
    """Memory one finished task keeps in its run: state and history, without the plan."""
    wf = workflow_of(graph)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    result = wf.execute()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert result.status == "succeeded"
    return used / len(graph)


def main(_: list[str]) -> None:
    # Each is made when it is its turn: a collector that walks over the large graph slows down the small ones.
    shapes: list[Callable[[], Shape]] = [
        lambda: of_graph("chain 1,000", nx.path_graph(1_000, create_using=nx.DiGraph), 5),
        lambda: fan_out(500),
        lambda: self_loop(1_000),
        lambda: body_loop(10, 100),
        lambda: diamonds(200),
        lambda: of_graph("random DAG 1,000", random_dag(1_000), 5),
        lambda: of_graph("random DAG 2,000", random_dag(2_000), 5),
        lambda: of_graph("random DAG 100,000", random_dag(100_000), 5),
    ]
    print(f"{'in process, history on':32} {'tasks/s':>10} {'floor/s':>10} {'× floor':>8} {'goal':>6}")
    per_task: dict[str, float] = {}
    for made in shapes:
        shape = made()
        ours, floor = measure(shape)
        per_task[shape.name] = ours / shape.tasks
        ratio = ours / floor
        print(
            f"{shape.name:32} {shape.tasks / ours:>10,.0f} {shape.tasks / floor:>10,.0f} {ratio:>8.2f} "
            f"{'≤ ' + str(shape.goal):>6} {'' if ratio <= shape.goal else 'missed'}",
            flush=True,
        )
    growth = per_task["random DAG 100,000"] / per_task["random DAG 1,000"]
    print(f"per-task time, 100,000 against 1,000 tasks: {growth:.2f} (goal ≤ 1.3)")
    print(f"memory per finished task: {bytes_per_task(random_dag(20_000)):,.0f} bytes (goal < 1,000)")


if __name__ == "__main__":
    main([])
