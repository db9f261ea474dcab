"""Keys for the REST API and sockets: made once, shown once, stored as a hash."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from engine.access import audit
from engine.access.actors import Actor
from engine.access.models import ApiToken

_MARK = "gfl_"  # lets secret scanners recognise a leaked key
_PREFIX_LENGTH = 10
_NOTE_USE_EVERY = timedelta(minutes=1)


def create(user: User, label: str, *, by: Actor | None = None) -> str:
    """A new key for `user`. This is the only time it can be read."""
    plain = _MARK + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, label=label.strip()[:100] or "token", prefix=plain[:_PREFIX_LENGTH], digest=_digest(plain)
        )
        audit.write(by or user, "token.create", "token", token.pk, {"user": user.username, "label": token.label})
    return plain


def authenticate(plain: str) -> User | None:
    """The active person this key belongs to, or None."""
    token = (
        ApiToken.objects.select_related("user")
        .filter(digest=_digest(plain), revoked_at=None, user__is_active=True)
        .first()
    )
    if token is None:
        return None
    now = timezone.now()
    # One write a minute at most: a key in steady use must not turn every read into a write.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _NOTE_USE_EVERY)
    if token.last_used_at is None or token.last_used_at < now - _NOTE_USE_EVERY:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token.user


def is_live(plain: str) -> bool:
    """Does the key still open anything? Asked again by long-lived sockets."""
    return ApiToken.objects.filter(digest=_digest(plain), revoked_at=None, user__is_active=True).exists()


def revoke(user: User, token_id: int) -> bool:
    """Make one of the person's own keys useless. False when there is no such live key."""
    with transaction.atomic():
        changed = ApiToken.objects.filter(pk=token_id, user=user, revoked_at=None).update(revoked_at=timezone.now())
        if changed:
            audit.write(user, "token.revoke", "token", token_id, {"user": user.username})
    return bool(changed)


def _digest(plain: str) -> str:
    # A fast hash is right here: the key holds 256 random bits, so there is nothing to guess.
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()
