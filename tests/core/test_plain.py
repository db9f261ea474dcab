"""The short way of finishing simple tasks gives the same run as the machine: same history, same results."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import TaskWrapper, WorkflowContext
from engine.core.errors import DefinitionError
from engine.core.result import RunResult


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly forward edges; some tasks fail; now and then a loop or a group."""
    size = draw(st.integers(1, 9))
    ids = [f"t{i}" for i in range(size)]
    uses = st.sampled_from(["works", "works", "works", "fails"])
    tasks = [
        {
            "id": i,
            "uses": draw(uses),
            "max_retries": 0,
            "max_cycle": draw(st.integers(1, 4)),
            "join": draw(st.sampled_from(["all_done", "all", "any"])),
        }
        for i in ids
    ]
    edges = {}
    for _ in range(draw(st.integers(0, 12))):
        first, second = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        if first < second or draw(st.integers(0, 3)) == 0:
            edges[(first, second)] = {"source": ids[first], "target": ids[second]}
    groups = []
    if size > 3 and draw(st.booleans()):
        groups = [{"id": "g", "members": ids[:2], "policy": draw(st.sampled_from(["strict", "best_effort"]))}]
        edges[("g", size - 1)] = {"source": "g", "target": ids[-1]}
    return {"schema": "graflow/1", "name": "random", "tasks": tasks, "edges": list(edges.values()), "groups": groups}


def fails(*_: Any) -> None:
    raise ValueError("always")


SHORT = {"works": TaskWrapper("works", lambda: 1), "fails": TaskWrapper("fails", lambda: fails())}
LONG = {"works": TaskWrapper("works", lambda context: 1), "fails": TaskWrapper("fails", lambda context: fails())}


@settings(max_examples=400, deadline=None)
@given(documents())
def test_both_ways_tell_the_same_story(document: dict[str, Any]) -> None:
    try:
        short = WorkflowContext.from_definition(document, tasks=SHORT).execute()
        long = WorkflowContext.from_definition(document, tasks=LONG).execute()
    except DefinitionError:
        return
    assert told(short) == told(long)
    assert (short.status, short.results) == (long.status, long.results)


def test_a_loop_that_only_its_limit_ends_goes_round_in_both_ways_alike() -> None:
    ids = ["enter", "head", "left", "right", "tail", "after"]
    ways = [
        ("enter", "head"),
        ("head", "left"),
        ("head", "right"),
        ("left", "tail"),
        ("right", "tail"),
        ("tail", "after"),
    ]
    document = {
        "schema": "graflow/1", "name": "round", "tasks": [{"id": i, "uses": "works", "max_cycle": 3} for i in ids],
        "edges": [{"source": a, "target": b} for a, b in [*ways, ("tail", "head")]],
    }  # fmt: skip
    workflow = WorkflowContext.from_definition(document, tasks=SHORT)
    assert workflow.plan().plain["tail"].round is not None
    short = workflow.execute()
    assert told(short) == told(WorkflowContext.from_definition(document, tasks=LONG).execute())
    assert short.history("left").count("planned") == 3


def told(result: RunResult) -> list[tuple[Any, ...]]:
    """The history without its times; where an error came from differs with the function."""
    return [
        (*e[:7], {name: value for name, value in e.as_dict()["data"].items() if name != "traceback"})
        for e in result.events
    ]


def test_a_dead_edge_from_before_a_loop_skips_a_join_of_all_in_every_pass() -> None:
    document = {
        "schema": "graflow/1",
        "name": "passes",
        "tasks": [
            {"id": "begin", "uses": "works"},
            {"id": "member", "uses": "works", "join": "all", "max_cycle": 2},
            {"id": "broken", "uses": "fails", "max_retries": 0},
            {"id": "both", "uses": "works", "join": "all", "max_cycle": 2},
        ],
        "edges": [
            {"source": "begin", "target": "both"},
            {"source": "both", "target": "member"},
            {"source": "broken", "target": "member"},
            {"source": "broken", "target": "both"},
            {"source": "g", "target": "both"},
        ],
        "groups": [{"id": "g", "members": ["begin", "member"]}],
    }
    short = WorkflowContext.from_definition(document, tasks=SHORT).execute()
    assert told(short) == told(WorkflowContext.from_definition(document, tasks=LONG).execute())
