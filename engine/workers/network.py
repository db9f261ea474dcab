"""What this site lets workflows call, read from its settings; the function behind steps of kind http."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from engine.core.task import TaskWrapper
from engine.execution.http_policy import HttpPolicy
from engine.execution.http_step import http_task, is_http, masked

_NAME = "http"


def policy() -> HttpPolicy:
    return HttpPolicy(
        hosts=tuple(settings.GRAFLOW_HTTP_HOSTS), ports=tuple(settings.GRAFLOW_HTTP_PORTS),
        allow_private=tuple(settings.GRAFLOW_HTTP_ALLOW_PRIVATE), own_names=tuple(settings.GRAFLOW_OWN_NAMES),
    )  # fmt: skip


def task() -> TaskWrapper:
    return http_task(policy(), _NAME)


def shown(wrapper: TaskWrapper, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call as people may see them."""
    return masked(arguments) if is_http(wrapper) else arguments
