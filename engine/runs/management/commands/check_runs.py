"""manage.py check_runs: does everything that must hold of runs hold? Reads only; exit code 1 with findings."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from engine.runs.invariants import check_all
from engine.runs.models import Run
from engine.runs.workflows import as_uuid


class Command(BaseCommand):
    help = "Check the invariants of all runs, or of those named. Best while nothing moves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("runs", nargs="*", help="ids of runs; all when none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Run.objects.all()
        if options["runs"]:
            rows = rows.filter(public_id__in=[found for text in options["runs"] if (found := as_uuid(text))])
        ids = list(rows.values_list("pk", flat=True))
        findings = list(check_all(ids))
        for finding in findings:
            self.stderr.write(str(finding))
        self.stdout.write(f"{len(ids)} runs checked, {len(findings)} findings.")
        if findings:
            sys.exit(1)
