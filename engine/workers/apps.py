"""Gives the engine its wire: committed work is published through Celery."""

from __future__ import annotations

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "engine.workers"
    label = "engine_workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        from engine.runs import hooks
        from engine.workers.publisher import publisher

        hooks.dispatch = publisher.dispatch
