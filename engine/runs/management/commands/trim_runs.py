"""manage.py trim_runs: archive and delete what has been kept long enough. The engine process does the same each hour."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.runs import retention
from engine.runs.models import Run


class Command(BaseCommand):
    help = "Write the histories of runs that ended long ago to files, and delete them from the database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, help="instead of GRAFLOW_RETENTION_DAYS")
        parser.add_argument("--dry-run", action="store_true", help="say which runs are due, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        days: int | None = options["days"]
        if days is not None and days < 1:
            raise CommandError(f"--days {days}: expected 1 or more, for example --days 30.")
        if options["dry_run"]:
            for run in Run.objects.filter(pk__in=retention.due(days, limit=1_000)).order_by("ended_at"):
                self.stdout.write(f"{run.public_id} ended {run.ended_at:%Y-%m-%d %H:%M}")
            return
        runs = rows = 0
        while found := retention.due(days):
            gone = sum(retention.trim(run_id) for run_id in found)
            if not gone and retention.due(days) == found:
                raise CommandError("Another process is trimming at this moment, and goes on with what is left.")
            rows += gone
            runs += len(found)
        rows += retention.sweep()
        self.stdout.write(f"{runs} runs trimmed, {rows} rows deleted.")
