"""What a task's function takes: its signature as JSON Schema, and how its parameters are filled.

Only annotations with a plain JSON meaning are turned into types; everything else accepts any value.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

from engine.core.errors import InvalidInput

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_EMPTY = inspect.Parameter.empty
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_META = jsonschema.Draft202012Validator(
    jsonschema.Draft202012Validator.META_SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    required: bool
    default: Any
    annotation: Any
    positional_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`context` names the parameter that gets the context; `open` is true for `**kwargs`."""

    parameters: tuple[Parameter, ...]
    context: str | None
    open: bool

    @property
    def is_empty(self) -> bool:
        return not self.parameters and self.context is None and not self.open


def signature_of(func: Callable[..., Any]) -> Signature:
    """How `func` wants to be called. A parameter named `context` or annotated TaskExecutionContext gets it."""
    try:
        raw = inspect.signature(func)
    except (TypeError, ValueError):  # some builtins tell nothing: call them without arguments
        return Signature(parameters=(), context=None, open=False)
    context: str | None = None
    found: list[Parameter] = []
    is_open = False
    for parameter in raw.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            if context is None and (parameter.name == "context" or _is_context(parameter.annotation)):
                context = parameter.name
                continue
            found.append(
                Parameter(
                    name=parameter.name,
                    required=parameter.default is _EMPTY,
                    default=None if parameter.default is _EMPTY else parameter.default,
                    annotation=parameter.annotation,
                    positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
                )
            )
    return Signature(parameters=tuple(found), context=context, open=is_open)


def _is_context(annotation: Any) -> bool:
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rpartition(".")[2] == "TaskExecutionContext"


def parameters_schema(func: Callable[..., Any]) -> dict[str, Any]:
    """A JSON Schema (type object) of what `func` takes, without the context."""
    signature = signature_of(func)
    hints = _hints(func)
    described = _described_parameters(inspect.getdoc(func) or "")
    properties: dict[str, Any] = {}
    for parameter in signature.parameters:
        entry = annotation_schema(hints.get(parameter.name, _EMPTY))
        if not parameter.required and _is_json(parameter.default):
            entry["default"] = parameter.default
        if parameter.name in described:
            entry["description"] = described[parameter.name]
        properties[parameter.name] = entry
    return {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in signature.parameters if parameter.required],
        "additionalProperties": signature.open,
    }


def annotation_schema(annotation: Any) -> dict[str, Any]:
    """The JSON Schema of one annotation; `{}` (anything) where it has no plain JSON meaning."""
    if annotation in _PLAIN:
        return {"type": _PLAIN[annotation]}
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return annotation_schema(args[0])
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        choices = [annotation_schema(arg) for arg in args]
        return {} if {} in choices else {"anyOf": choices}
    if annotation in (list, tuple) or origin in (list, tuple):
        items = annotation_schema(args[0]) if args and origin is list else {}
        return {"type": "array", **({"items": items} if items else {})}
    if annotation is dict or origin is dict:
        values = annotation_schema(args[1]) if len(args) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [member.value for member in annotation]}
    return {}


def value_error(schema: dict[str, Any], value: Any) -> str | None:
    """Why `value` does not fit `schema`, or None. Raises InvalidInput for a schema that is none."""
    if not schema:
        return None
    error = jsonschema.exceptions.best_match(_errors(schema, value))
    return error.message if error is not None else None


def value_errors(schema: dict[str, Any], value: Any) -> list[tuple[list[str], str]]:
    """All places where `value` does not fit `schema`, with the reason. Raises InvalidInput for a schema that is none."""
    return [([str(part) for part in error.absolute_path], error.message) for error in _errors(schema, value)]


def _errors(schema: dict[str, Any], value: Any) -> list[Any]:
    # References lead to places within the schema or to the specification itself: nothing is ever fetched from outside.
    validator = jsonschema.Draft202012Validator(schema, registry=REGISTRY)
    try:
        return list(validator.iter_errors(value))
    except Exception as error:  # a schema that is none makes the validator stumble in any way at all
        place, message = schema_error(schema) or ("", str(error) or type(error).__name__)
        at = f"{place}: " if place else ""
        raise InvalidInput(f"The JSON Schema that values have to fit cannot be used: {at}{message}") from None


def schema_error(schema: Any) -> tuple[str, str] | None:
    """(place within it, what is wrong) of a JSON Schema that is none, or None."""
    try:
        error = jsonschema.exceptions.best_match(_META.iter_errors(schema))
    except RecursionError:
        return "", "it is nested too deep"
    if error is None:
        return None
    is_type = list(error.absolute_path)[-1:] == ["type"] and isinstance(error.instance, str)
    message = f"{error.instance!r} is no type; known are: {', '.join(_TYPES)}" if is_type else error.message
    return error.json_path.removeprefix("$").removeprefix("."), message


def checked_inputs(schema: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run with the defaults of what was left out. Raises InvalidInput when they do not fit."""
    defaults = {
        name: entry["default"]
        for name, entry in declared_inputs(schema).items()
        if isinstance(entry, dict) and "default" in entry
    }
    given = {**defaults, **inputs}
    if schema and (error := value_error(dict(schema), given)):
        message = f"The inputs do not fit the workflow: {error}"
        raise InvalidInput(message, errors=[{"path": "inputs", "message": error}])
    return given


def declared_inputs(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The inputs that a schema of inputs names, with what it says of each."""
    declared = (schema or {}).get("properties")
    return declared if isinstance(declared, dict) else {}


@lru_cache(maxsize=2048)
def _hints(func: Callable[..., Any]) -> dict[str, Any]:
    target = inspect.unwrap(func)
    try:
        return typing.get_type_hints(target)
    except Exception:  # an annotation may name anything at all; an unresolvable one means "any value"
        return {}


def _described_parameters(doc: str) -> dict[str, str]:
    """`name: text` lines below an `Args:` heading of a docstring."""
    _, heading, rest = doc.partition("Args:")
    found: dict[str, str] = {}
    for line in rest.splitlines() if heading else ():
        name, colon, text = line.strip().partition(":")
        if colon and name.isidentifier():
            found[name] = text.strip()
    return found


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))
