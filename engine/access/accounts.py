"""Accounts and their roles, for the setup page and the console. Pages for people are Django's own admin."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from engine.access import audit
from engine.access.actors import SYSTEM, Actor
from engine.access.policy import check_roles
from engine.core.errors import Conflict, InvalidInput


def create(username: str, roles: Iterable[str], *, password: str, email: str = "", by: Actor = SYSTEM) -> User:
    """A new account with these roles; the admin role also opens Django's admin site.

    Raises InvalidInput for a name, role or password that does not do, Conflict for a name that is taken.
    """
    try:
        chosen = check_roles(roles)
        user = User(username=username, email=email, is_staff="admin" in chosen, is_superuser="admin" in chosen)
        User.username_validator(username)
        validate_password(password, user)
    except ValueError as wrong:
        raise InvalidInput(str(wrong)) from None
    except ValidationError as wrong:
        raise InvalidInput(" ".join(wrong.messages)) from None
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            user.groups.set(Group.objects.filter(name__in=chosen))
            audit.write(by, "account.create", "user", user.pk, {"username": username, "roles": chosen})
    except IntegrityError:
        raise Conflict(f"There already is an account named {username!r}.", code="name_taken") from None
    return user
