"""Connects the engine's announcements, and changes of people's rights, to the sockets."""

from __future__ import annotations

from django.apps import AppConfig


class LiveConfig(AppConfig):
    name = "engine.live"
    label = "engine_live"
    verbose_name = "Live updates"

    def ready(self) -> None:
        from engine.access.signals import rights_changed
        from engine.live import announce
        from engine.runs import hooks

        hooks.announce = announce.hint
        rights_changed.connect(announce.rights, dispatch_uid="live.rights")
