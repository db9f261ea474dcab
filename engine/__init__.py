"""Graflow: workflows that may go round, with people in the loop.

    from engine import task, workflow

This module is the composition root of the library: importing any part of it gives workflows their runner.
"""

from engine.core import ports as _ports
from engine.core.channel import Channel
from engine.core.context import TaskExecutionContext
from engine.core.cycle import ConvergenceDetector, CycleController
from engine.core.decorators import channel_pull, channel_push, task
from engine.core.errors import (
    ArgumentError,
    DefinitionError,
    EngineError,
    ExpressionError,
    FeedbackRejectedException,
    FeedbackTimeoutError,
    IllegalTransition,
    UnknownTask,
    WorkflowStateError,
)
from engine.core.feedback import FeedbackManager, FeedbackType
from engine.core.graph import CycleDetector
from engine.core.monitor import WorkflowMonitor
from engine.core.result import RunResult
from engine.core.state import TaskState, TaskStatus
from engine.core.task import ParallelGroup, TaskWrapper
from engine.core.workflow import CoordinationBackend, WorkflowContext, workflow
from engine.execution.context import ExecutionContext
from engine.execution.local import local_runner as _local_runner

_ports.runner_factory[:] = [_local_runner]

__all__ = [
    "ArgumentError", "Channel", "ConvergenceDetector", "CoordinationBackend", "CycleController", "CycleDetector",
    "DefinitionError", "EngineError", "ExecutionContext", "ExpressionError", "FeedbackManager",
    "FeedbackRejectedException", "FeedbackTimeoutError", "FeedbackType", "IllegalTransition", "ParallelGroup",
    "RunResult", "TaskExecutionContext", "TaskState", "TaskStatus", "TaskWrapper", "UnknownTask", "WorkflowContext",
    "WorkflowMonitor", "WorkflowStateError", "channel_pull", "channel_push", "task", "workflow",
]  # fmt: skip
