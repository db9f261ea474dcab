"""`manage.py up`: start everything. manage.py goes to the launcher directly; this makes the command known to Django."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from graflow_site import launcher


class Command(BaseCommand):
    help = "Start Redis, the database, the site, workers and engine, and keep them running; Ctrl-C stops them."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        launcher.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(launcher.run(mode=options["mode"], check=options["check"]))
