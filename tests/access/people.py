"""Accounts for tests: `person("ann", "designer")`."""

from __future__ import annotations

from django.contrib.auth.models import Group, User

PASSWORD = "correct horse battery"


def person(name: str = "ann", *roles: str, groups: tuple[str, ...] = ()) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    user.groups.set(Group.objects.filter(name__in=roles))
    for group in groups:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    # A fresh object: the roles are read once per object.
    return User.objects.get(pk=user.pk)
