"""`@task`, `@channel_push` and `@channel_pull`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from engine.core.task import TaskWrapper

F = TypeVar("F", bound=Callable[..., Any])
_SETTINGS = inspect.signature(TaskWrapper).parameters.keys() - {"name", "func"}


@overload
def task(func: Callable[..., Any], /) -> TaskWrapper: ...
@overload
def task(
    func: None = None, /, *, name: str | None = None, max_cycle: int | None = None, max_retries: int | None = None,
    retry_delay: float | None = None, backoff: float | None = None,
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception, timeout: float | None = None,
    priority: int = 0, converge: Any = None, on_max_cycle: str = "stop", on_error: str = "fail",
    join: str | int | None = None, queue: str | None = None,
) -> Callable[[Callable[..., Any]], TaskWrapper]: ...  # fmt: skip


def task(
    func: Callable[..., Any] | None = None, /, *, name: str | None = None, **settings: Any
) -> TaskWrapper | Callable[[Callable[..., Any]], TaskWrapper]:
    """Make a function a task, with or without settings.

    `max_cycle` limits its executions per entry into its loop, `max_retries` the tries after the first of one
    iteration, `retry_delay` (seconds) × `backoff` is the wait between them, `retry_on` the exceptions worth
    it, `timeout` (seconds) ends a try as an error, a lower `priority` goes first, `converge` (a tolerance)
    ends its loop when two results are closer. See the reference for the others.
    """

    if unknown := sorted(settings.keys() - _SETTINGS):
        close = get_close_matches(unknown[0], _SETTINGS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise TypeError(f"@task has no setting {unknown[0]!r}{hint} It has: name, {', '.join(sorted(_SETTINGS))}.")

    def wrap(function: Callable[..., Any]) -> TaskWrapper:
        return TaskWrapper(name or str(getattr(function, "__name__", "unnamed_task")), function, **settings)

    return wrap if func is None else wrap(func)


def channel_push(channel: str, key: str | None = None) -> Callable[[F], F]:
    """Put the task's result into `channel` under `key`, or under the function's name."""

    def mark(func: F) -> F:
        target: Any = func.func if isinstance(func, TaskWrapper) else func
        pushes = (*getattr(target, "__graflow_pushes__", ()), (channel, key or target.__name__))
        target.__graflow_pushes__ = pushes
        return func

    return mark


def channel_pull(channels: dict[str, str]) -> Callable[[F], F]:
    """Fill parameters from channels: `{"parameter": "channel"}` reads key `data`, `"channel:key"` another."""

    def mark(func: F) -> F:
        target: Any = func.func if isinstance(func, TaskWrapper) else func
        pulls = dict(getattr(target, "__graflow_pulls__", {}))
        for parameter, place in channels.items():
            name, _, key = place.partition(":")
            pulls[parameter] = (name, key or "data")
        target.__graflow_pulls__ = pulls
        return func

    return mark
