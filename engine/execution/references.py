"""Naming a function so that another process finds the same one, without sending its code.

A reference is `module:path`. Only what an importing process would find again has one: functions and tasks at
the top level of a module. Lambdas, local functions and what an interactive session defined are refused.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.core import registry
from engine.core.errors import NotPicklable, WorkflowStateError
from engine.core.task import TaskWrapper


def reference(task_id: str, func: Callable[..., Any]) -> str:
    """`module:path` of a task or function. Raises NotPicklable, naming the task, where it has none."""
    body = func.func if isinstance(func, TaskWrapper) else func
    module_name, path = getattr(body, "__module__", None), getattr(body, "__qualname__", None)
    if module_name is None or path is None:
        raise NotPicklable(task_id, f"{body!r} is no function of a module")
    if getattr(body, "__name__", "") == "<lambda>":
        raise NotPicklable(task_id, "its function is a lambda, which other processes cannot find")
    module = sys.modules.get(module_name)
    if module is None or _is_interactive(module):
        raise NotPicklable(
            task_id, f"{path!r} was defined in an interactive session, which other processes cannot import"
        )
    found = (
        path
        if _at(module, path) in (func, body) or _body_at(module, path) is body
        else _global_name(module, func, body)
    )
    if found is None:
        detail = (
            "inside another function"
            if "<locals>" in path
            else f"in {module_name!r} under a name that now means something else"
        )
        raise NotPicklable(task_id, f"its function {path!r} is defined {detail}, where other processes cannot find it")
    return f"{module_name}:{found}"


def name_for_worker(task_id: str, func: Callable[..., Any]) -> str:
    """What a Redis worker is asked for: the registered name of a task, `module:path` of any other function."""
    found = reference(task_id, func)
    if isinstance(func, TaskWrapper) and registry.tasks().get(func.name) is func:
        return func.name
    module, _, path = found.partition(":")
    return f"{_main_name()}:{path}" if module == "__main__" else found


def _main_name() -> str:
    """What the running script is called where it is imported instead."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return spec.name if spec is not None else Path(str(getattr(main, "__file__", "__main__"))).stem


def resolve(text: str) -> Callable[..., Any]:
    """The task or function behind `module:path`, importing the module if need be. For trusted references only."""
    module_name, _, path = text.partition(":")
    return _found(importlib.import_module(module_name), path, text)


def resolve_loaded(text: str) -> Callable[..., Any]:
    """The task or function of a reference that came from outside: nothing is imported for it."""
    if text in registry.tasks():
        return registry.tasks()[text]
    module_name, _, path = text.partition(":")
    module = sys.modules.get("__main__" if module_name == _main_name() else module_name)
    if module is None:
        raise WorkflowStateError(f"There is no function {text!r} here: module {module_name!r} was not imported.")
    return _found(module, path, text)


def anonymous(name: str, func: Callable[..., Any]) -> TaskWrapper:
    """A plain function as a task that is not registered."""
    wrapper = TaskWrapper.__new__(TaskWrapper)
    wrapper._name, wrapper.func, wrapper.retry_on = name, func, Exception
    return wrapper


def _found(module: ModuleType, path: str, text: str) -> Callable[..., Any]:
    found = _at(module, path)
    if not callable(found):
        raise WorkflowStateError(f"There is no function {text!r} here.")
    return found  # type: ignore[no-any-return]


def _at(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _body_at(module: ModuleType, path: str) -> Any:
    found = _at(module, path)
    return found.func if isinstance(found, TaskWrapper) else found


def _global_name(module: ModuleType, func: Any, body: Any) -> str | None:
    """The name a module gives to a task or function that was made elsewhere, for example by a factory."""
    for name, value in vars(module).items():
        if value is func or value is body or (isinstance(value, TaskWrapper) and value.func is body):
            return name
    return None


def _is_interactive(module: ModuleType) -> bool:
    if module.__name__ != "__main__":
        return False
    file = getattr(module, "__file__", None)
    return file is None or not Path(file).exists()
