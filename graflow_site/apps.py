"""What is done when all of the site is loaded."""

from __future__ import annotations

import gc

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "graflow_site"
    label = "graflow_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from graflow_site import celery  # noqa: F401  the application becomes current by being made

        gc.freeze()  # what is loaded stays, also in the pages that a worker shares with its children
        gc.enable()
