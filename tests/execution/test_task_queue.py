"""TaskQueue and TaskWorker: order, states, and an end that loses nothing."""

from __future__ import annotations

import threading
import time

import pytest

from engine import EngineError, ExecutionContext, TaskQueue, TaskSpec, TaskWorker, task, workflow


def spec(task_id, func=lambda: None, **more):
    return TaskSpec(task_id, func, **more)


def test_lower_priorities_go_first_and_equal_ones_in_the_order_of_arrival():
    queue = TaskQueue()
    for task_id, priority in (("a", 5), ("b", 0), ("c", 5), ("d", -1), ("e", 0)):
        assert queue.enqueue(spec(task_id, priority=priority)) is True
    assert [queue.dequeue().task_id for _ in range(5)] == ["d", "b", "e", "a", "c"]
    assert queue.dequeue() is None


def test_a_spec_takes_id_and_function_by_place_and_the_rest_by_name():
    made = TaskSpec("a", max, args=(1, 2), kwargs={"key": abs}, priority=3)
    assert (made.task_id, made.func, made.args, made.kwargs, made.priority) == ("a", max, (1, 2), {"key": abs}, 3)
    assert (spec("x").args, spec("x").kwargs, spec("x").priority) == ((), {}, 0)
    with pytest.raises(TypeError):
        TaskSpec("a", max, (1, 2))


def test_work_that_waits_or_runs_is_not_taken_twice_but_may_come_again():
    queue = TaskQueue()
    assert queue.enqueue(spec("a"))
    assert not queue.enqueue(spec("a"))
    queue.dequeue()
    assert not queue.enqueue(spec("a"))
    queue.mark_completed("a", 1)
    assert queue.enqueue(spec("a"))


def test_states_follow_the_work():
    queue = TaskQueue()
    queue.enqueue(spec("a"))
    queue.enqueue(spec("b"))
    assert queue.get_tasks_by_status("ready") == ["a", "b"]
    queue.dequeue()
    assert queue.get_task_state("a").status == "running"
    queue.mark_completed("a", 7)
    state = queue.get_task_state("a")
    assert (state.status, state.result, state.outcome) == ("completed", 7, "success")
    queue.dequeue()
    assert not queue.is_empty()
    queue.mark_failed("b", ValueError("no"))
    assert (queue.get_task_state("b").outcome, queue.get_task_state("b").error) == ("error", "ValueError: no")
    assert queue.is_empty()
    assert queue.get_task_state("never") is None


def test_what_cannot_be_called_is_refused():
    with pytest.raises(EngineError, match="'a'"):
        TaskQueue().enqueue(TaskSpec("a", None))


def test_start_returns_at_once_and_stop_lets_queued_work_finish():
    queue, done = TaskQueue(), []
    worker = TaskWorker(queue)
    for number in range(5):
        queue.enqueue(spec(str(number), lambda number=number: (time.sleep(0.02), done.append(number))))
    started = time.monotonic()
    worker.start()
    assert time.monotonic() - started < 0.5
    assert worker.running
    worker.stop()
    assert done == [0, 1, 2, 3, 4]
    assert not worker.running
    assert queue.is_empty()


def test_a_failing_task_does_not_end_the_worker():
    queue = TaskQueue()
    worker = TaskWorker(queue)
    worker.start()
    queue.enqueue(spec("bad", lambda: 1 / 0))
    queue.enqueue(spec("worse", exit))
    queue.enqueue(spec("good", lambda: "fine"))
    worker.stop()
    assert queue.get_task_state("bad").error.startswith("ZeroDivisionError")
    assert queue.get_task_state("worse").outcome == "error"
    assert queue.get_task_state("good").result == "fine"


def test_a_worker_can_be_started_and_stopped_again_and_again():
    queue = TaskQueue()
    worker = TaskWorker(queue)
    worker.stop()
    for round_ in range(3):
        worker.start()
        worker.start()
        queue.enqueue(spec("a", lambda round_=round_: round_))
        worker.stop()
        worker.stop()
        assert queue.get_task_state("a").result == round_


def test_several_workers_share_a_queue_and_do_everything_once():
    queue, done, lock = TaskQueue(), [], threading.Lock()

    def work(number):
        with lock:
            done.append(number)

    for number in range(200):
        queue.enqueue(spec(str(number), work, args=(number,)))
    workers = [TaskWorker(queue) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.stop()
    assert sorted(done) == list(range(200))


def test_tasks_are_work_too_and_results_reach_the_execution_context():
    @task
    def double(value):
        return value * 2

    with workflow("w") as wf:
        wf.add(double)
    context = ExecutionContext(wf.plan())
    queue = TaskQueue(context)
    worker = TaskWorker(queue, context)
    worker.start()
    queue.enqueue(TaskSpec("twice", double, args=(21,)))
    worker.stop()
    assert context.get_result("twice") == 42
