"""Expressions of definitions: CEL through its official runtime, without macros and regular expressions.

Bounded in length, nesting and number of parts, so that the cost of one evaluation is linear in its text.
A name that is missing is an error, never silently false.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from engine.core.errors import ExpressionError

MAX_LENGTH = 2_000
MAX_PARTS = 200
MAX_DEPTH = 16
RESERVED = frozenset({
    "inputs", "tasks", "channels", "iteration", "result", "in", "as", "break", "const", "continue", "else", "for",
    "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while", "true",
    "false", "null", "int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "size", "has", "dyn",
})  # fmt: skip
_STRING = re.compile(r"""[rRbB]{0,2}("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|&&|\|\||[<>=!]=|[^\s\w]")
_FORBIDDEN = re.compile(r"\.\s*(all|exists|exists_one|map|filter|matches)\s*\(|\bmatches\s*\(")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_VARIABLE = re.compile(r"(?<![\w.])[A-Za-z_]\w*")  # not a field, which follows a dot


class Expression:
    """A compiled expression. `names` are the variables it reads: what its caller must bring."""

    __slots__ = ("_compiled", "names", "source")

    def __init__(self, source: str, task_ids: Iterable[str] = ()) -> None:
        """Raises ExpressionError when `source` is no valid expression over `task_ids` and the fixed names."""
        self.source = source
        self.names = _check(source, frozenset(task_ids))
        self._compiled = _compile(source, self.names)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value, as plain JSON data. Raises ExpressionError."""
        data = {name: scope[name] for name in self.names if name in scope}
        missing = self.names - data.keys()
        if missing:
            raise ExpressionError(self.source, f"there is no result yet for {', '.join(sorted(missing))}")
        try:
            value = self._eval(data)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ExpressionError(self.source, str(error)) from None
        if value.type() == cel.Type.ERROR:
            raise ExpressionError(self.source, str(value.value()))
        plain = value.plain_value()
        return _ordered(plain, _meant(self.source, data)) if isinstance(plain, (dict, list)) else plain

    def _eval(self, data: dict[str, Any]) -> Any:
        value = self._compiled.eval(data=data)
        if value.type() == cel.Type.ERROR and "Non-CEL value type" in str(value.value()):
            value = self._compiled.eval(data=_with_lists(data))  # only now: JSON data needs no second look
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.source, tuple(self.names))


def _meant(source: str, data: Mapping[str, Any]) -> Any:
    """What an expression that only names a place refers to; None for every other one."""
    found: Any = data
    for name in map(str.strip, source.split(".")):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _ordered(value: Any, like: Any) -> Any:
    """`value` with the keys in the order of `like`, or of the alphabet. CEL hands a map back in an order that differs
    from process to process, and people would see the fields of one question in another order than those of the next.
    """
    if isinstance(value, list):
        likes = like if isinstance(like, (list, tuple)) and len(like) == len(value) else [None] * len(value)
        return [_ordered(item, beside) for item, beside in zip(value, likes, strict=True)]
    if not isinstance(value, dict):
        return value
    same = isinstance(like, dict) and like.keys() == value.keys()
    return {
        key: _ordered(value[key], like[key] if same else None) for key in (like if same else sorted(value, key=str))
    }


def _with_lists(value: Any) -> Any:
    """`value` with its tuples and sets as lists, as they are read from JSON."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_with_lists(item) for item in value]
    return value


def _check(source: str, task_ids: frozenset[str]) -> frozenset[str]:
    if not isinstance(source, str) or not source.strip():
        raise ExpressionError(str(source), "is empty")
    if len(source) > MAX_LENGTH:
        raise ExpressionError(source, f"has {len(source)} characters; at most {MAX_LENGTH} are allowed")
    bare = _STRING.sub("''", source)
    tokens = _TOKEN.findall(bare)
    if len(tokens) > MAX_PARTS:
        raise ExpressionError(source, f"has {len(tokens)} parts; at most {MAX_PARTS} are allowed")
    depth = deepest = 0
    for part in tokens:
        depth += (part in "([{") - (part in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ExpressionError(source, f"is nested {deepest} deep; at most {MAX_DEPTH} is allowed")
    if forbidden := _FORBIDDEN.search(bare):
        raise ExpressionError(source, f"{forbidden.group().strip('. (')!r} is not available in expressions")
    known = task_ids | {"inputs", "tasks", "channels", "iteration", "result"}
    return frozenset(name for name in _VARIABLE.findall(re.sub(r"\s*\.\s*", ".", bare)) if name in known)


@lru_cache(maxsize=4096)
def _compile(source: str, names: frozenset[str]) -> cel.Expression:
    try:
        return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN)).compile(source)
    except RuntimeError as error:
        lines = str(error).removeprefix("INVALID_ARGUMENT: ").splitlines()
        raise ExpressionError(source, lines[0].removeprefix("ERROR: ").replace("<input>:", "at ")) from None


def is_identifier(task_id: str) -> bool:
    """Whether a task's result can be read by its bare id; other ids are read as `tasks["the-id"]`."""
    return bool(_IDENTIFIER.fullmatch(task_id)) and task_id not in RESERVED


def resolve(value: Any, scope: Mapping[str, Any], task_ids: Iterable[str] = ()) -> Any:
    """`value` with every `{"$": "expression"}` in it replaced by what the expression gives."""
    if isinstance(value, Expression):
        return value.evaluate(scope)
    if isinstance(value, dict):
        if value.keys() == {"$"}:
            return Expression(value["$"], task_ids).evaluate(scope)
        return {key: resolve(item, scope, task_ids) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, scope, task_ids) for item in value]
    return value


def prepare(value: Any, task_ids: Iterable[str]) -> Any:
    """`value` with every `{"$": "expression"}` compiled, so that `resolve` need not."""
    if isinstance(value, dict):
        if value.keys() == {"$"}:
            return Expression(value["$"], task_ids)
        return {key: prepare(item, task_ids) for key, item in value.items()}
    if isinstance(value, list):
        return [prepare(item, task_ids) for item in value]
    return value
