"""The definition document `graflow/1`: one JSON form for Python, REST and editor.

This module knows its shape: which keys exist, what they may hold, how a document is read and written.
What the shape means is checked in `compile`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import Problem, WorkflowStateError
from engine.core.feedback import ON_REJECT, ON_TIMEOUT

SCHEMA_NAME = "graflow/1"
MAX_TASKS, MAX_EDGES, MAX_LOOPS, MAX_NAME = 2_000, 10_000, 50, 100
MAX_DEADLINE = 10 * 365 * 24 * 3600  # seconds
MAX_NESTING = 5
"""How deep loops may lie within loops."""
MAX_BYTES = 1_000_000
"""Of a document as JSON."""
MAX_SLUG = 120
MAX_RECIPIENTS = 100
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
EDGE_ON = ("success", "error", "rejected", "skipped", "always")
POLICIES = ("strict", "best_effort")

Check = Callable[[Any], str | None]
"""What is wrong with a value, in words that follow the value; None when it fits."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of the document: its JSON Schema and its check in plain Python (the schema's fast twin)."""

    schema: dict[str, Any]
    check: Check


def _typed(
    kind: type | tuple[type, ...], words: str, schema: dict[str, Any], accept: Callable[[Any], bool] = lambda _: True
) -> Field:
    def check(value: Any) -> str | None:
        fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool) and accept(value)
        return None if fits else words

    return Field(schema, check)


def _one_of(*options: str) -> Field:
    words = f"must be one of {', '.join(repr(option) for option in options)}"
    return Field({"enum": list(options)}, lambda value: None if isinstance(value, str) and value in options else words)


def _join_check(value: Any) -> str | None:
    if value is None or value in ("all_done", "all", "any"):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return None
    return "must be 'all_done', 'all', 'any' or a whole number from 1"


def _policy_check(value: Any) -> str | None:
    if value in POLICIES:
        return None
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        if key == "at_least" and isinstance(inner, int) and not isinstance(inner, bool) and inner >= 1:
            return None
        if key == "critical" and isinstance(inner, list) and inner and all(isinstance(name, str) for name in inner):
            return None
    return "must be 'strict', 'best_effort', {'at_least': n} or {'critical': [ids]}"


def _converge_check(value: Any) -> str | None:
    words = "must be a tolerance above 0, or {'tolerance': …, 'value': expression, 'patience': n}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return None if value > 0 else words
    if not isinstance(value, dict) or not value.keys() <= {"tolerance", "value", "patience"}:
        return words
    tolerance, patience, source = value.get("tolerance", 1e-6), value.get("patience", 1), value.get("value", "x")
    fits = (
        isinstance(tolerance, (int, float)) and tolerance > 0 and isinstance(patience, int) and patience >= 1
        and isinstance(source, (str, dict))
    )  # fmt: skip
    return None if fits else words


def _is_words(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and value.keys() == {"$"} and isinstance(value["$"], str))


def _begins_as_url(text: str) -> bool:
    return text[:8].lower().startswith(("https://", "http://"))


