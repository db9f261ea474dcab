"""Who acts: a person with an account, or the engine itself. No Django here, so that every room may import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser


class SystemActor:
    """The engine acting for itself: timers, repairs, commands on the console. It may do everything."""

    pk: int | None = None
    is_active = True
    is_authenticated = True
    is_anonymous = False
    is_superuser = False

    def get_username(self) -> str:
        return "system"

    def __str__(self) -> str:
        return "system"


SYSTEM = SystemActor()

Actor: TypeAlias = "AbstractBaseUser | AnonymousUser | SystemActor"
