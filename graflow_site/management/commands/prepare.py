"""`manage.py prepare`: bring the database up to date; safe to repeat. The launcher reads the last line of output."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.urls import reverse

from engine.access import setup_token
from engine.runs.models import WorkflowDefinition

EXAMPLE_TASKS = "graflow_site.demo"


class Command(BaseCommand):
    help = "Create or update the tables, install the examples once, and print the way to the first login as JSON."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        token = setup_token.issue()
        # Without an account the first start is not over, so one that was interrupted is completed here.
        is_first = token is not None or not WorkflowDefinition.objects.exists()
        if is_first and EXAMPLE_TASKS in settings.GRAFLOW_TASK_MODULES:
            call_command("install_examples", stdout=sys.stderr)
        path = reverse("setup", kwargs={"token": token}) if token else None
        self.stdout.write(json.dumps({"setup_path": path}))
