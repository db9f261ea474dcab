"""Bodies that ask people, in the library: the run stops, an answer sends it on."""

from __future__ import annotations

import threading

from engine import (
    FeedbackRejectedException,
    task,
    workflow,
)


def test_a_question_stops_the_run_until_it_is_answered():
    bodies = []

    @task
    def ask(context):
        bodies.append("top")
        return context.ask("text", "Which colour?", key="colour")

    with workflow("w") as wf:
        wf.add(ask)
        assert wf.execute().status == "waiting"
        manager = wf.execution_context.get_service("feedback_manager")
        (feedback_id,) = manager.pending_feedback
        assert manager.provide_feedback(feedback_id, 5) is False
        assert manager.provide_text(feedback_id, "green") is True
        assert manager.provide_text(feedback_id, "red") is False
        result = wf.execute()
    assert (result.status, result.results["ask"], len(bodies)) == ("succeeded", "green", 2)


def test_a_step_runs_once_however_often_the_body_starts():
    effects = []

    @task
    def ask(context):
        context.step("mail", lambda: effects.append("sent"))
        return context.ask("approval", "Go on?", {"n": 1})

    with workflow("w") as wf:
        wf.add(ask)
        wf.execute()
        manager = wf.execution_context.feedback_manager
        manager.approve(next(iter(manager.pending_feedback)))
        result = wf.execute()
    assert (effects, result.results["ask"]) == (["sent"], {"n": 1})


def test_a_rejection_can_be_raised_in_the_body():
    @task
    def ask(context):
        try:
            return context.ask("approval", "Go on?", on_reject="raise")
        except FeedbackRejectedException as rejected:
            return f"not now: {rejected.reason}"

    with workflow("w") as wf:
        wf.add(ask)
        wf.execute()
        manager = wf.execution_context.feedback_manager
        manager.reject(next(iter(manager.pending_feedback)), "too late")
        result = wf.execute()
    assert result.results["ask"] == "not now: too late"


def test_a_changed_question_parks_the_task():
    asked = ["first"]

    @task
    def ask(context):
        return context.ask("approval", "Go on?", asked[-1], key="q")

    with workflow("w") as wf:
        wf.add(ask)
        wf.execute()
        manager = wf.execution_context.feedback_manager
        manager.approve(next(iter(manager.pending_feedback)))
        asked.append("second")
        result = wf.execute()
    assert (result.status, result.reason("ask"), result.history("ask")[-1]) == (
        "waiting",
        "feedback_drift",
        "feedback_required",
    )


def test_an_answer_from_another_thread_moves_a_running_run():
    @task
    def slow(context):
        manager = context.get_service("feedback_manager")
        feedback_id = manager.request_approval(context.task_id, "x", "Go?")
        answer = threading.Thread(target=lambda: wf.execution_context.feedback_manager.approve(feedback_id))
        answer.start()
        answer.join()
        context.suspend_until_feedback(feedback_id)
        return context.get_result()

    with workflow("w") as wf:
        wf.add(slow)
        assert wf.execute().results["slow"] == "x"
