"""The shapes of the durable benchmarks as definition documents."""

from __future__ import annotations

from typing import Any

import networkx as nx

DIAMOND = nx.DiGraph([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")])


def path(length: int) -> nx.DiGraph:
    return nx.path_graph(length, create_using=nx.DiGraph)


def of_graph(name: str, graph: nx.DiGraph) -> dict[str, Any]:
    return _document(name, [_task(node) for node in graph], [_edge(*ends) for ends in graph.edges])


def fan_out(width: int) -> dict[str, Any]:
    members = [f"f{number}" for number in range(width)]
    return _document(
        f"fan-out {width}",
        [_task(name) for name in ("first", *members, "last")],
        [_edge("first", "side"), _edge("side", "last")],
        [{"id": "side", "members": members}],
    )


def loop(count: int) -> dict[str, Any]:
    spin = {**_task("spin"), "max_cycle": count}
    return _document(f"loop {count}", [spin], [{**_edge("spin", "spin"), "loop": True}])


def question() -> dict[str, Any]:
    return _document("question", [{"id": "ask", "kind": "approval", "prompt": "Go on?", "data": {}}], [])


def _document(name: str, tasks: list[Any], edges: list[Any], groups: list[Any] | None = None) -> dict[str, Any]:
    """Side by side where the graph allows it, as Celery's chords run too."""
    return {
        "schema": "graflow/1", "name": name, "defaults": {"execution_mode": "parallel"},
        "tasks": tasks, "edges": edges, "groups": groups or [],
    }  # fmt: skip


def _task(node: object) -> dict[str, Any]:
    return {"id": str(node), "kind": "task", "uses": "bench.nothing"}


def _edge(source: object, target: object) -> dict[str, Any]:
    return {"source": str(source), "target": str(target)}
