"""Makes the site's Celery application the current one wherever Django runs."""

from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "graflow_site"
    label = "graflow_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from graflow_site import celery  # noqa: F401  the application becomes current by being made
