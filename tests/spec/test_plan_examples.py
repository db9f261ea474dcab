"""The usage examples of the original plan (its sections 1.6, 1.8 and 1.10), nearly as it writes them."""

from __future__ import annotations

import uuid

import pytest
import redis

from engine import CoordinationBackend, FeedbackType, ParallelGroupExecutor, TaskSpec
from engine.core.workflow import workflow
from tests.contract.places import worker
from tests.spec.plan_tasks import (
    process_data,
    require_approval,
    require_human_approval,
    require_text_input,
    simple_task,
    task_a,
    task_a_func,
    task_b,
    task_b_func,
    task_c,
    task_c_func,
    task_d,
    task_d_func,
    unreliable_network_call,
)  # fmt: skip

ALL_COMPLETED = {f"task_{letter}": f"Task {letter.upper()} completed" for letter in "abcd"}


def test_example_default_workflow():
    with workflow("default_workflow") as wf:
        simple_task >> unreliable_network_call
        result = wf.execute()
    assert result.results["unreliable_task"] == {"status": "success", "data": "fetched"}
    assert len(result.attempts("unreliable_task")) == 4


def test_example_custom_workflow():
    with workflow("custom_workflow", default_max_cycle=20, default_max_retries=5) as wf:
        simple_task >> (unreliable_network_call | process_data)
        result = wf.execute()
    assert result.status == "succeeded", str(result)
    assert result.results["data_processor"] == {"value": 5, "iteration": 4}
    assert (wf.default_max_cycle, wf.default_max_retries) == (20, 5)


def test_example_parallel_workflow():
    with workflow("parallel_workflow", execution_mode="parallel", default_max_retries=3) as wf:
        simple_task >> (unreliable_network_call | process_data)
        assert wf.execute().status == "succeeded"


def test_example_feedback_workflow():
    with workflow("feedback_workflow") as wf:
        simple_task >> require_human_approval >> process_data
        assert wf.execute().status == "waiting"
        feedback_manager = wf.execution_context.feedback_manager
        pending = feedback_manager.pending_feedback
        for feedback_id in pending:
            feedback_manager.provide_feedback(feedback_id, approved=True)
        result = wf.execute()
    assert result.results["feedback_required_task"]["status"] == "approved"
    assert result.status == "succeeded"


def test_example_text_feedback_workflow():
    with workflow("text_feedback_workflow") as wf:
        simple_task >> require_text_input >> process_data
        wf.execute()
        feedback_manager = wf.execution_context.feedback_manager
        pending = feedback_manager.pending_feedback
        for feedback_id in pending:
            feedback_manager.provide_text(feedback_id, "Additional context provided by user")
        result = wf.execute()
    assert result.results["text_input_task"]["text"] == "Additional context provided by user"


def test_example_mixed_feedback_workflow():
    with workflow("mixed_feedback_workflow") as wf:
        simple_task >> require_approval >> require_text_input >> process_data
        while wf.execute().status == "waiting":
            feedback_manager = wf.execution_context.feedback_manager
            for feedback_id, feedback_data in feedback_manager.pending_feedback.items():
                feedback_type = feedback_data["feedback_type"]
                if feedback_type == FeedbackType.APPROVAL:
                    feedback_manager.approve(feedback_id, reason="Approved by user")
                elif feedback_type == FeedbackType.TEXT:
                    feedback_manager.provide_text(feedback_id, "User provided text input")
    assert wf.execution_context.get_result("text_input_task")["text"] == "User provided text input"


SEQUENCE = [
    TaskSpec("task_a", task_a_func, args=(), kwargs={}),
    [  # Parallel group with barrier synchronization
        TaskSpec("task_b", task_b_func, args=(), kwargs={}),
        TaskSpec("task_c", task_c_func, args=(), kwargs={}),
    ],
    TaskSpec("task_d", task_d_func, args=(), kwargs={}),
]


@pytest.fixture
def queue(redis_url, tmp_path):
    name = f"plan-{uuid.uuid4().hex}"
    with worker(redis_url, name, tmp_path / "log", module="tests.spec.plan_tasks"):
        yield name


def test_example_redis_parallel_execution(redis_url, queue):
    with redis.Redis.from_url(redis_url) as redis_client:
        executor = ParallelGroupExecutor(
            backend=CoordinationBackend.REDIS, backend_config={"redis_client": redis_client, "queue": queue}
        )
        assert executor.execute_sequence(SEQUENCE) == ALL_COMPLETED


def test_example_multiprocessing_parallel_execution():
    executor = ParallelGroupExecutor(backend=CoordinationBackend.MULTIPROCESSING, backend_config={"process_count": 4})
    assert executor.execute_sequence(SEQUENCE) == ALL_COMPLETED


def test_example_memory_parallel_execution():
    executor = ParallelGroupExecutor(backend=CoordinationBackend.MEMORY)
    assert executor.execute_sequence(SEQUENCE) == ALL_COMPLETED


def test_example_workflow_with_parallel_coordination():
    with workflow("parallel_workflow", coordination_backend=CoordinationBackend.MULTIPROCESSING) as wf:
        task_a >> (task_b | task_c) >> task_d
        result = wf.execute()
    assert (result.status, result.results) == ("succeeded", ALL_COMPLETED)
