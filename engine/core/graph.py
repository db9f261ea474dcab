"""Questions about directed graphs: cycles, components, reachability. Nothing here enumerates without a bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import networkx as nx

MAX_CYCLES = 100
"""How many cycles `CycleDetector.detect_cycles` lists at most."""


class CycleDetector:
    """Finds cycles in a graph and says whether one more edge would close one.

    Works from strongly connected components: eleven nodes all joined to each other already have millions of
    simple cycles, so listing stops at `limit`.
    """

    def __init__(self, graph: nx.DiGraph[str]) -> None:
        self.graph = graph

    def detect_cycles(self, limit: int = MAX_CYCLES) -> list[list[str]]:
        """At most `limit` cycles, each as the list of its nodes in order; one per component first."""
        found: list[list[str]] = []
        seen: set[frozenset[str]] = set()
        for component in self.components():
            cycle = self._shortest_cycle(component)
            found.append(cycle)
            seen.add(frozenset(cycle))
        for cycle in islice(nx.simple_cycles(self.graph, length_bound=6), limit * 2):
            if len(found) >= limit:
                break
            if frozenset(cycle) not in seen:
                seen.add(frozenset(cycle))
                found.append(list(cycle))
        return found[:limit]

    def components(self) -> list[set[str]]:
        """The sets of nodes that can reach each other: every cycle lies within one."""
        return [
            set(component)
            for component in nx.strongly_connected_components(self.graph)
            if len(component) > 1 or any(self.graph.has_edge(node, node) for node in component)
        ]

    def has_cycles(self) -> bool:
        return not nx.is_directed_acyclic_graph(self.graph)

    def is_safe_to_add_edge(self, from_node: str, to_node: str) -> bool:
        """Whether the edge would close no cycle. The graph stays as it is; unknown nodes are always safe."""
        if from_node == to_node:
            return False
        if from_node not in self.graph or to_node not in self.graph:
            return True
        return not nx.has_path(self.graph, to_node, from_node)

    def _shortest_cycle(self, component: set[str]) -> list[str]:
        start = next(node for node in self.graph if node in component)
        if self.graph.has_edge(start, start):
            return [start]
        inside = self.graph.subgraph(component)
        back = nx.single_target_shortest_path(inside, start)
        paths = [back[node] for node in inside.successors(start) if node in back]
        shortest: list[str] = min(paths, key=len)
        return [start, *shortest[:-1]]


def closing_edges(
    nodes: Sequence[str], out: Mapping[str, Sequence[int]], targets: Sequence[str], starts: Iterable[str]
) -> tuple[set[int], set[str]]:
    """Depth-first search from `starts` in order: the edges that close a cycle, and the nodes it reached.

    `out` gives the edge indexes that leave a node in definition order, `targets` the node each leads to.
    """
    white, grey, black = 0, 1, 2
    colour = dict.fromkeys(nodes, white)
    closing: set[int] = set()
    for root in starts:
        if colour[root] != white:
            continue
        colour[root] = grey
        stack = [(root, iter(out.get(root, ())))]
        while stack:
            node, edges = stack[-1]
            for index in edges:
                target = targets[index]
                if colour[target] == grey:
                    closing.add(index)
                elif colour[target] == white:
                    colour[target] = grey
                    stack.append((target, iter(out.get(target, ()))))
                    break
            else:
                colour[node] = black
                stack.pop()
    return closing, {node for node in nodes if colour[node] == black}


def reachable(starts: Iterable[str], out: Mapping[str, Iterable[str]]) -> set[str]:
    """Every node that can be reached from `starts`, themselves included."""
    seen = set(starts)
    queue = list(seen)
    while queue:
        for target in out.get(queue.pop(), ()):
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return seen
