"""Steps without a function, in the library: branches and conditions, maps, delays."""

from __future__ import annotations

import threading
import time

from engine import (
    WorkflowContext,
    WorkflowStateError,
    task,
    workflow,
)


def test_a_branch_goes_where_its_condition_says():
    doc = {
        "schema": "graflow/1", "name": "w",
        "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
        "tasks": [
            {"id": "n", "kind": "transform", "value": {"$": "inputs.n * 2"}}, {"id": "way", "kind": "branch"},
            {"id": "big", "kind": "transform", "value": "big"}, {"id": "small", "kind": "transform", "value": "small"},
        ],
        "edges": [
            {"source": "n", "target": "way"}, {"source": "way", "target": "big", "when": "result > 10"},
            {"source": "way", "target": "small", "when": "result <= 10"},
        ],
    }  # fmt: skip
    result = WorkflowContext.from_definition(doc).execute(inputs={"n": 6})
    assert result.results == {"n": 12, "way": 12, "big": "big"}


def test_a_condition_without_a_value_fails_its_task():
    doc = {
        "schema": "graflow/1", "name": "w",
        "tasks": [{"id": "a", "kind": "transform", "value": {}}, {"id": "b", "kind": "branch"}],
        "edges": [{"source": "a", "target": "b", "when": "a.missing > 1"}],
    }  # fmt: skip
    result = WorkflowContext.from_definition(doc).execute()
    assert (result.status, "missing" in result.error("a"), result.state("b").outcome) == ("failed", True, "skipped")


def test_a_failed_condition_of_a_loop_can_be_handled():
    passes = []

    @task
    def again():
        passes.append(1)
        return len(passes) if len(passes) < 3 else "no number"

    @task
    def rescue(again):
        return again["error"]

    with workflow("w") as wf:
        wf.add_edge(again, again, when="again < 5")
        wf.add_edge(again, rescue, on="error")
        result = wf.execute()
    assert (result.status, result.state("again").outcome) == ("succeeded", "error")
    assert "No matching overloads" in result.results["rescue"]


def test_a_map_step_gives_the_results_in_item_order():
    @task(name="squares.of")
    def square(number):
        return number * number

    doc = {
        "schema": "graflow/1",
        "name": "w",
        "inputs": {"type": "object", "properties": {"numbers": {"type": "array"}}},
        "tasks": [
            {"id": "all", "kind": "map", "uses": "squares.of", "items": {"$": "inputs.numbers"}},
            {"id": "count", "kind": "transform", "value": {"$": "size(all)"}},
        ],
        "edges": [{"source": "all", "target": "count"}],
    }
    result = WorkflowContext.from_definition(doc, tasks={"squares.of": square}).execute(inputs={"numbers": [3, 1, 2]})
    assert (result.results["all"], result.results["count"]) == ([9, 1, 4], 3)
    empty = WorkflowContext.from_definition(doc).execute(inputs={"numbers": []})
    assert (empty.results["all"], empty.status) == ([], "succeeded")


def test_a_map_over_something_else_fails_with_a_sentence():
    @task(name="take.one")
    def take(one):
        return one

    doc = {
        "schema": "graflow/1",
        "name": "w",
        "tasks": [{"id": "all", "kind": "map", "uses": "take.one", "items": "text"}],
    }
    result = WorkflowContext.from_definition(doc, tasks={"take.one": take}).execute()
    assert (result.status, "not a list" in result.error("all")) == ("failed", True)


def test_a_delay_passes_its_input_on_after_its_time():
    doc = {
        "schema": "graflow/1",
        "name": "w",
        "tasks": [
            {"id": "a", "kind": "transform", "value": "kept"},
            {"id": "wait", "kind": "delay", "seconds": 0.02},
            {"id": "b", "kind": "branch"},
        ],
        "edges": [{"source": "a", "target": "wait"}, {"source": "wait", "target": "b"}],
    }
    result = WorkflowContext.from_definition(doc).execute()
    moves = {event.to: event.at for event in result.events if event.task_id == "wait" and event.type == "task_status"}
    assert result.results["b"] == "kept"
    assert moves["success"] - moves["running"] >= 0.02


def test_a_delay_ends_with_its_run():
    doc = {
        "schema": "graflow/1",
        "name": "w",
        "tasks": [{"id": "wait", "kind": "delay", "seconds": 1000}],
    }
    wf = WorkflowContext.from_definition(doc)
    stopper = threading.Thread(target=lambda: (_until_running(wf, "wait"), wf.stop("enough")))
    stopper.start()
    result = wf.execute()
    stopper.join()
    assert (result.status, result.state("wait").outcome) == ("stopped", "cancelled")


def _until_running(wf, task_id, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if wf.execution_context.get_task_state(task_id).status == "running":
                return
        except WorkflowStateError:  # not begun yet
            pass
        time.sleep(0.001)


def test_a_failed_item_of_map_fails_the_task_that_asked_for_it():
    @task(max_retries=0)
    def half(number):
        return 1 // number

    @task
    def spread(context):
        return context.map(half, [1, 0])

    @task
    def mend(error):
        return error

    with workflow("items") as wf:
        wf.add_edge(spread, mend, on="error")
    result = wf.execute()
    assert (result.status, result.state("spread").outcome, "spread" in result.results) == ("succeeded", "error", False)
    assert "ZeroDivisionError" in result.error("spread") and result.results["mend"] == result.error("spread")
