"""What the core asks others to bring: somebody who carries a local run out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine.core.result import RunResult
    from engine.core.workflow import WorkflowContext


class Runner(Protocol):
    """One local run of a workflow, which may be continued after a question."""

    @property
    def is_waiting(self) -> bool: ...

    @property
    def execution_context(self) -> Any: ...

    def execute(self) -> RunResult: ...

    def stop(self, reason: str | None) -> None: ...


RunnerFactory = Callable[["WorkflowContext", "str | None", "int | None", "dict[str, Any] | None"], Runner]
"""(workflow, start_node, max_steps, inputs) -> a run that has not begun."""

runner_factory: list[RunnerFactory] = []
"""Filled once by `engine/__init__.py`, the composition root."""
