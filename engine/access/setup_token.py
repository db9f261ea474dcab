"""The way to the first login: a link for the console, good once and for half an hour.

There is no default password. As soon as any account exists the link opens nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from engine.access import accounts
from engine.access.models import SetupToken
from engine.access.policy import ROLES
from engine.core.errors import Gone

VALID_FOR = timedelta(minutes=30)


def issue() -> str | None:
    """A new token for `/setup/<token>/`, which replaces any older one; None once an account exists."""
    if User.objects.exists():
        return None
    plain = secrets.token_urlsafe(24)
    with transaction.atomic():
        SetupToken.objects.all().delete()
        SetupToken.objects.create(digest=_digest(plain), expires_at=timezone.now() + VALID_FOR)
    return plain


def is_valid(plain: str) -> bool:
    return SetupToken.objects.filter(digest=_digest(plain), expires_at__gt=timezone.now()).exists() and (
        not User.objects.exists()
    )


def redeem(plain: str, username: str, password: str) -> User:
    """Create the first administrator, with all five roles. Raises Gone when the link is used, old or needless."""
    with transaction.atomic():
        # The row is the lock: of two visitors with the same link one finds it gone.
        row = SetupToken.objects.select_for_update().filter(digest=_digest(plain)).first()
        if row is None or row.expires_at <= timezone.now() or User.objects.exists():
            raise Gone(
                "This setup link is used or has expired. Restart the site for a new one.", code="setup_link_gone"
            )
        user = accounts.create(username, ROLES, password=password)
        SetupToken.objects.all().delete()
    return user


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
