"""The task functions of the original plan's sections 1.6, 1.8 and 1.10, nearly as it writes them.

Changed: chance is replaced by the number of the attempt, sleeps are shorter, and `simple_task` returns the
dictionary that `process_data` wants.
"""

import time
from typing import Any

from engine.core.context import TaskExecutionContext
from engine.core.decorators import task


@task(name="approval_task")
def require_approval(context: TaskExecutionContext, data: Any) -> Any:
    """Task requiring approval before continuing."""
    feedback_manager = context.get_service("feedback_manager")
    feedback_id = feedback_manager.request_approval(
        context.current_task_id, data, prompt="Please approve this data processing"
    )
    context.suspend_until_feedback(feedback_id)
    return data


@task(name="text_input_task")
def require_text_input(context: TaskExecutionContext, data: Any) -> Any:
    """Task requiring text input from user."""
    feedback_manager = context.get_service("feedback_manager")
    feedback_id = feedback_manager.request_text_input(
        context.current_task_id, data, prompt="Please provide additional information about this data"
    )
    context.suspend_until_feedback(feedback_id)
    return {"value": 0, "text": context.get_result()}


@task(name="data_processor", max_cycle=5, max_retries=2, retry_delay=0.01)
def process_data(context: TaskExecutionContext, data: dict[str, Any]) -> dict[str, Any]:
    """A task that can iterate up to 5 times and retry up to 2 times."""
    iteration = context.cycle_controller.cycle_counts.get("data_processor", 0)
    if context.attempt == 1 and iteration == 1:
        raise Exception("Random processing error")
    processed = {"value": data.get("value", 0) + 1, "iteration": iteration}
    if processed["value"] < 10 and iteration < 4:  # Will respect max_cycle=5
        context.next_iteration(data=processed)
    return processed


@task(name="unreliable_task", max_retries=5, retry_delay=0.01, backoff=1.0)
def unreliable_network_call(context: TaskExecutionContext) -> dict[str, Any]:
    """A task that might fail but has high retry limit."""
    if context.attempt < 4:
        raise Exception("Network timeout")
    return {"status": "success", "data": "fetched"}


@task(name="simple_task")  # Uses workflow defaults
def simple_task() -> dict[str, Any]:
    """A simple task with default limits."""
    return {"value": 0, "requires_approval": True}


@task(name="feedback_required_task")
def require_human_approval(context: TaskExecutionContext, data: dict[str, Any]) -> dict[str, Any]:
    """A task that requires human approval before continuing."""
    if data.get("requires_approval", False):
        feedback_manager = context.get_service("feedback_manager")
        feedback_id = feedback_manager.request_feedback(context.current_task_id, data, feedback_type="approval")
        context.suspend_until_feedback(feedback_id)
    return {"status": "approved", "data": data}


def task_a_func() -> str:
    return "Task A completed"


def task_b_func() -> str:
    time.sleep(0.1)
    return "Task B completed"


def task_c_func() -> str:
    return "Task C completed"


def task_d_func() -> str:
    return "Task D completed"


@task(name="task_a")
def task_a() -> str:
    return "Task A completed"


@task(name="task_b")
def task_b() -> str:
    time.sleep(0.2)  # Simulate work
    return "Task B completed"


@task(name="task_c")
def task_c() -> str:
    time.sleep(0.1)  # Simulate work
    return "Task C completed"


@task(name="task_d")
def task_d() -> str:
    return "Task D completed"
