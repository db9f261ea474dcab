"""Django app of the REST API; it has no models."""

from __future__ import annotations

from django.apps import AppConfig


class RestConfig(AppConfig):
    name = "engine.rest"
    label = "engine_rest"
    verbose_name = "REST API"

    def ready(self) -> None:
        from engine.rest import openapi  # noqa: F401  registers the token scheme with the schema generator
