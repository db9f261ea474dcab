"""Tasks and how they are joined: `a >> (b | c) >> d`.

Operators only describe. Inside a `with workflow(...)` block they also draw the edges into that workflow.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from engine.core import registry
from engine.core.definition import GROUP_FIELDS, TASK_FIELDS, check_settings
from engine.core.errors import WorkflowStateError
from engine.core.schema import Signature, parameters_schema, signature_of

if TYPE_CHECKING:
    from engine.core.workflow import WorkflowContext


class Executable:
    """Anything that can be joined: a task, a parallel group, a pipeline."""

    def entries(self) -> list[Executable]:
        """Where an edge into this leads to: tasks or one group."""
        raise NotImplementedError

    def exits(self) -> list[Executable]:
        """Where an edge out of this comes from: tasks or one group."""
        raise NotImplementedError

    def place(self, workflow: WorkflowContext) -> None:
        """Make this part of `workflow`."""
        raise NotImplementedError

    def __rshift__(self, other: Executable) -> Pipeline:
        return Pipeline(self, executable(other))

    def __lshift__(self, other: Executable) -> Pipeline:
        return Pipeline(executable(other), self)

    def __or__(self, other: Executable) -> ParallelGroup:
        return ParallelGroup([self, executable(other)])


def executable(other: Any) -> Executable:
    """`other`, if it can be joined. Raises WorkflowStateError."""
    if isinstance(other, Executable):
        return other
    raise WorkflowStateError(
        f"{other!r} cannot be joined; decorate a function with @task first, and name a workflow in a step()."
    )


class Single(Executable):
    """One task of a workflow."""

    @property
    def name(self) -> str:
        """Its id in the workflow."""
        raise NotImplementedError

    def entries(self) -> list[Executable]:
        return [self]

    def exits(self) -> list[Executable]:
        return [self]


CURRENT: ContextVar[WorkflowContext | None] = ContextVar("graflow_workflow", default=None)
"""The workflow whose `with` block is open here; threads and async tasks each have their own."""


class TaskWrapper(Single):
    """A function as a task. Settings of None take the workflow's defaults."""

    def __init__(
        self,
        name: str,
        func: Callable[..., Any],
        *,
        max_cycle: int | None = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        backoff: float | None = None,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        timeout: float | None = None,
        priority: int = 0,
        converge: Any = None,
        on_max_cycle: str = "stop",
        on_error: str = "fail",
        join: str | int | None = None,
        queue: str | None = None,
    ) -> None:
        if not callable(func):
            raise WorkflowStateError(f"{func!r} is no function; write @task, or @task(name=...) for another name.")
        if kind := _unfit(func):
            raise WorkflowStateError(
                f"Task {name!r}: {getattr(func, '__name__', func)!r} is {kind}, and calling it would only make an object "
                "that nobody runs. Give a plain function: it may call asyncio.run(...) inside, or return list(...)."
            )
        self._name, self.func = name, func
        self.max_cycle, self.max_retries = max_cycle, max_retries
        self.retry_delay, self.backoff, self.retry_on = retry_delay, backoff, retry_on
        self.timeout, self.priority, self.converge = timeout, priority, converge
        self.on_max_cycle, self.on_error, self.join, self.queue = on_max_cycle, on_error, join, queue
        check_settings(f"Task {name!r}", TASK_FIELDS, {"id": name, **self.defaults()})
        kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise WorkflowStateError(
                f"Task {name!r}: retry_on={retry_on!r} must be an exception class or a tuple of them."
            )
        functools.update_wrapper(self, func, updated=())
        registry.register(self)
        if (workflow := CURRENT.get()) is not None:
            self.place(workflow)

    @property
    def name(self) -> str:
        return self._name

    @property
    def module(self) -> str:
        return str(getattr(self.func, "__module__", "") or "")

    @functools.cached_property
    def signature(self) -> Signature:
        return signature_of(self.func)

    @functools.cached_property
    def parameters(self) -> Mapping[str, Any]:
        """A JSON Schema (type object) of what the function takes, without the context."""
        return MappingProxyType(parameters_schema(self.func))

    @property
    def pulls(self) -> dict[str, tuple[str, str]]:
        """Parameters filled from channels: `{parameter: (channel, key)}`."""
        return dict(getattr(self.func, "__graflow_pulls__", {}))

    @property
    def pushes(self) -> tuple[tuple[str, str], ...]:
        """Channels that get the result: `(channel, key)`."""
        return tuple(getattr(self.func, "__graflow_pushes__", ()))

    def defaults(self) -> dict[str, Any]:
        """The settings that were given, as keys of a definition's task."""
        values = {
            "max_cycle": self.max_cycle, "max_retries": self.max_retries, "retry_delay": self.retry_delay,
            "backoff": self.backoff, "timeout": self.timeout, "converge": self.converge, "join": self.join,
            "queue": self.queue, "priority": self.priority or None,
            "on_max_cycle": self.on_max_cycle if self.on_max_cycle != "stop" else None,
            "on_error": self.on_error if self.on_error != "fail" else None,
        }  # fmt: skip
        return {key: value for key, value in values.items() if value is not None}

    def get_max_retries(self, default: int) -> int:
        return default if self.max_retries is None else self.max_retries

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _registered, (self._name, self.module)

    def place(self, workflow: WorkflowContext) -> None:
        workflow.place_task(self)

    def __repr__(self) -> str:
        settings = "".join(f", {key}={value!r}" for key, value in self.defaults().items())
        return f"TaskWrapper({self._name}{settings})"


