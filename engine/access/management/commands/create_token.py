"""Make an API token for an account and print it, alone on its line, once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from engine.access import audit, tokens
from engine.access.actors import SYSTEM


class Command(BaseCommand):
    help = "Print a new API token for an account. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--label", default="command line")

    def handle(self, *_: Any, name: str, label: str, **__: Any) -> None:
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no account named {name!r}. Create it with: manage.py create_account {name}")
        with audit.acting_via("command"):
            self.stdout.write(tokens.create(user, label, by=SYSTEM))
