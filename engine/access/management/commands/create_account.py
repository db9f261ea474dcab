"""Create an account from the console: `create_account NAME --roles designer,operator [--password-stdin]`."""

from __future__ import annotations

import getpass
import secrets
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engine.access import accounts, audit
from engine.access.policy import ROLES
from engine.core.errors import RequestError


class Command(BaseCommand):
    help = "Create an account with roles. Without a terminal and without --password-stdin a password is made up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--roles", default="viewer", help=f"comma-separated: {', '.join(ROLES)}")
        parser.add_argument("--email", default="")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    def handle(self, *_: Any, name: str, roles: str, email: str, password_stdin: bool, **__: Any) -> None:
        password, made_up = _password(password_stdin)
        try:
            with audit.acting_via("command"):
                user = accounts.create(name, roles.split(","), password=password, email=email)
        except RequestError as refused:
            raise CommandError(str(refused)) from None
        held = ", ".join(sorted(user.groups.values_list("name", flat=True))) or "no role"
        self.stdout.write(self.style.SUCCESS(f"Account {name!r} created ({held})."))
        if made_up:
            self.stdout.write(f"Password, shown this once: {password}")


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made up here."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if not sys.stdin.isatty():
        return secrets.token_urlsafe(15), True
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("The two passwords differ; nothing was created.")
    return password, False
