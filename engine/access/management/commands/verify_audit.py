"""Check the audit chain; exits 1 and names every entry that does not hold."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engine.access import audit
from engine.access.models import AuditEntry


class Command(BaseCommand):
    help = "Verify that no audit entry was changed, removed or inserted."

    def handle(self, *_: Any, **__: Any) -> None:
        flaws = audit.verify()
        for flaw in flaws:
            self.stderr.write(f"Entry {flaw.entry_id}: {flaw.message}.")
        if flaws:
            raise CommandError(f"The audit log does not hold in {len(flaws)} place(s).")
        self.stdout.write(self.style.SUCCESS(f"{AuditEntry.objects.count()} entries, all in place."))
