"""Steps without a function, joined in Python."""

from __future__ import annotations

from typing import Any

import pytest

from engine import DefinitionError, WorkflowContext, WorkflowStateError, step, task, workflow
from engine.core.task import CURRENT, TaskWrapper


def test_a_question_is_joined_like_a_task_and_a_rejection_goes_round() -> None:
    with workflow("review") as wf:
        drafts: list[int] = []
        draft = TaskWrapper("draft", lambda: drafts.append(1) or len(drafts))
        review = step("review", "approval", prompt="Publish this?")
        draft >> review >> TaskWrapper("publish", lambda review: f"draft {review}")
        wf.add_edge(review, draft, on="rejected")
    assert wf.execute().status == "waiting"
    feedback = wf.execution_context.feedback_manager
    (first,) = feedback.pending_feedback
    feedback.reject(first, "shorter")
    wf.execute()
    (second,) = feedback.pending_feedback
    feedback.approve(second)
    assert wf.execute().results["publish"] == "draft 2"


@pytest.mark.parametrize(
    "draw",
    [
        lambda a, b, c: a >> (b | c) >> a,
        lambda a, b, c: a >> (b | c | step("d", "branch")) >> a,
        lambda a, b, c: a >> (b >> c) >> a,
        lambda a, b, c: a >> ((b >> c) | step("d", "branch")) >> a,
        lambda a, b, c: a >> (step("b", "branch") | step("c", "branch")).with_policy("best_effort") >> a,
        lambda a, b, c: CURRENT.get().add_edge(a, b | c).add_edge(b | c, a),  # type: ignore[union-attr]
        lambda a, b, c: a >> step("b", "branch") >> c >> a,
        lambda a, b, c: a >> b >> TaskWrapper("c", lambda: 1) >> a,
    ],
)
def test_what_an_expression_makes_first_is_not_the_start_before_what_it_follows(draw: Any) -> None:
    a, b, c = (TaskWrapper(name, lambda: 1) for name in "abc")
    with workflow("round") as wf:
        draw(a, b, c)
    assert wf.plan().starts == ("a",)
    assert [entry["id"] for entry in wf.to_definition()["tasks"]][:3] == ["a", "b", "c"]


def test_a_workflow_is_a_step_of_another() -> None:
    with workflow("Price, with tax") as inner:
        step("taxed", "transform", value={"$": "inputs.price * 2"})
    with workflow("outer") as outer:
        price = TaskWrapper("price", lambda: 4)
        inside = step("inside", "workflow", workflow=inner, inputs={"price": {"$": "price"}}, timeout=5)
        price >> (inside | step("label", "transform", value="total")) >> step("end", "transform", value={"$": "inside"})
    assert outer.execute().results["end"] == 8
    document = outer.to_definition()
    assert document["tasks"][1] == {
        "id": "inside", "kind": "workflow", "workflow": "price-with-tax", "inputs": {"price": {"$": "price"}}, "timeout": 5,
    }  # fmt: skip
    again = WorkflowContext.from_definition(
        document, {"price": TaskWrapper("price", lambda: 5)}, workflows={"price-with-tax": inner}
    )
    assert again.execute().results["end"] == 10


def test_a_workflow_that_takes_too_long_fails_its_step() -> None:
    with workflow("inner") as inner:
        step("ask", "approval")
    with workflow("outer") as outer:
        step("inside", "workflow", workflow=inner, timeout=0.001)
    result = outer.execute()
    while result.status == "waiting":
        result = outer.execute()
    assert "'inner' failed: deadline" in result.error("inside")


def test_what_is_wrong_with_its_settings_is_said_at_once() -> None:
    with pytest.raises(DefinitionError, match="'promt' is not a key here"):
        step("ask", "approval", promt="Well?")
    with pytest.raises(DefinitionError, match="kind 'approve' is unknown"):
        step("ask", "approve")


def test_names_are_unique() -> None:
    with workflow("twice") as wf:
        step("ask", "approval")
        with pytest.raises(WorkflowStateError, match="Two different tasks are called 'ask'"):
            step("ask", "text")
        with pytest.raises(WorkflowStateError, match="Two different tasks are called 'ask'"):
            task(name="ask")(lambda: None)
    with workflow("same") as one, workflow("Same!") as other:
        pass
    with wf, pytest.raises(WorkflowStateError, match="Two different workflows are called 'same'"):
        step("one", "workflow", workflow=one) >> step("two", "workflow", workflow=other)


def test_a_function_without_the_decorator_is_told_the_way_out() -> None:
    with pytest.raises(WorkflowStateError, match=r"@task first, and name a workflow in a step\(\)"):
        step("ask", "approval") >> print  # type: ignore[operator]
