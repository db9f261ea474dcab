"""The shapes as LangGraph graphs. With a store every step is on disk before the next one begins."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from timing import measure, sizes, store


class State(TypedDict):
    done: Annotated[int, operator.add]


def step(state: State) -> dict[str, int]:
    return {"done": 1}


@contextmanager
def saver(address: str) -> Iterator[Any]:
    if address == "memory":
        yield None
    elif address.startswith("sqlite"):
        with SqliteSaver.from_conn_string(address.removeprefix("sqlite:///")) as sqlite:
            sqlite.conn.execute("PRAGMA synchronous=FULL")
            yield sqlite
    else:
        with PostgresSaver.from_conn_string(address) as postgres:
            postgres.setup()
            yield postgres


def graph_of(edges: list[tuple[str, Any]]) -> StateGraph:
    graph = StateGraph(State)
    for name in dict.fromkeys(end for edge in edges for end in edge if end not in (START, END)):
        graph.add_node(name, step)
    for source, target in edges:
        graph.add_edge(source, target)
    return graph


def chain(length: int) -> StateGraph:
    names = [START, *(f"t{number}" for number in range(length)), END]
    return graph_of(list(itertools.pairwise(names)))


def fan(width: int) -> StateGraph:
    members = [f"f{number}" for number in range(width)]
    graph = graph_of([(START, "first"), *(("first", name) for name in members), ("last", END)])
    graph.add_edge(members, "last")
    return graph


def loop(count: int) -> StateGraph:
    graph = StateGraph(State)
    graph.add_node("spin", step)
    graph.add_edge(START, "spin")
    graph.add_conditional_edges("spin", lambda state: "spin" if state["done"] < count else END)
    return graph


def diamond() -> StateGraph:
    return graph_of([(START, "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", END)])


def ready(graph: StateGraph, checkpointer: Any, thread: Iterator[int], steps: int) -> Callable[[], object]:
    compiled = graph.compile(checkpointer=checkpointer)
    durably = {} if checkpointer is None else {"durability": "sync"}

    def run() -> object:
        config = {"recursion_limit": steps + 10, "configurable": {"thread_id": str(next(thread))}}
        return compiled.invoke({"done": 0}, config, **durably)

    return run


def main() -> None:
    size, thread = sizes(), itertools.count()
    with saver(store()) as kept:
        once = ready(diamond(), kept, thread, 4)
        measure(
            chain=(size["chain"], ready(chain(size["chain"]), kept, thread, size["chain"])),
            fan=(size["fan"] + 2, ready(fan(size["fan"]), kept, thread, 3)),
            loop=(size["loop"], ready(loop(size["loop"]), kept, thread, size["loop"])),
            diamonds=(4 * size["diamonds"], lambda: [once() for _ in range(size["diamonds"])]),
        )


if __name__ == "__main__":
    main()
