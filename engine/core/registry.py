"""Task names and the functions behind them. Finding modules to import is the business of the edges."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.core.definition import KIND_LABELS

if TYPE_CHECKING:
    from engine.core.task import TaskWrapper

_tasks: dict[str, TaskWrapper] = {}


def register(task: TaskWrapper) -> None:
    """Make `task` known under its name. A later one of the same name takes its place."""
    _tasks[task.name] = task


def tasks() -> Mapping[str, TaskWrapper]:
    return _tasks


def catalogue(modules: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Registered tasks by name, for people who pick one: `name doc module parameters defaults`.

    With `modules`, only those defined in these modules or packages.
    """
    wanted = None if modules is None else tuple(modules)
    return [
        describe(task)
        for name, task in sorted(_tasks.items())
        if wanted is None or any(task.module == m or task.module.startswith(f"{m}.") for m in wanted)
    ]


def describe(task: TaskWrapper) -> dict[str, Any]:
    return {
        "name": task.name,
        "doc": inspect.getdoc(task.func) or "",
        "module": task.module,
        "parameters": dict(task.parameters),
        "defaults": task.defaults(),
    }


def kinds() -> list[dict[str, str]]:
    """Kinds of step that need no function: `kind label doc`."""
    return [{"kind": kind, "label": label, "doc": doc} for kind, (label, doc) in KIND_LABELS.items()]
