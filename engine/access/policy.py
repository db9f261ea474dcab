"""May this person do this? One table, default deny, asked by pages, REST, sockets and admin alike.

A person may hold several roles; one that grants is enough. Workflows may be restricted to groups: such a
workflow, its runs, requests and events do not exist (404) for anybody outside those groups, whatever the role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet

from engine.access.actors import Actor, SystemActor
from engine.core.errors import Forbidden, NotFound

ROLES: Final = ("viewer", "reviewer", "designer", "operator", "admin")
ACTIONS: Final = (
    "workflow.view",
    "workflow.edit",
    "workflow.publish",
    "run.view",
    "run.start",
    "run.start_test",
    "run.control",
    "automation.edit",
    "feedback.view",
    "feedback.answer",
    "feedback.reassign",
    "audit.view",
    "monitor.view",
    "admin",
)

Condition = Callable[[Actor, Any], bool]
ModelT = TypeVar("ModelT", bound=Model)


def _always(_user: Actor, _obj: Any) -> bool:
    return True


def _is_test_run(_user: Actor, obj: Any) -> bool:
    return getattr(obj, "mode", None) == "test"


def _is_addressed(user: Actor, obj: Any) -> bool:
    """True for a request that names this person, one of the person's groups, or nobody in particular.

    Without an object the question is "may this person answer anything at all?".
    """
    if obj is None:
        return True
    assignees = getattr(obj, "assignees", None) or {}
    users, groups = assignees.get("users") or [], assignees.get("groups") or []
    if not users and not groups:
        return True
    return user.get_username() in users or bool(group_names(user).intersection(groups))


_SEE: Final[dict[str, Condition]] = {
    "workflow.view": _always,
    "run.view": _always,
    "feedback.view": _always,
}

# Administering does not imply the right to decide: an administrator who reviews is given the reviewer's role.
TABLE: Final[dict[str, dict[str, Condition]]] = {
    "viewer": _SEE,
    "reviewer": {**_SEE, "feedback.answer": _is_addressed},
    "designer": {
        **_SEE,
        "workflow.edit": _always,
        "workflow.publish": _always,
        "run.start_test": _always,
        "run.control": _is_test_run,
    },
    "operator": {
        **_SEE,
        "run.start": _always,
        "run.start_test": _always,
        "run.control": _always,
        "automation.edit": _always,
        "monitor.view": _always,
    },
    "admin": {action: _always for action in ACTIONS if action != "feedback.answer"},
}


def can(user: Actor, action: str, obj: Any = None) -> bool:
    """True when one of the person's roles grants `action` on `obj`, which may be None ("on anything").

    `obj` is a row of a workflow, or of something that belongs to one (see `for_user`). Roles are read once per
    user object, as Django does with permissions: ask with a fresh object where a change must be seen.
    """
    if action not in ACTIONS:
        raise ValueError(f"action={action!r} is unknown; the policy knows: {', '.join(ACTIONS)}.")
    if isinstance(user, SystemActor):
        return True
    if not (user.is_authenticated and user.is_active):
        return False
    if not any(TABLE[role][action](user, obj) for role in roles_of(user) if action in TABLE[role]):
        return False
    return obj is None or is_visible(user, obj)


def require(user: Actor, action: str, obj: Any = None) -> None:
    """Raise Forbidden, or NotFound where even the existence of `obj` is not this person's business."""
    if can(user, action, obj):
        return
    if obj is not None and not is_visible(user, obj):
        raise NotFound("There is no such object, or it is not open to you.")
    needed = ", ".join(roles_granting(action))
    raise Forbidden(
        f"{user.get_username() or 'You'} may not do this ({action}). It takes one of the roles: {needed}.",
        action=action,
    )


def for_user(user: Actor, queryset: QuerySet[ModelT]) -> QuerySet[ModelT]:
    """The rows open to this person.

    A model says where its workflow stands by `workflow_path`, a lookup such as "version__definition"; the
    workflow itself has an empty one and a relation `allowed_groups` (no group: open to every role).
    """
    if isinstance(user, SystemActor):
        return queryset
    if not (user.is_authenticated and user.is_active and roles_of(user)):
        return queryset.none()
    path = getattr(queryset.model, "workflow_path", "")
    hidden = _hidden_workflows(user, _workflow_model(queryset.model, path))
    return queryset.exclude(**{f"{path or 'pk'}__in": hidden}) if hidden else queryset


def is_visible(user: Actor, obj: Any) -> bool:
    """False when `obj` belongs to a workflow restricted to groups that this person is not in."""
    if isinstance(user, SystemActor):
        return True
    workflow = _workflow_of(obj)
    if workflow is None:
        return True
    allowed = {group.name for group in workflow.allowed_groups.all()}
    return not allowed or bool(allowed & group_names(user))


def roles_of(user: Actor) -> frozenset[str]:
    roles = group_names(user).intersection(ROLES)
    return roles | {"admin"} if getattr(user, "is_superuser", False) else roles


def group_names(user: Actor) -> frozenset[str]:
    if isinstance(user, SystemActor) or user.pk is None:
        return frozenset()
    known: frozenset[str] | None = getattr(user, "_group_names", None)
    if known is None:
        known = frozenset(Group.objects.filter(user=user.pk).values_list("name", flat=True))
        user._group_names = known  # type: ignore[union-attr]
    return known


def roles_granting(action: str) -> list[str]:
    return [role for role in ROLES if action in TABLE[role]]


def check_roles(names: Iterable[str]) -> list[str]:
    """`names` in order, or ValueError naming the ones that are not roles."""
    chosen = [name.strip() for name in names if name.strip()]
    unknown = [name for name in chosen if name not in ROLES]
    if unknown:
        raise ValueError(f"Unknown role: {', '.join(unknown)}. Choose from: {', '.join(ROLES)}.")
    return chosen


def _workflow_of(obj: Any) -> Any:
    path = getattr(type(obj), "workflow_path", None)
    if path is None:
        return None
    for step in filter(None, path.split("__")):
        obj = getattr(obj, step)
    return obj


def _workflow_model(model: type[Model], path: str) -> Any:
    for step in filter(None, path.split("__")):
        model = model._meta.get_field(step).related_model  # type: ignore[assignment]
    return model


def _hidden_workflows(user: Actor, model: Any) -> list[Any]:
    # Few workflows are restricted, so their ids are fetched: lists of many rows then need no join at all.
    restricted = model.objects.filter(allowed_groups__isnull=False)
    mine = model.objects.filter(allowed_groups__name__in=group_names(user))
    return list(restricted.exclude(pk__in=mine.values("pk")).values_list("pk", flat=True).distinct())
