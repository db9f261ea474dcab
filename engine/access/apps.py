"""Keeps the five roles present and writes logins into the audit log."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccessConfig(AppConfig):
    name = "engine.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Access"

    def ready(self) -> None:
        from engine.access import signals  # the models it needs load only after the registry is ready

        signals.connect()
        post_migrate.connect(signals.ensure_roles, sender=self, dispatch_uid="access.roles")
