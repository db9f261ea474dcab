"""Workflows: drafts that many may edit, versions that nobody may change."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import suppress
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.utils.text import slugify

from engine.access import Actor, audit, policy
from engine.core.compile import compile as compile_plan
from engine.core.compile import problems
from engine.core.errors import Conflict, InvalidInput, NotFound, Problem, StaleDraft
from engine.runs import data, database, idempotency, paging, values
from engine.runs.fields import dumps
from engine.runs.models import WorkflowDefinition, WorkflowVersion
from engine.runs.outside import outside
from engine.runs.prepared import Columns

MAX_DOCUMENT_BYTES = 1_000_000
MAX_NAME = 100
_DEFINITION = Columns(WorkflowDefinition)
_SLUG_TRIES = 5
RESERVED_SLUGS = frozenset({"new", "validate", "import", "export"})


def list_workflows(
    actor: Actor, *, q: str = "", limit: int = 50, cursor: str | None = None
) -> data.Page[data.Workflow]:
    """Workflows that are not archived, newest first."""
    policy.require(actor, "workflow.view")
    rows = policy.for_user(actor, WorkflowDefinition.objects.filter(archived_at=None)).select_related("updated_by")
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(slug__icontains=q))
    return paging.page(rows, limit, cursor, _workflow)


def get_workflow(actor: Actor, workflow: str) -> data.Workflow:
    """Raises NotFound where there is none, or none open to this person."""
    return _workflow(find(actor, "workflow.view", workflow))


def create_workflow(
    actor: Actor, *, name: str, document: dict[str, Any], idempotency_key: str | None = None
) -> data.Workflow:
    """A new workflow with `document` as its draft, which may still have problems."""
    policy.require(actor, "workflow.edit")
    name, text = _checked_name(name), _checked_document(document)

    def make() -> str:
        now = database.now()
        row = WorkflowDefinition(
            slug=_free_slug(name), name=name, draft=document, created_by_id=actor.pk, updated_by_id=actor.pk,
            created_at=now, updated_at=now,
        )  # fmt: skip
        row.save(force_insert=True)
        audit.write(actor, "workflow.create", "workflow", row.public_id, {"name": name, "sha256": _sha256(text)})
        return str(row.public_id)

    def once() -> str:
        with database.writing():
            return idempotency.once(actor, "create_workflow", idempotency_key, [name, document], make)

    for _ in range(_SLUG_TRIES):
        # Two workflows of one name made at the same moment choose the same slug; the second one looks again.
        with suppress(IntegrityError):
            return get_workflow(actor, database.retried(once))
    raise Conflict(f"Many workflows named {name!r} are being made at this moment. Try again.")


def save_draft(
    actor: Actor, workflow: str, *, document: dict[str, Any], base_revision: int, name: str | None = None
) -> data.Workflow:
    """Replace the draft that has `base_revision`. Raises StaleDraft when somebody saved meanwhile."""
    row = find(actor, "workflow.edit", workflow)
    text = _checked_document(document)
    changes: dict[str, Any] = {"draft": document}
    if name is not None:
        changes["name"] = _checked_name(name)

    def once() -> None:
        with database.writing():
            current = WorkflowDefinition.objects.filter(pk=row.pk, draft_revision=base_revision, archived_at=None)
            saved = current.update(
                **changes, draft_revision=base_revision + 1, updated_by_id=actor.pk, updated_at=database.now()
            )
            if saved != 1:
                raise _stale(row.pk, base_revision)
            told = {"revision": base_revision + 1, "sha256": _sha256(text)}
            audit.write(actor, "workflow.save", "workflow", row.public_id, told)

    database.retried(once)
    return get_workflow(actor, str(row.public_id))


def archive_workflow(actor: Actor, workflow: str) -> None:
    """Take a workflow out of the lists. Its runs stay; it cannot be started or edited any more."""
    row = find(actor, "workflow.edit", workflow)

    def once() -> None:
        with database.writing():
            if WorkflowDefinition.objects.filter(pk=row.pk, archived_at=None).update(archived_at=database.now()):
                audit.write(actor, "workflow.archive", "workflow", row.public_id, {"name": row.name})

    database.retried(once)


def validate(actor: Actor, document: dict[str, Any]) -> list[Problem]:
    """Everything that keeps the document from running; changes nothing."""
    policy.require(actor, "workflow.view")
    _checked_document(document)
    return problems(document, outside=outside(actor))


def publish(actor: Actor, workflow: str, *, note: str = "", base_revision: int | None = None) -> data.Version:
    """Freeze the draft as the next version. Raises DefinitionError when it cannot run, StaleDraft when
    `base_revision` is not the draft's any more.
    """
    row = find(actor, "workflow.publish", workflow)

    def once() -> int:
        with database.writing():
            current = _locked(row.pk)
            if current.archived_at is not None:
                raise _archived(current)
            if base_revision is not None and base_revision != current.draft_revision:
                raise _stale(current.pk, base_revision)
            compile_plan(current.draft, outside=outside(actor, current))
            number = (current.latest_version or 0) + 1
            digest = _sha256(dumps(current.draft))
            WorkflowVersion(
                definition=current, number=number, spec=current.draft, spec_sha256=digest, note=note.strip(),
                published_by_id=actor.pk, published_at=database.now(),
            ).save(force_insert=True)  # fmt: skip
            WorkflowDefinition.objects.filter(pk=current.pk).update(latest_version=number)
            told = {"version": number, "sha256": digest, "note": note.strip()[:500]}
            audit.write(actor, "workflow.publish", "workflow", current.public_id, told)
            return number

    return get_version(actor, str(row.public_id), database.retried(once))


def list_versions(actor: Actor, workflow: str, limit: int = 50, cursor: str | None = None) -> data.Page[data.Version]:
    """Versions of a workflow, newest first."""
    row = find(actor, "workflow.view", workflow)
    rows = WorkflowVersion.objects.filter(definition=row).select_related("published_by")
    return paging.number_page(rows, "number", limit, cursor, lambda version: _version(row, version))


def get_version(actor: Actor, workflow: str, number: int) -> data.Version:
    row = find(actor, "workflow.view", workflow)
    found = WorkflowVersion.objects.filter(definition=row, number=number).select_related("published_by").first()
    if found is None:
        raise NotFound(f"Workflow {row.name!r} has no version {number}.")
    return _version(row, found)


def find(actor: Actor, action: str, workflow: str) -> WorkflowDefinition:
    """The row behind an id or slug, if this person may do `action` on it."""
    row = _DEFINITION.first("slug = %s", [workflow[:120]])
    if row is None and (public_id := as_uuid(workflow)) is not None:
        row = WorkflowDefinition.objects.filter(public_id=public_id).first()
    if row is None:
        raise no_such(actor, workflow)
    policy.require(actor, action, row)
    return row


def no_such(actor: Actor, workflow: str) -> NotFound:
    """What to raise for an id or slug without a workflow. Raises Forbidden for who may not look for one anyway."""
    policy.require(actor, "workflow.view")
    return NotFound(f"There is no workflow {workflow[:80]!r}, or it is not open to you.")


def as_uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None


def _locked(pk: int) -> WorkflowDefinition:
    rows = WorkflowDefinition.objects.all()
    if database.on_postgresql():
        rows = rows.select_for_update(no_key=True)  # a start checks its foreign key while it holds the audit log's end
    return rows.get(pk=pk)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME:
        message = f"A workflow's name has 1 to {MAX_NAME} characters."
        raise InvalidInput(message, errors=[{"path": "name", "message": message}])
    return name


def _checked_document(document: Any) -> str:
    """The document's JSON text. A draft may be unfinished, but it must be an object that can be kept."""
    if not isinstance(document, dict):
        raise InvalidInput(
            "A definition is a JSON object.", errors=[{"path": "document", "message": "must be an object"}]
        )
    try:
        text = values.check(document, "The definition")
    except values.Unstorable as error:
        raise InvalidInput(str(error), errors=[{"path": "document", "message": str(error)}]) from None
    if len(text) > MAX_DOCUMENT_BYTES:
        message = f"The definition has {len(text)} bytes; at most {MAX_DOCUMENT_BYTES} are kept."
        raise InvalidInput(message, errors=[{"path": "document", "message": message}])
    return text


