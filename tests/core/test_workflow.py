"""The library as an author uses it: tasks, operators, `execute`, arguments and channels."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from engine import (
    RetryAfter,
    TaskExecutionContext,
    TerminalError,
    WorkflowMonitor,
    channel_pull,
    channel_push,
    task,
    workflow,
)


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
