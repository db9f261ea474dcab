"""Plans of published versions, compiled once per process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

from engine.core.compile import compile as compile_plan
from engine.core.plan import Plan
from engine.runs.models import WorkflowVersion

KEPT = 500
_lock = Lock()
_plans: OrderedDict[int, Plan] = OrderedDict()


def plan_of(version_id: int) -> Plan:
    """The plan of a version. A version never changes, so neither does its plan."""
    with _lock:
        known = _plans.get(version_id)
        if known is not None:
            _plans.move_to_end(version_id)
            return known
    plan = compile_plan(document_of(version_id))
    with _lock:
        _plans[version_id] = plan
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return plan


def document_of(version_id: int) -> dict[str, Any]:
    """The definition document of a version."""
    document: dict[str, Any] = WorkflowVersion.objects.values_list("spec", flat=True).get(pk=version_id)
    return document


def forget() -> None:
    """Empty the cache; for tests, whose databases count from 1 again."""
    with _lock:
        _plans.clear()
