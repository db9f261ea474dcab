"""Accounts for tests: `person("ann", "designer")`."""

from __future__ import annotations

from functools import cache

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User

PASSWORD = "correct horse battery"


def person(name: str = "ann", *roles: str, groups: tuple[str, ...] = ()) -> User:
    user = User.objects.create(username=name, password=_hashed())
    user.groups.set(Group.objects.filter(name__in=roles))
    for group in groups:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    # A fresh object: the roles are read once per object.
    return User.objects.get(pk=user.pk)


@cache
def _hashed() -> str:
    """Once for all: to be slow is the point of a password's hash."""
    return make_password(PASSWORD)