def _free_slug(name: str) -> str:
    base = slugify(name)[:100].strip("-_") or "workflow"
    if base in RESERVED_SLUGS or as_uuid(base) is not None:
        base = f"workflow-{base}"
    taken = set(WorkflowDefinition.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    number = 2
    slug = base
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug


def _stale(pk: int, base_revision: int) -> StaleDraft | Conflict:
    row = WorkflowDefinition.objects.select_related("updated_by").get(pk=pk)
    if row.archived_at is not None:
        return _archived(row)
    who = row.updated_by.get_username() if row.updated_by else "system"
    return StaleDraft(
        f"{who} saved revision {row.draft_revision} meanwhile; yours began with {base_revision}. "
        "Load the newer draft, or save yours as a new workflow.",
        draft_revision=row.draft_revision, updated_by=who, updated_at=data.iso(row.updated_at),
    )  # fmt: skip


def _archived(row: WorkflowDefinition) -> Conflict:
    return Conflict(f"Workflow {row.name!r} is archived and cannot be changed or started.", code="archived")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _workflow(row: WorkflowDefinition) -> data.Workflow:
    return data.Workflow(
        id=str(row.public_id), name=row.name, slug=row.slug, document=row.draft, draft_revision=row.draft_revision,
        latest_version=row.latest_version, archived_at=row.archived_at, created_at=row.created_at,
        updated_at=row.updated_at, updated_by=row.updated_by.get_username() if row.updated_by else "system",
    )  # fmt: skip


def _version(workflow: WorkflowDefinition, row: WorkflowVersion) -> data.Version:
    return data.Version(
        workflow=str(workflow.public_id), number=row.number, note=row.note, document=row.spec,
        published_at=row.published_at, published_by=row.published_by.get_username() if row.published_by else "system",
    )  # fmt: skip