def _unfit(func: Callable[..., Any]) -> str | None:
    """What kind of function this is, when calling it does not carry out its body."""
    for called in (func, getattr(type(func), "__call__", None)):  # noqa: B004 - an object's own call
        if inspect.iscoroutinefunction(called):
            return "an async function"
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            return "a generator function"
    return None


def _registered(name: str, module: str) -> TaskWrapper:
    """Unpickling: a task travels by name and is found again where its module was imported."""
    if name not in registry.tasks():
        __import__(module)
    return registry.tasks()[name]


class ParallelGroup(Executable):
    """Tasks side by side: what follows waits until all have ended, and `policy` says what counts as success."""

    def __init__(self, members: Sequence[Executable], *, name: str | None = None, policy: Any = "strict") -> None:
        self.name, self.policy = name, policy
        self.members: list[Executable] = []
        flat = [m for m in members if isinstance(m, ParallelGroup) and m.name is None and m.policy == "strict"]
        for member in members:
            self.members.extend(member.members if isinstance(member, ParallelGroup) and member in flat else [member])
        if policy != "strict":
            check_settings(repr(self), GROUP_FIELDS, {"policy": policy})
        if (workflow := CURRENT.get()) is not None:
            workflow.place_made(self, self.members, flat)

    def with_policy(self, policy: Any) -> Self:
        """`"strict"`, `"best_effort"`, `{"at_least": n}` or `{"critical": [ids]}`; returns the group."""
        check_settings(repr(self), GROUP_FIELDS, {"policy": policy})
        self.policy = policy
        if (workflow := CURRENT.get()) is not None:
            self.place(workflow)
        return self

    def named(self, name: str) -> Self:
        self.name = name
        return self

    def entries(self) -> list[Executable]:
        if all(isinstance(member, Single) for member in self.members):
            return [self]
        return [entry for member in self.members for entry in member.entries()]

    def exits(self) -> list[Executable]:
        return [self]

    def place(self, workflow: WorkflowContext) -> None:
        for member in self.members:
            member.place(workflow)
        workflow.place_group(self)

    def __repr__(self) -> str:
        return f"ParallelGroup({' | '.join(repr(member) for member in self.members)})"


class Pipeline(Executable):
    """One part after another. Edges run from every exit of `first` to every entry of `second`."""

    def __init__(self, first: Executable, second: Executable) -> None:
        self.first, self.second = first, second
        if (workflow := CURRENT.get()) is not None:
            workflow.place_made(self, (first, second))
            self.place(workflow)

    def entries(self) -> list[Executable]:
        return self.first.entries()

    def exits(self) -> list[Executable]:
        return self.second.exits()

    def place(self, workflow: WorkflowContext) -> None:
        self.first.place(workflow)
        self.second.place(workflow)
        for source in self.first.exits():
            for target in self.second.entries():
                workflow.place_link(source, target)

    def __repr__(self) -> str:
        return f"{self.first!r} >> {self.second!r}"
