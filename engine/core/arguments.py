"""How the parameters of a task's function are filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.errors import ArgumentError, WorkflowStateError
from engine.core.schema import Signature

FIRST = "*"  # as a name in `given`: the first parameter, whatever its name. Whoever planned had no function to ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where values come from, in the order they are asked. `main` holds the upstream results that count as
    "the one upstream result" when there is exactly one; `by_name` all that can be named.
    """

    params: Mapping[str, Any]
    given: Mapping[str, Any]
    inputs: Mapping[str, Any]
    by_name: Mapping[str, Any]
    main: Mapping[str, Any]


def fill(
    signature: Signature, sources: Sources, *, task_id: str, context: Any = None,
    pulls: Mapping[str, tuple[str, str]] | None = None, pull: Callable[[str, str], Any] | None = None,
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    """(positional, keyword) arguments for a call. Raises ArgumentError naming what nothing fills."""
    one = next(iter(sources.main.values())) if len(sources.main) == 1 else None
    given = _with_first(sources.given, signature)
    filled: dict[str, Any] = {}
    open_names: list[str] = []
    for parameter in signature.parameters:
        name = parameter.name
        if name in sources.params:
            filled[name] = sources.params[name]
        elif name in given:
            filled[name] = given[name]
        elif pulls and name in pulls and pull is not None:
            filled[name] = pull(*pulls[name])
        elif name in sources.inputs:
            filled[name] = sources.inputs[name]
        elif name in sources.by_name:
            filled[name] = sources.by_name[name]
        elif isinstance(one, dict) and name in one:
            filled[name] = one[name]
        elif parameter.required:
            open_names.append(name)
    if len(open_names) == 1 and len(sources.main) == 1:
        filled[open_names.pop()] = one
    if open_names:
        raise ArgumentError(task_id, open_names[0], _available(sources, one))
    known = {parameter.name for parameter in signature.parameters}
    known.add(signature.context or "")
    extra = {name: value for named in (given, sources.params) for name, value in named.items() if name not in known}
    if extra and not signature.open:
        raise WorkflowStateError(
            f"Task {task_id!r} was given {', '.join(map(repr, extra))}, which its function does not take."
        )
    filled.update(extra)
    if signature.context is not None:
        filled[signature.context] = context
    positional = [filled.pop(p.name) for p in signature.parameters if p.positional_only and p.name in filled]
    return positional, filled


def _with_first(given: Mapping[str, Any], signature: Signature) -> Mapping[str, Any]:
    if FIRST not in given or not signature.parameters:
        return given
    return {signature.parameters[0].name if name == FIRST else name: value for name, value in given.items()}


def _available(sources: Sources, one: Any) -> list[str]:
    groups = (
        ("params", sources.params), ("arguments", sources.given), ("inputs", sources.inputs), ("results", sources.by_name),
        ("keys of the upstream result", one if isinstance(one, dict) else {}),
    )  # fmt: skip
    return [f"{label} {', '.join(map(str, values))}" for label, values in groups if values]
