"""The library as an author uses it: tasks, operators, `execute`, arguments, channels and people."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from engine import (
    DefinitionError,
    FeedbackRejectedException,
    RetryAfter,
    TaskExecutionContext,
    TaskWrapper,
    TerminalError,
    WorkflowContext,
    WorkflowMonitor,
    WorkflowStateError,
    channel_pull,
    channel_push,
    task,
    workflow,
)
from engine.core import registry


def test_importing_the_library_leaves_django_out():
    code = "import engine, sys; assert 'django' not in sys.modules; from engine.core.workflow import workflow"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_results_flow_along_a_pipeline_with_a_group(mode):
    @task
    def a():
        return 1

    @task
    def b(a):
        return a + 1

    @task
    def c(a):
        return a + 2

    @task
    def d(b, c):
        return b + c

    with workflow("w", execution_mode=mode) as wf:
        a >> (b | c) >> d
        result = wf.execute()
    assert (result.status, result.results) == ("succeeded", {"a": 1, "b": 2, "c": 3, "d": 5})


def test_a_loop_runs_as_often_as_its_head_may():
    calls = []

    @task(max_cycle=3)
    def draft(context):
        calls.append(context.iteration)
        return context.iteration

    @task
    def review(draft):
        return draft * 10

    with workflow("loop") as wf:
        draft >> review >> draft
        result = wf.execute()
    assert (calls, result.results, result.reason("draft")) == ([1, 2, 3], {"draft": 3, "review": 30}, "cycle_limit")


def test_the_head_gets_the_loops_result_and_keeps_its_first_input_by_name():
    @task
    def seed():
        return {"n": 1}

    @task(max_cycle=3)
    def grow(seed, n=0):
        return {"n": n + seed["n"]}

    with workflow("w") as wf:
        seed >> grow
        wf.add_edge(grow, grow)
        result = wf.execute()
    assert result.results["grow"] == {"n": 4}


def test_next_iteration_hands_its_arguments_on():
    @task(max_cycle=5)
    def count(context, value=0):
        if value < 3:
            context.next_iteration(value=value + 1)
        return value

    with workflow("w") as wf:
        wf.add(count)
        result = wf.execute()
    assert (result.results["count"], result.state("count").iteration, result.reason("count")) == (3, 4, None)


def test_a_parameter_that_nothing_fills_is_named():
    @task
    def lonely(topic, tone):
        return topic + tone

    with workflow("w") as wf:
        wf.add(lonely)
        result = wf.execute(inputs={"tone": "plain"})
    assert result.status == "failed"
    assert "'topic'" in result.error("lonely") and "inputs tone" in result.error("lonely")


def test_channel_writes_of_a_failed_try_are_not_seen():
    @task(max_retries=1, retry_delay=0)
    def flaky(context):
        context.get_channel("c").append("tries", context.attempt)
        if context.attempt == 1:
            raise OSError("busy")
        return context.get_channel("c").get("tries")

    with workflow("w") as wf:
        wf.add(flaky)
        result = wf.execute()
    assert result.results["flaky"] == [2]
    assert [attempt.error for attempt in result.attempts("flaky")] == ["OSError: busy", None]


def test_results_travel_through_channels_by_decorator():
    @task
    @channel_push("numbers")
    def give():
        return 7

    @task
    @channel_pull({"seven": "numbers:give", "nothing": "numbers"})
    def take(seven, nothing):
        return (seven, nothing)

    with workflow("w") as wf:
        give >> take
        result = wf.execute()
    assert result.results["take"] == (7, None)


def test_parallel_writers_lose_nothing():
    def add(context: TaskExecutionContext) -> None:
        for _ in range(50):
            context.get_channel("c").incr("sum")

    tasks = [task(name=f"add_{i}")(add) for i in range(8)]
    with workflow("w", execution_mode="parallel") as wf:
        wf.add(*tasks)
        wf.execute()
    assert wf.execution_context.get_channel("c").get("sum") == 400


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


def test_a_task_can_make_others_and_wait_for_them():
    @task
    def square(name):  # also the name of one of next_task's own parameters
        return name * name

    @task
    def spread(context):
        context.map(square, [1, 2, 3])

    @task
    def after():
        return "done"

    with workflow("w") as wf:
        wf.add(spread)
        spread >> after
        result = wf.execute()
    squares = [value for task_id, value in result.results.items() if task_id.startswith("square_")]
    assert (sorted(squares), result.results["after"]) == ([1, 4, 9], "done")


def test_a_timeout_ends_a_try_as_an_error():
    released = threading.Event()

    @task(timeout=0.05, max_retries=0)
    def hang():
        released.wait(5)

    with workflow("w") as wf:
        wf.add(hang)
        result = wf.execute()
    released.set()
    assert (result.status, result.error("hang").startswith("timeout")) == ("failed", True)


def test_max_steps_bounds_a_run():
    @task(max_cycle=100)
    def again(context):
        context.next_iteration()

    with workflow("w") as wf:
        wf.add(again)
        result = wf.execute(max_steps=3)
    assert (result.status, result.reason(), result.state("again").cycle_count) == ("failed", "step_limit", 3)


def test_a_task_can_stop_its_run():
    @task
    def first():
        wf.stop("seen enough")

    @task
    def second():
        raise AssertionError("must not start")

    with workflow("w") as wf:
        first >> second
        result = wf.execute()
    assert (result.status, result.reason()) == ("stopped", "seen enough")


def test_a_finished_workflow_begins_anew():
    @task
    def count(context):
        return context.get_channel("c").incr("n")

    with workflow("w") as wf:
        wf.add(count)
        first, second = wf.execute(), wf.execute()
    assert (first.results, second.results) == ({"count": 1}, {"count": 1})


def test_two_tasks_of_one_name_are_refused():
    with workflow("w"):

        @task(name="same")
        def one(): ...

        with pytest.raises(WorkflowStateError, match="same"):

            @task(name="same")
            def two(): ...


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"join": "some"}, "join='some' must be 'all_done', 'all', 'any' or a whole number from 1"),
        ({"max_cycle": "5"}, "max_cycle='5' must be a whole number"),
        ({"timeout": -1}, "timeout=-1 must be a number of seconds from 0"),
        ({"on_error": "explode"}, "on_error='explode' must be one of 'fail', 'ignore'"),
        ({"converge": 0}, "converge=0 must be a tolerance above 0"),
        ({"retry_on": "OSError"}, "retry_on='OSError' must be an exception class"),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_given(setting, words):
    with pytest.raises(WorkflowStateError, match=f"^Task 'wrong.setting': {words}"):
        task(name="wrong.setting", **setting)(lambda: None)
    assert "wrong.setting" not in registry.tasks()


def test_wrong_settings_of_edges_and_groups_are_refused_where_they_are_given():
    a, b = TaskWrapper("a", lambda: 1), TaskWrapper("b", lambda: 2)
    with workflow("w") as wf:
        with pytest.raises(WorkflowStateError, match=r"a.*b.*on='sucess' must be one of 'success', 'error'"):
            wf.add_edge(a, b, on="sucess")
        with pytest.raises(WorkflowStateError, match=r"a.*b.*policy='most' must be 'strict', 'best_effort'"):
            (a | b).with_policy("most")
    with pytest.raises(WorkflowStateError, match="'fetch' is no function"):
        task("fetch")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"default_max_cycle": -1}, "default_max_cycle=-1 must be a whole number from 0"),
        ({"default_max_retries": "3"}, "default_max_retries='3' must be a whole number from 0"),
        ({"max_workers": 0}, "max_workers=0 must be a whole number from 1"),
        ({"coordination_backend": "threads"}, "coordination_backend='threads' is unknown; use one of: memory"),
    ],
)
def test_a_wrong_setting_of_a_workflow_is_refused(setting, words):
    with pytest.raises(WorkflowStateError, match=words):
        workflow("w", **setting)


def test_what_cannot_be_run_is_refused_and_leaves_the_workflow_usable():
    with workflow("w") as wf:
        wf.add(TaskWrapper("a", lambda: 1))
        with pytest.raises(WorkflowStateError, match="'b' cannot be joined"):
            wf.add("b")
        with pytest.raises(WorkflowStateError, match="max_steps='3' must be a whole number"):
            wf.execute(max_steps="3")
        with pytest.raises(WorkflowStateError, match="inputs=5 must be a dict"):
            wf.execute(inputs=5)
        assert wf.execute().results == {"a": 1}


def test_a_pipeline_made_outside_belongs_to_the_workflow_it_is_added_to():
    @task
    def a(): ...

    @task
    def b(): ...

    flow = a >> b
    with workflow("w") as wf:
        wf.add(flow)
    assert list(wf.graph.edges) == [("a", "b")]


def test_a_workflow_without_tasks_says_so():
    with workflow("w") as wf, pytest.raises(DefinitionError, match="no tasks"):
        wf.execute()


def test_a_body_can_say_when_to_try_again_and_when_not_to():
    @task(retry_delay=100)
    def soon(context):
        if context.attempt == 1:
            raise RetryAfter(0)
        return context.attempt

    @task
    def never():
        raise TerminalError("the account is closed")

    with workflow("w") as wf:
        wf.add(soon, never)
        result = wf.execute()
    assert (result.results["soon"], len(result.attempts("never"))) == (2, 1)


def test_a_workflow_draws_itself():
    @task
    def a(): ...

    @task
    def b(): ...

    @task
    def c(): ...

    with workflow("w") as wf:
        a >> (b | c)
        wf.add_edge(b, b, when="result == null")
    drawn = wf.to_mermaid()
    assert "n0 --> n3" in drawn
    assert "n0 -.->|"  # quot;result == null#quot;, ≤ 10"| n0" in drawn


def test_the_monitor_counts_tries():
    @task(max_retries=1, retry_delay=0)
    def flaky(context):
        if context.attempt == 1:
            raise OSError("busy")

    with workflow("w") as wf:
        wf.add(flaky)
        monitor = WorkflowMonitor.from_events(wf.execute().events)
    assert (monitor.tasks_executed, monitor.tasks_failed, monitor.by_task["flaky"].tasks_failed) == (1, 1, 1)


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
