"""Steps of kind workflow in a local run: another workflow from its start to its end, as one step."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine import DefinitionError, RunResult, TaskWrapper, WorkflowContext
from engine.core.kinds import MAX_DEPTH


def document(*tasks: dict[str, Any], edges: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    drawn = [dict(zip(("source", "target"), edge.split(">"), strict=True)) for edge in edges]
    return {"schema": "graflow/1", "name": "w", "tasks": list(tasks), "edges": drawn, **more}


def calls(slug: str, task_id: str = "step", **more: Any) -> dict[str, Any]:
    return {"id": task_id, "kind": "workflow", "workflow": slug, **more}


def gives(value: Any, task_id: str = "end") -> dict[str, Any]:
    return {"id": task_id, "kind": "transform", "value": value}


ASK = document({"id": "ask", "kind": "approval", "prompt": "Well?"})


def execute(parent: dict[str, Any], tasks: Any = None, inputs: Any = None, **workflows: Any) -> RunResult:
    return WorkflowContext.from_definition(parent, tasks, workflows=workflows).execute(inputs=inputs)


def test_the_result_of_the_only_end_task_is_the_steps_result() -> None:
    child = document(gives({"$": "inputs.n + 1"}, "first"), gives({"$": "first * 2"}), edges=("first>end",))
    parent = document(calls("child", inputs={"n": {"$": "inputs.n"}}), gives({"$": "step + 1"}), edges=("step>end",))
    assert execute(parent, inputs={"n": 4}, child=child).results == {"step": 10, "end": 11}


def test_several_end_tasks_give_their_results_by_id() -> None:
    child = document(gives(1, "a"), gives(2, "b"), {"id": "c", "kind": "branch"})
    child["edges"] = [{"source": "a", "target": "c", "when": "a > 1"}]
    assert execute(document(calls("child")), child=child).results == {"step": {"b": 2, "c": None}}


def test_members_of_a_group_with_a_successor_are_no_end_tasks() -> None:
    child = document(gives(1, "a"), gives(2, "b"), gives(3), edges=("g>end",))
    child["groups"] = [{"id": "g", "members": ["a", "b"]}]
    assert execute(document(calls("child")), child=child).results == {"step": 3}


def test_a_failed_child_fails_the_step_and_is_named() -> None:
    child = document({"id": "end", "uses": "breaks", "max_retries": 0})
    tasks = {"breaks": TaskWrapper("breaks", lambda: 1 / 0)}
    result = execute(document(calls("child")), tasks, child=child)
    assert (result.status, len(result.attempts("step"))) == ("failed", 1)
    assert "run " in result.error("step") and "'child' failed" in result.error("step")
    assert "division by zero" in result.error("step")


def test_a_failed_child_is_run_again_where_the_step_says_so() -> None:
    tries: list[int] = []
    flaky = TaskWrapper("flaky", lambda: tries.append(1) or 1 // (len(tries) - 1))
    child = document({"id": "end", "uses": "flaky", "max_retries": 0})
    result = execute(document(calls("child", max_retries=1, retry_delay=0)), {"flaky": flaky}, child=child)
    assert (result.status, result.results, len(tries)) == ("succeeded", {"step": 1}, 2)


def test_inputs_that_were_left_out_have_the_childs_defaults() -> None:
    child = document(gives({"$": "inputs.n"}), inputs={"type": "object", "properties": {"n": {"default": 6}}})
    assert execute(document(calls("child")), child=child).results == {"step": 6}


def test_inputs_that_do_not_fit_fail_the_step() -> None:
    child = document(gives(1), inputs={"type": "object", "required": ["n"]})
    result = execute(document(calls("child")), child=child)
    assert "'n' is a required property" in result.error("step")


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_question_of_the_child_makes_the_parent_wait_and_is_answered_there(mode: str) -> None:
    parent = document(calls("ask"), gives("after"), edges=("step>end",), defaults={"execution_mode": mode})
    workflow = WorkflowContext.from_definition(parent, workflows={"ask": ASK})
    assert workflow.execute().status == "waiting"
    assert workflow.execute().status == "waiting"
    manager = workflow.execution_context.feedback_manager
    (feedback_id,) = manager.pending_feedback
    assert manager.approve(feedback_id) and not manager.approve(feedback_id)
    result = workflow.execute()
    assert (result.status, result.results["end"], dict(manager.pending_feedback)) == ("succeeded", "after", {})
    moves = [event.to for event in result.events if event.type == "run_status"]
    assert moves == ["running", "waiting", "running", "waiting", "running", "succeeded"]


def test_a_rejected_child_fails_the_step() -> None:
    workflow = WorkflowContext.from_definition(document(calls("ask", max_retries=2)), workflows={"ask": ASK})
    workflow.execute()
    manager = workflow.execution_context.feedback_manager
    manager.reject(next(iter(manager.pending_feedback)), "not today")
    result = workflow.execute()
    assert (result.status, len(result.attempts("step"))) == ("failed", 1)
    assert result.error("step").endswith("was rejected: not today")


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_stopping_the_parent_stops_the_child(mode: str) -> None:
    began = threading.Event()
    ended: list[str] = []

    def hold(context: Any) -> None:
        began.set()
        assert stopped.wait(20)

    stopped = threading.Event()
    tasks = {"hold": TaskWrapper("hold", hold), "next": TaskWrapper("next", lambda: ended.append("next"))}
    child = document({"id": "a", "uses": "hold"}, {"id": "b", "uses": "next"}, edges=("a>b",))
    parent = document(calls("child"), defaults={"execution_mode": mode})
    workflow = WorkflowContext.from_definition(parent, tasks, workflows={"child": child})

    def stop() -> None:
        assert began.wait(20)
        workflow.stop("enough")
        stopped.set()

    other = threading.Thread(target=stop)
    other.start()
    result = workflow.execute()
    other.join()
    assert (result.status, result.reason(), result.state("step").outcome, ended) == (
        "stopped",
        "enough",
        "cancelled",
        [],
    )


def test_a_parent_that_fails_at_once_lets_go_of_a_waiting_child() -> None:
    tasks = {"breaks": TaskWrapper("breaks", lambda: 1 / 0)}
    parent = document(
        calls("ask"), {"id": "wait", "kind": "delay", "seconds": 0.05}, {"id": "end", "uses": "breaks", "max_retries": 0},
        edges=("wait>end",), defaults={"on_error": "stop"},
    )  # fmt: skip
    workflow = WorkflowContext.from_definition(parent, tasks, workflows={"ask": ASK})
    result = workflow.execute()
    assert (result.status, result.state("step").outcome) == ("failed", "skipped")
    assert dict(workflow.execution_context.feedback_manager.pending_feedback) == {}


def deep(levels: int) -> RunResult:
    """A chain of workflows in which the last one lies `levels` deep."""
    workflows = {f"w{level}": document(calls(f"w{level + 1}")) for level in range(1, levels)}
    workflows[f"w{levels}"] = document(gives("bottom"))
    return execute(document(calls("w1")), **workflows)


def test_workflows_may_lie_five_deep_and_no_deeper() -> None:
    assert MAX_DEPTH == 5
    assert deep(MAX_DEPTH).results == {"step": "bottom"}
    result = deep(MAX_DEPTH + 1)
    assert result.status == "failed"
    assert "may be 5 deep" in result.error("step")


def test_a_workflow_that_calls_itself_ends_at_the_depth() -> None:
    itself = document(calls("itself"))
    assert "may be 5 deep" in execute(itself, itself=itself).error("step")


def test_an_unknown_workflow_is_a_problem() -> None:
    with pytest.raises(DefinitionError) as caught:
        execute(document(calls("nowhere")), child=ASK)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("unknown_workflow", "tasks[0].workflow")
    assert "child" in problem.message
    with pytest.raises(DefinitionError):
        execute(document(calls("child")), child=document(calls("nowhere")))


def test_a_child_runs_once_per_pass_of_a_loop() -> None:
    child = document(gives({"$": "inputs.n"}))
    parent = document(calls("child", inputs={"n": {"$": "iteration"}}, max_cycle=3))
    parent["edges"] = [{"source": "step", "target": "step"}]
    result = execute(parent, child=child)
    assert (result.status, result.results["step"], result.state("step").iteration) == ("succeeded", 3, 3)


def test_two_children_run_side_by_side() -> None:
    meet = threading.Barrier(2, timeout=20)
    tasks = {"meet": TaskWrapper("meet", lambda: meet.wait() >= 0)}
    child = document({"id": "end", "uses": "meet"})
    parent = document(calls("child", "a"), calls("child", "b"), defaults={"execution_mode": "parallel"})
    assert execute(parent, tasks, child=child).results == {"a": True, "b": True}