_TEXT = _typed(str, "must be text", {"type": "string"})
_NAME = _typed(
    str,
    f"must be text of 1 to {MAX_NAME} characters",
    {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
    lambda v: 0 < len(v) <= MAX_NAME,
)
_OBJECT = _typed(dict, "must be an object", {"type": "object"})
_LIST = _typed(list, "must be a list", {"type": "array"})
_STRINGS = _typed(
    list,
    "must be a list of texts",
    {"type": "array", "items": {"type": "string"}},
    lambda v: all(isinstance(i, str) for i in v),
)
_BOOL = _typed(bool, "must be true or false", {"type": "boolean"})
_COUNT = _typed(int, "must be a whole number from 0", {"type": "integer", "minimum": 0}, lambda v: v >= 0)
_CYCLES = _typed(
    int,
    "must be a whole number from 0 (no limit) to 10000",
    {"type": "integer", "minimum": 0, "maximum": 10000},
    lambda v: 0 <= v <= 10_000,
)
_WHOLE = _typed(int, "must be a whole number", {"type": "integer"})
_SECONDS = _typed(
    (int, float), "must be a number of seconds from 0", {"type": "number", "minimum": 0}, lambda v: v >= 0
)
_LIMIT = _typed(
    (int, float),
    f"must be a number of seconds above 0, at most {MAX_DEADLINE}",
    {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_DEADLINE},
    lambda v: 0 < v <= MAX_DEADLINE,
)
_FACTOR = _typed((int, float), "must be a number from 1", {"type": "number", "minimum": 1}, lambda v: v >= 1)
_ANY = Field({}, lambda _: None)
_EXPRESSION = Field(
    {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"$": {"type": "string"}}, "required": ["$"]}]},
    lambda v: (
        None
        if isinstance(v, str) or (isinstance(v, dict) and v.keys() == {"$"} and isinstance(v["$"], str))
        else "must be an expression"
    ),
)
_DURATION = Field(
    {"anyOf": [{"type": "number", "minimum": 0}, {"type": "object", "properties": {"$": {"type": "string"}}}]},
    lambda v: None if _EXPRESSION.check(v) is None and isinstance(v, dict) else _SECONDS.check(v),
)
_EXPRESSION_SCHEMA = {"type": "object", "properties": {"$": {"type": "string"}}, "required": ["$"]}
_WORDS = Field(
    {"anyOf": [{"type": "string"}, _EXPRESSION_SCHEMA]},
    lambda v: None if _is_words(v) else "must be text or an expression",
)
_URL = Field(
    {"anyOf": [{"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}, _EXPRESSION_SCHEMA]},
    lambda v: (
        None
        if _is_words(v) and (isinstance(v, dict) or _begins_as_url(v))
        else "must begin with https:// or http://, or be an expression"
    ),
)
_HEADERS = Field(
    {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, _EXPRESSION_SCHEMA]}},
    lambda v: (
        None if isinstance(v, dict) and all(map(_is_words, v.values())) else "must be an object of texts or expressions"
    ),
)
_CODES = _typed(
    list,
    "must be a list of status codes from 100 to 599",
    {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 100, "maximum": 599}},
    lambda v: bool(v) and all(type(code) is int and 100 <= code <= 599 for code in v),
)
_SLUG = _typed(
    str,
    f"must be the slug of a workflow, 1 to {MAX_SLUG} characters",
    {"type": "string", "minLength": 1, "maxLength": MAX_SLUG},
    lambda v: 0 < len(v) <= MAX_SLUG,
)
_NUMBER = _typed(int, "must be a whole number from 1", {"type": "integer", "minimum": 1}, lambda v: v >= 1)
_RECIPIENTS = _typed(
    list,
    f"must be a list of up to {MAX_RECIPIENTS} mail addresses, user names or 'group:NAME'",
    {"type": "array", "maxItems": MAX_RECIPIENTS, "items": {"type": "string", "minLength": 1}},
    lambda v: len(v) <= MAX_RECIPIENTS and all(isinstance(name, str) and name.strip() for name in v),
)
_JOIN = Field({"anyOf": [{"enum": ["all_done", "all", "any", None]}, {"type": "integer", "minimum": 1}]}, _join_check)
_POLICY = Field(
    {
        "anyOf": [
            {"enum": list(POLICIES)},
            {
                "type": "object",
                "properties": {
                    "at_least": {"type": "integer", "minimum": 1},
                    "critical": {"type": "array", "items": {"type": "string"}},
                },
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    },
    _policy_check,
)
_CONVERGE = Field(
    {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            {
                "type": "object",
                "properties": {
                    "tolerance": {"type": "number"},
                    "value": {},
                    "patience": {"type": "integer", "minimum": 1},
                },
                "additionalProperties": False,
            },
        ]
    },
    _converge_check,
)

TASK_FIELDS: dict[str, Field] = {
    "id": _NAME, "kind": _NAME, "label": _TEXT, "description": _TEXT, "max_cycle": _CYCLES, "max_retries": _COUNT,
    "retry_delay": _SECONDS, "backoff": _FACTOR, "timeout": _SECONDS, "priority": _WHOLE, "queue": _NAME,
    "converge": _CONVERGE, "on_error": _one_of("fail", "ignore"), "on_max_cycle": _one_of("stop", "fail"), "join": _JOIN,
}  # fmt: skip
_HUMAN: dict[str, Field] = {
    "prompt": _TEXT, "data": _ANY, "assignees": _OBJECT, "on_timeout": _one_of(*ON_TIMEOUT), "on_reject": _one_of(*ON_REJECT),
}  # fmt: skip
KIND_FIELDS: dict[str, dict[str, Field]] = {
    "task": {"uses": _NAME, "params": _OBJECT},
    "approval": {**_HUMAN, "editable": _BOOL, "schema": _OBJECT},
    "text": _HUMAN,
    "choice": {**_HUMAN, "options": _STRINGS, "multiple": _BOOL},
    "form": {**_HUMAN, "schema": _OBJECT},
    "branch": {"value": _ANY},
    "transform": {"value": _ANY},
    "delay": {"seconds": _DURATION},
    "map": {"uses": _NAME, "items": _ANY, "parameter": _NAME},
    "http": {
        "method": _one_of(*METHODS), "url": _URL, "headers": _HEADERS, "query": _OBJECT, "body": _ANY, "expect": _CODES,
    },
    "workflow": {"workflow": _SLUG, "version": _NUMBER, "inputs": _OBJECT},
    "notify": {"to": _RECIPIENTS, "subject": _WORDS, "message": _WORDS, "webhook": _NAME},
}  # fmt: skip
KIND_REQUIRED = {
    "task": ("uses",),
    "choice": ("options",),
    "form": ("schema",),
    "transform": ("value",),
    "delay": ("seconds",),
    "map": ("uses", "items"),
    "http": ("url",),
    "workflow": ("workflow",),
    "notify": ("message",),
}
KIND_LABELS = {
    "approval": ("Approval", "Asks a person to approve or reject, and goes on with what was approved."),
    "text": ("Text question", "Asks a person for a text, which becomes the result."),
    "choice": ("Choice", "Asks a person to pick one of the options, or several."),
    "form": ("Form", "Asks a person to fill in fields."),
    "branch": ("Branch", "Passes its input on; conditions on its edges decide where the run goes."),
    "transform": ("Transform", "Computes a value from results and inputs by an expression."),
    "delay": ("Delay", "Waits for a number of seconds without holding a worker, then passes its input on."),
    "map": ("Map", "Runs a task once per item, side by side, and gives the list of their results."),
    "http": ("HTTP request", "Calls a web service and gives its answer: status, headers and body."),
    "workflow": ("Workflow", "Runs another workflow to its end and gives its result."),
    "notify": ("Notify", "Sends a mail or calls a webhook, then passes its input on."),
}
EDGE_FIELDS: dict[str, Field] = {
    "source": _NAME, "target": _NAME, "on": _one_of(*EDGE_ON), "when": _EXPRESSION, "loop": _BOOL, "converge": _CONVERGE, "label": _TEXT,
}  # fmt: skip
GROUP_FIELDS: dict[str, Field] = {"id": _NAME, "members": _STRINGS, "policy": _POLICY, "label": _TEXT}
DEFAULT_FIELDS: dict[str, Field] = {
    "max_cycle": _CYCLES, "max_retries": _COUNT, "retry_delay": _SECONDS, "backoff": _FACTOR,
    "on_error": _one_of("continue", "stop"), "execution_mode": _one_of("sequential", "parallel"), "deadline": _LIMIT,
}  # fmt: skip
TOP_FIELDS: dict[str, Field] = {
    "schema": _one_of(SCHEMA_NAME), "name": _NAME, "description": _TEXT, "inputs": _OBJECT, "defaults": _OBJECT,
    "tasks": _LIST, "edges": _LIST, "groups": _LIST, "layout": _OBJECT,
}  # fmt: skip


@dataclass(slots=True)
class Node:
    """One task as an author wrote it. `given` holds the keys of TASK_FIELDS that were set, `settings` those
    of its kind; `task` is the TaskWrapper where it was made in Python.
    """

    id: str
    kind: str = "task"
    given: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    task: Any = None

    @property
    def uses(self) -> str | None:
        return self.settings.get("uses")

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, **self.settings, **self.given}


