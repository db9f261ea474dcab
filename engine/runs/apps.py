"""Loads the site's tasks, so that every process knows the same names."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules


class RunsConfig(AppConfig):
    name = "engine.runs"
    label = "engine"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Runs"

    def ready(self) -> None:
        from engine.runs import checks, children, hooks  # noqa: F401  registers the system checks

        hooks.follow = children.follow
        autodiscover_modules("tasks")
        for name in getattr(settings, "GRAFLOW_TASK_MODULES", ()):
            try:
                import_module(name)
            except ModuleNotFoundError as missing:
                raise ImproperlyConfigured(
                    f"GRAFLOW_TASK_MODULES names {name!r}, which cannot be imported: {missing}."
                ) from None
