"""What Django tells us about people: logins for the audit log, changed rights for open sockets."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import Signal
from django.http import HttpRequest

from engine.access import audit
from engine.access.actors import SYSTEM
from engine.access.policy import ROLES

rights_changed = Signal()
"""Sent with `user_id` after a logout, a password change, a role change or a deactivation."""


def connect() -> None:
    user_logged_in.connect(_logged_in, dispatch_uid="access.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="access.logged_out")
    user_login_failed.connect(_login_failed, dispatch_uid="access.login_failed")
    m2m_changed.connect(_groups_changed, sender=User.groups.through, dispatch_uid="access.groups")
    post_save.connect(_user_saved, sender=User, dispatch_uid="access.user_saved")


def ensure_roles(sender: AppConfig, using: str = "default", **_: Any) -> None:
    """The five groups must exist after every migrate, also after a flush of all tables."""
    for name in ROLES:
        Group.objects.using(using).get_or_create(name=name)


def _logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    audit.write(user, "login", "user", user.pk, request=request)


def _logged_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is None:
        return
    audit.write(user, "logout", "user", user.pk, request=request)
    rights_changed.send(User, user_id=user.pk)


def _login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    audit.write(SYSTEM, "login.failed", "user", str(credentials.get("username", ""))[:100], request=request)


def _groups_changed(instance: User | Group, action: str, pk_set: set[int] | None, reverse: bool, **_: Any) -> None:
    if action not in ("post_add", "post_remove", "post_clear"):
        return
    if isinstance(instance, User):
        instance.__dict__.pop("_group_names", None)
        _note_roles(instance)
        rights_changed.send(User, user_id=instance.pk)
        return
    for user_id in pk_set or ():
        rights_changed.send(User, user_id=user_id)


def _note_roles(user: User) -> None:
    groups = sorted(user.groups.values_list("name", flat=True))
    audit.write(SYSTEM, "account.groups", "user", user.pk, {"username": user.username, "groups": groups})


def _user_saved(instance: User, created: bool, update_fields: frozenset[str] | None, **_: Any) -> None:
    # Every login saves `last_login` alone; that changes nobody's rights.
    if created or update_fields == frozenset({"last_login"}):
        return
    rights_changed.send(User, user_id=instance.pk)