@dataclass(slots=True)
class Link:
    """One edge as an author drew it. `source` and `target` are ids of tasks or groups."""

    source: str
    target: str
    given: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source, "target": self.target, **self.given}


@dataclass(slots=True)
class Group:
    id: str
    members: list[str]
    policy: Any = "strict"
    label: str = ""

    def as_dict(self) -> dict[str, Any]:
        label = {"label": self.label} if self.label else {}
        return {"id": self.id, "members": list(self.members), "policy": self.policy, **label}


@dataclass(slots=True)
class Definition:
    """A whole workflow as an author wrote it; well-formed, not yet checked for meaning."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    inputs: dict[str, Any] | None = None
    layout: dict[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """The JSON document; `parse` reads it back."""
        return {
            "schema": SCHEMA_NAME,
            "name": self.name,
            "description": self.description,
            **({"inputs": self.inputs} if self.inputs is not None else {}),
            "defaults": dict(self.defaults),
            "tasks": [node.as_dict() for node in self.nodes],
            "edges": [link.as_dict() for link in self.links],
            "groups": [group.as_dict() for group in self.groups],
            "layout": dict(self.layout),
        }


def parse(document: Any) -> tuple[Definition, list[Problem]]:
    """The definition in `document`, and everything that is wrong with its form, in document order."""
    if not isinstance(document, dict):
        return Definition("?"), [_problem("wrong_type", "the document must be an object", "")]
    found: list[Problem] = []
    _check_keys(document, TOP_FIELDS, ("schema", "name", "tasks"), "", found)
    definition = Definition(
        name=document["name"] if isinstance(document.get("name"), str) else "?",
        description=_as(str, document.get("description"), ""),
        inputs=_as(dict, document.get("inputs"), None),
        defaults=_as(dict, document.get("defaults"), {}),
        layout=_as(dict, document.get("layout"), {}),
    )
    _check_keys(definition.defaults, DEFAULT_FIELDS, (), "defaults", found)
    for index, raw in enumerate(_as(list, document.get("tasks"), [])):
        if (node := _parse_task(raw, f"tasks[{index}]", found)) is not None:
            definition.nodes.append(node)
    for index, raw in enumerate(_as(list, document.get("edges"), [])):
        if _is_object(raw, f"edges[{index}]", found):
            _check_keys(raw, EDGE_FIELDS, ("source", "target"), f"edges[{index}]", found)
            given = {key: value for key, value in raw.items() if key not in ("source", "target")}
            definition.links.append(Link(str(raw.get("source", "")), str(raw.get("target", "")), given))
    for index, raw in enumerate(_as(list, document.get("groups"), [])):
        if _is_object(raw, f"groups[{index}]", found):
            _check_keys(raw, GROUP_FIELDS, ("id", "members"), f"groups[{index}]", found)
            members = [name for name in _as(list, raw.get("members"), []) if isinstance(name, str)]
            definition.groups.append(
                Group(str(raw.get("id", "")), members, raw.get("policy", "strict"), str(raw.get("label", "")))
            )
    _check_sizes(definition, document, found)
    return definition, found


def _parse_task(raw: Any, path: str, found: list[Problem]) -> Node | None:
    if not _is_object(raw, path, found):
        return None
    kind = raw.get("kind", "task")
    fields = KIND_FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        known = ", ".join(KIND_FIELDS)
        found.append(_problem("unknown_kind", f"kind {kind!r} is unknown; use one of: {known}", f"{path}.kind"))
        fields = dict.fromkeys(raw, _ANY)
    _check_keys(raw, {**TASK_FIELDS, **fields}, ("id", *KIND_REQUIRED.get(kind, ())), path, found)
    return Node(
        id=str(raw.get("id", "")),
        kind=str(kind),
        given={key: value for key, value in raw.items() if key in TASK_FIELDS and key not in ("id", "kind")},
        settings={key: value for key, value in raw.items() if key in fields and key not in TASK_FIELDS},
    )


def _check_keys(
    raw: dict[str, Any], fields: dict[str, Field], required: tuple[str, ...], path: str, found: list[Problem]
) -> None:
    prefix = f"{path}." if path else ""
    for key, value in raw.items():
        known = fields.get(key)
        if known is None:
            offered = ", ".join(sorted(fields))
            found.append(_problem("unknown_key", f"{key!r} is not a key here; known are: {offered}", f"{prefix}{key}"))
        elif words := known.check(value):
            found.append(_problem("wrong_value", f"{_short(value)} {words}", f"{prefix}{key}"))
    found.extend(_problem("missing_key", f"{key!r} is missing", f"{prefix}{key}") for key in required if key not in raw)


def check_settings(whose: str, fields: dict[str, Field], given: Mapping[str, Any]) -> None:
    """What Python code sets goes by the rules of documents. Raises WorkflowStateError."""
    for key, value in given.items():
        if words := fields[key].check(value):
            raise WorkflowStateError(f"{whose}: {key}={_short(value)} {words}.")


def _check_sizes(definition: Definition, document: dict[str, Any], found: list[Problem]) -> None:
    if (size := _json_size(document)) > MAX_BYTES:
        found.append(_problem("too_large", f"the document has {size} bytes; at most {MAX_BYTES} are allowed", ""))
    for name, count, most in (("tasks", len(definition.nodes), MAX_TASKS), ("edges", len(definition.links), MAX_EDGES)):
        if count > most:
            found.append(_problem("too_large", f"{count} {name}; at most {most} are allowed", name))


def _json_size(document: dict[str, Any]) -> int:
    """Bytes of the document as compact JSON; what cannot be JSON is a problem of its own place."""
    try:
        return len(
            json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=repr).encode(errors="replace")
        )
    except (TypeError, ValueError, RecursionError):
        return 0


def _is_object(raw: Any, path: str, found: list[Problem]) -> bool:
    if isinstance(raw, dict):
        return True
    found.append(_problem("wrong_type", f"{_short(raw)} must be an object", path))
    return False


def _as(kind: type, value: Any, otherwise: Any) -> Any:
    return value if isinstance(value, kind) else otherwise


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _problem(code: str, message: str, path: str) -> Problem:
    return Problem(code=code, message=message, path=path)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a definition document, made from the same tables that check it."""
    kinds = [
        {
            "type": "object",
            "properties": {
                **{key: item.schema for key, item in {**TASK_FIELDS, **fields}.items()},
                "kind": {"const": kind},
            },
            "required": ["id", *(["kind"] if kind != "task" else []), *KIND_REQUIRED.get(kind, ())],
            "additionalProperties": False,
        }
        for kind, fields in KIND_FIELDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Graflow workflow definition",
        **_object(TOP_FIELDS, ("schema", "name", "tasks")),
        "properties": {
            **{key: item.schema for key, item in TOP_FIELDS.items()},
            "defaults": _object(DEFAULT_FIELDS, ()),
            "tasks": {"type": "array", "maxItems": MAX_TASKS, "items": {"anyOf": kinds}},
            "edges": {"type": "array", "maxItems": MAX_EDGES, "items": _object(EDGE_FIELDS, ("source", "target"))},
            "groups": {"type": "array", "items": _object(GROUP_FIELDS, ("id", "members"))},
        },
    }


def _object(fields: dict[str, Field], required: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: item.schema for key, item in fields.items()},
        "required": list(required),
        "additionalProperties": False,
    }
