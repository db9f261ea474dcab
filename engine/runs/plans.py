"""Plans of published versions, compiled once per process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

from engine.core import registry
from engine.core.compile import compile as compile_plan
from engine.core.errors import DefinitionError, WorkflowStateError
from engine.core.plan import Plan
from engine.core.task import TaskWrapper
from engine.runs.models import WorkflowVersion

KEPT = 500
_SETTINGS = ("max_cycle", "max_retries", "retry_delay", "backoff", "timeout", "converge", "join", "queue")
_lock = Lock()
_plans: OrderedDict[int, Plan] = OrderedDict()


def plan_of(version_id: int) -> Plan:
    """The plan of a version. A version never changes, so neither does its plan."""
    with _lock:
        known = _plans.get(version_id)
        if known is not None:
            _plans.move_to_end(version_id)
            return known
    plan = _compiled(document_of(version_id))
    with _lock:
        _plans[version_id] = plan
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return plan


def _compiled(document: dict[str, Any]) -> Plan:
    """A run must stay stoppable when a task it names is gone from the code: such a task is only filled in."""
    try:
        return compile_plan(document, published=True)
    except DefinitionError:
        named = {task["uses"] for task in document["tasks"] if isinstance(task.get("uses"), str)}
        gone = named - registry.tasks().keys()
        if not gone:
            raise
        return compile_plan(document, {name: _gone(name) for name in gone}, published=True)


def _gone(name: str) -> TaskWrapper:
    """A task in name only. Made without its constructor, which would offer it to everybody."""

    def missing(**_: Any) -> None:
        raise WorkflowStateError(f"There is no function {name!r} any more.")

    wrapper = TaskWrapper.__new__(TaskWrapper)
    wrapper.__dict__.update(dict.fromkeys(_SETTINGS), _name=name, func=missing, retry_on=Exception, priority=0)
    wrapper.__dict__.update(on_max_cycle="stop", on_error="fail")
    return wrapper


def document_of(version_id: int) -> dict[str, Any]:
    """The definition document of a version."""
    document: dict[str, Any] = WorkflowVersion.objects.values_list("spec", flat=True).get(pk=version_id)
    return document


def forget() -> None:
    """Empty the cache; for tests, whose databases count from 1 again."""
    with _lock:
        _plans.clear()
