"""What a definition may name on this site beside tasks: other workflows, and webhooks."""

from __future__ import annotations

from django.conf import settings

from engine.access import Actor, policy
from engine.core.checks import Outside
from engine.runs.models import WorkflowDefinition, WorkflowVersion


def outside(actor: Actor, parent: WorkflowDefinition | None = None) -> Outside:
    """As this person sees it; `parent` is the workflow whose steps name the others, where there is one yet."""
    return Outside(workflow=lambda slug, version: _wrong_workflow(actor, parent, slug, version), webhook=_wrong_webhook)


def _wrong_workflow(actor: Actor, parent: WorkflowDefinition | None, slug: str, version: int | None) -> str | None:
    row = WorkflowDefinition.objects.filter(slug=slug[:120]).first()
    if row is None or not policy.is_visible(actor, row):
        return "does not exist, or is not open to you"
    if row.archived_at is not None:
        return "is archived"
    if row.latest_version is None:
        return "has no published version; publish it first"
    if version is not None and not WorkflowVersion.objects.filter(definition=row, number=version).exists():
        return f"has no version {version}; its latest is {row.latest_version}"
    if parent is not None and not is_as_open(row, parent):
        return "is restricted to groups, and not to all who may start this workflow; open it to their groups"
    return None


def is_as_open(row: WorkflowDefinition, parent: WorkflowDefinition) -> bool:
    """Whether everybody to whom `parent` is open sees `row` as well: who starts one starts the other."""
    theirs = set(row.allowed_groups.values_list("pk", flat=True))
    ours = set(parent.allowed_groups.values_list("pk", flat=True))
    return not theirs or (bool(ours) and ours <= theirs)


def _wrong_webhook(name: str) -> str | None:
    known = sorted(getattr(settings, "GRAFLOW_WEBHOOKS", {}))
    if name in known:
        return None
    return f"is not among those of GRAFLOW_WEBHOOKS: {', '.join(known) or 'none'}"
