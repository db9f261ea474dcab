"""Steps of kind notify in a local run."""

from __future__ import annotations

from typing import Any

from engine import WorkflowContext


def workflow(services: Any = None, **step: Any) -> WorkflowContext:
    notify = {"id": "tell", "kind": "notify", "to": ["ann", "group:editors", "bob@example.com"], **step}
    tasks = [{"id": "a", "kind": "transform", "value": {"n": 2}}, notify]
    edges = [{"source": "a", "target": "tell"}]
    document = {"schema": "graflow/1", "name": "news", "tasks": tasks, "edges": edges}
    return WorkflowContext.from_definition(document, services=services)


def test_a_notice_is_kept_and_the_input_is_passed_on() -> None:
    made = workflow(subject={"$": '"n is " + string(a.n)'}, message={"$": "a"}, webhook="chat")
    result = made.execute()
    assert (result.status, result.results["tell"]) == ("succeeded", {"n": 2})
    (notice,) = made.execution_context.get_service("notifier").notices
    assert (notice.subject, notice.message) == ("n is 2", '{"n": 2}')
    assert (notice.to, notice.webhook) == (("ann", "group:editors", "bob@example.com"), "chat")
    assert [event.data for event in result.events if event.type == "notified"] == [
        {"to": ["ann", "group:editors", "bob@example.com"], "webhook": "chat"}
    ]


def test_a_subject_is_one_line_and_by_default_the_label() -> None:
    made = workflow(message="m", label="Tell\n the  editors")
    made.execute()
    assert made.execution_context.get_service("notifier").notices[0].subject == "Tell the editors"


def test_a_notifier_of_ones_own_gets_the_notice_and_its_failure_fails_nothing() -> None:
    class Broken:
        seen: list[Any] = []

        def notify(self, notice: Any) -> None:
            self.seen.append(notice.message)
            raise OSError("no mail today")

    assert workflow({"notifier": Broken()}, message="hello").execute().status == "succeeded"
    assert Broken.seen == ["hello"]


def test_a_message_that_cannot_be_computed_fails_the_step_and_sends_nothing() -> None:
    made = workflow(message={"$": "a.missing"})
    assert made.execute().status == "failed"
    assert made.execution_context.get_service("notifier").notices == []
