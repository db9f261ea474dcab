"""Questions and schemas that cannot be: refused where they are given, by an error that names the argument or place."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from engine import DefinitionError, EngineError, WorkflowContext, step, workflow
from engine.core.compile import compile as compile_document
from engine.core.compile import problems
from engine.core.errors import InvalidInput
from engine.core.feedback import FeedbackManager
from engine.core.schema import checked_inputs
from engine.core.task import TaskWrapper


class Doc:
    pass


@dataclasses.dataclass
class Order:
    number: int
    what: Any = None


def asking(body: Callable[[Any], Any]) -> WorkflowContext:
    """A workflow of one task with this body."""
    with workflow("asks") as wf:
        wf.add(TaskWrapper("asks", lambda context: body(context)))
    return wf


def approve_all(wf: WorkflowContext) -> None:
    manager = wf.execution_context.feedback_manager
    for feedback_id in manager.pending_feedback:
        manager.approve(feedback_id)


# -- questions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Doc, lambda: {"a": [Doc()]}, lambda: Order(1, Doc()), lambda: print, object])
def test_data_that_looks_different_whenever_it_is_made_is_refused(make: Callable[[], Any]) -> None:
    result = asking(lambda context: context.ask("approval", "ok?", make())).execute()
    assert result.status == "failed"
    assert len(result.attempts("asks")) == 1  # asking again would not mend it
    assert "data holds a" in result.error("asks")
    assert "plain values" in result.error("asks")


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": [1, 2.5, None, True, "x"], "b": {}},
        lambda: (1, ("a", 2)),
        lambda: Order(1, {"tags": {"x", "y", "z"}}),
        lambda: [datetime.date(2024, 5, 1), datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)],
        lambda: {1: "one", 2: "two"},
    ],
)
def test_data_with_a_form_of_its_own_can_be_asked_about(make: Callable[[], Any]) -> None:
    wf = asking(lambda context: context.ask("approval", "ok?", make()))
    assert wf.execute().status == "waiting"
    approve_all(wf)
    assert wf.execute().results == {"asks": make()}


def test_data_that_holds_itself_or_has_mixed_keys_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    manager = FeedbackManager()
    for data, words in ((endless, "holds itself"), ({1: "a", "b": 2}, "use texts as keys")):
        with pytest.raises(EngineError, match=words):
            manager.request_feedback("t", data)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"timeout": -1}, "timeout=-1 must be a number of seconds"),
        ({"timeout": "5"}, "timeout='5' must be"),
        ({"timeout": float("inf")}, "timeout=inf must be"),
        ({"prompt": 5}, "prompt=5 must be text"),
        ({"key": 5}, "key=5 must be text"),
        ({"key": ""}, "key='' must be text of 1 to 200 characters"),
        ({"assignees": "bob"}, "assignees='bob' must be a dict"),
        ({"assignees": {"users": "bob"}}, r"must be a dict of lists of names: \{'users': \[...\]"),
        ({"assignees": {"user": ["bob"]}}, "must be a dict of lists of names"),
        ({"options": "yes"}, "options='yes' must be a list of texts"),
        ({"editable": "no"}, "editable='no' must be True or False"),
        ({"schema": [1]}, "must be a JSON Schema"),
        ({"schema": {"type": "objekt"}}, "type: 'objekt' is no type; known are: array"),
        ({"schema": {"properties": 5}}, "properties: 5 is not of type 'object'"),
        ({"on_timout": "skip"}, "'on_timout' is no argument of a question; known are: data, prompt"),
        ({"feedback_type": "aproval"}, "feedback_type='aproval' is unknown"),
        ({"on_reject": "stop"}, "on_reject='stop' is unknown"),
    ],
)
def test_a_wrong_argument_of_a_question_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        FeedbackManager().request_feedback("t", **given)
    if "feedback_type" not in given:
        error = asking(lambda context: context.ask("text", **given)).execute().error("asks")
        assert next(iter(given)) in error


def test_two_questions_of_one_key_are_refused_and_the_same_one_twice_is_one() -> None:
    def two(context: Any) -> Any:
        return context.ask("text", "one", key="k") + context.ask("text", "two", key="k")

    def same(context: Any) -> Any:
        return context.ask("text", "one", key="k") + context.ask("text", "one", key="k")

    for body, expected in ((two, "failed"), (same, "succeeded")):
        wf = asking(body)
        assert wf.execute().status == "waiting"
        (feedback_id,) = wf.execution_context.feedback_manager.pending_feedback
        wf.execution_context.feedback_manager.provide_text(feedback_id, "x")
        result = wf.execute()
        assert result.status == expected
    assert result.results == {"asks": "xx"}
    failed = asking(
        lambda context: [context.get_service("feedback_manager").request_feedback("asks", n, key="k") for n in (1, 2)]
    )
    assert "key='k'" in failed.execute().error("asks")


# -- schemas ------------------------------------------------------------------------------------------------------


def of(inputs: dict[str, Any] | None = None, **form: Any) -> dict[str, Any]:
    more = {} if inputs is None else {"inputs": inputs}
    return {"schema": "graflow/1", "name": "n", "tasks": [{"id": "a", "kind": "form", "schema": {}, **form}], **more}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (of({"type": "objekt"}), "inputs.type"),
        (of({"properties": 5}), "inputs.properties"),
        (of({"properties": {"a": {"pattern": "("}}}), "inputs.properties.a.pattern"),
        (of(schema={"type": "objekt"}), "tasks[0].schema.type"),
        (of(schema={"anyOf": [{"type": 1}]}), "tasks[0].schema.anyOf[0].type"),
    ],
)
def test_a_json_schema_that_is_none_is_a_problem_of_its_place_but_not_once_it_was_published(
    document: dict[str, Any], path: str
) -> None:
    assert [(p.code, p.path) for p in problems(document)] == [("bad_schema", path)]
    assert compile_document(document, published=True).tasks
    with pytest.raises(DefinitionError, match="is no JSON Schema"):
        WorkflowContext.from_definition(document)


def test_a_step_refuses_a_schema_that_is_none() -> None:
    with pytest.raises(DefinitionError, match=r"tasks\[0\]\.schema\.type: .*'objekt' is no type.*\(task 'q'\)"):
        step("q", "form", schema={"type": "objekt"})


@pytest.mark.parametrize(
    "schema",
    [{"type": "objekt"}, {"properties": 5}, {"properties": {"a": {"pattern": "("}}}, {"$ref": "http://127.0.0.1:1/x"}],
)
def test_a_published_schema_that_is_none_raises_our_own_error(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        checked_inputs(schema, {"a": "b"})
