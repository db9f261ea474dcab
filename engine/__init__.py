"""Graflow: workflows that may go round, with people in the loop.

    from engine import task, workflow

This module is the composition root of the library: importing any part of it gives workflows their runner.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from engine.core import ports as _ports
from engine.core.channel import Channel
from engine.core.context import TaskExecutionContext
from engine.core.cycle import ConvergenceDetector, CycleController
from engine.core.decorators import channel_pull, channel_push, task
from engine.core.errors import (
    ArgumentError,
    ChannelError,
    DefinitionError,
    EngineError,
    ExpressionError,
    FeedbackRejectedException,
    FeedbackTimeoutError,
    IllegalTransition,
    InvalidInput,
    NotPicklable,
    RequestError,
    RetryAfter,
    TaskFailure,
    TerminalError,
    UnknownTask,
    WorkflowStateError,
)
from engine.core.feedback import FeedbackManager, FeedbackType
from engine.core.graph import CycleDetector
from engine.core.monitor import WorkflowMonitor
from engine.core.result import RunResult
from engine.core.state import TaskState, TaskStatus
from engine.core.step import step
from engine.core.task import ParallelGroup, TaskWrapper
from engine.core.workflow import CoordinationBackend, WorkflowContext, workflow
from engine.execution.context import ExecutionContext
from engine.execution.coordinator import TaskCoordinator
from engine.execution.group import ParallelGroupExecutor
from engine.execution.http_policy import HttpPolicy
from engine.execution.local import local_runner as _local_runner
from engine.execution.memory_coordinator import MemoryCoordinator
from engine.execution.process_coordinator import MultiprocessingCoordinator
from engine.execution.task_queue import TaskQueue, TaskSpec
from engine.execution.task_worker import TaskWorker

if _TYPE_CHECKING:
    from engine.execution.redis_coordinator import RedisCoordinator

_ports.runner_factory[:] = [_local_runner]


def __getattr__(name: str) -> _Any:
    """Redis' client and Celery are loaded only for those who use them: they take longer than all of the rest."""
    if name == "RedisCoordinator":
        return _importlib.import_module("engine.execution.redis_coordinator").RedisCoordinator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ArgumentError",
    "Channel",
    "ChannelError",
    "ConvergenceDetector",
    "CoordinationBackend",
    "CycleController",
    "CycleDetector",
    "DefinitionError",
    "EngineError",
    "ExecutionContext",
    "ExpressionError",
    "FeedbackManager",
    "FeedbackRejectedException",
    "FeedbackTimeoutError",
    "FeedbackType",
    "HttpPolicy",
    "IllegalTransition",
    "InvalidInput",
    "MemoryCoordinator",
    "MultiprocessingCoordinator",
    "NotPicklable",
    "ParallelGroup",
    "ParallelGroupExecutor",
    "RedisCoordinator",
    "RequestError",
    "RetryAfter",
    "RunResult",
    "TaskCoordinator",
    "TaskExecutionContext",
    "TaskFailure",
    "TaskQueue",
    "TaskSpec",
    "TaskState",
    "TaskStatus",
    "TaskWorker",
    "TaskWrapper",
    "TerminalError",
    "UnknownTask",
    "WorkflowContext",
    "WorkflowMonitor",
    "WorkflowStateError",
    "channel_pull",
    "channel_push",
    "step",
    "task",
    "workflow",
]  # fmt: skip
