"""Workflows over HTTP: drafts, versions, checks, export and import."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from engine.rest import shapes
from engine.rest.base import ApiView, body, idempotency_key, integer, page, paging, shown
from engine.rest.openapi import IDEMPOTENCY, IF_MATCH, PAGING, answers, query
from engine.runs import api


class PreconditionRequired(APIException):
    status_code = 428
    default_code = "precondition_required"
    default_detail = "Send the draft_revision you started from in the header If-Match, for example: If-Match: 7"


class Workflows(ApiView):
    @extend_schema(
        operation_id="list_workflows",
        parameters=[query("q", "part of the name"), *PAGING],
        responses=answers(shapes.listed(shapes.WorkflowShape)),
    )
    def get(self, request: Request) -> Response:
        found = api.list_workflows(request.user, q=request.query_params.get("q", ""), **paging(request))
        return page(request, found)

    @extend_schema(
        operation_id="create_workflow",
        parameters=[IDEMPOTENCY],
        request=shapes.WorkflowCreate,
        responses=answers(shapes.WorkflowShape, status=201, refuses=(409, 422)),
    )
    def post(self, request: Request) -> Response:
        values = body(request, shapes.WorkflowCreate)
        made = api.create_workflow(
            request.user,
            name=values["name"],
            document=values["document"],
            idempotency_key=idempotency_key(request),
        )
        return _with_etag(shown(made), status=201)


class Workflow(ApiView):
    @extend_schema(operation_id="get_workflow", responses=answers(shapes.WorkflowShape))
    def get(self, request: Request, workflow: str) -> Response:
        return _with_etag(shown(api.get_workflow(request.user, workflow)))

    @extend_schema(
        operation_id="save_draft",
        parameters=[IF_MATCH],
        request=shapes.DraftSave,
        responses=answers(shapes.WorkflowShape, refuses=(412, 422)),
    )
    def patch(self, request: Request, workflow: str) -> Response:
        base_revision = _if_match(request)
        values = body(request, shapes.DraftSave)
        if "document" not in values:
            # A change of the name alone keeps the document; the revision still guards it.
            values["document"] = shown(api.get_workflow(request.user, workflow))["document"]
        saved = api.save_draft(
            request.user,
            workflow,
            document=values["document"],
            base_revision=base_revision,
            name=values.get("name"),
        )
        return _with_etag(shown(saved))

    @extend_schema(operation_id="archive_workflow", responses=answers(None, status=204, refuses=(409,)))
    def delete(self, request: Request, workflow: str) -> Response:
        api.archive_workflow(request.user, workflow)
        return Response(status=204)


class Validate(ApiView):
    write_scope = "read"  # it changes nothing, and an editor asks after every pause in typing

    @extend_schema(
        operation_id="validate_document",
        request=shapes.ValidateBody,
        responses=answers(shapes.ProblemsShape, refuses=(422,)),
    )
    def post(self, request: Request) -> Response:
        found = api.validate(request.user, _document(request))
        return Response({"problems": [shown(problem) for problem in found]})


class Versions(ApiView):
    @extend_schema(
        operation_id="list_versions",
        parameters=PAGING,
        responses=answers(shapes.listed(shapes.VersionShape)),
    )
    def get(self, request: Request, workflow: str) -> Response:
        return page(request, api.list_versions(request.user, workflow, **paging(request)))

    @extend_schema(
        operation_id="publish_version",
        request=shapes.PublishBody,
        responses=answers(shapes.VersionShape, status=201, refuses=(409, 412, 422)),
    )
    def post(self, request: Request, workflow: str) -> Response:
        values = body(request, shapes.PublishBody)
        made = api.publish(
            request.user,
            workflow,
            note=values["note"],
            base_revision=values.get("base_revision", _if_match_or_none(request)),
        )
        return Response(shown(made), status=201)


class Version(ApiView):
    @extend_schema(
        operation_id="get_version",
        responses=answers(shapes.VersionShape),
    )
    def get(self, request: Request, workflow: str, number: int) -> Response:
        return Response(shown(api.get_version(request.user, workflow, number)))


class Export(ApiView):
    @extend_schema(
        operation_id="export_workflow",
        parameters=[query("format", "json"), query("version", "a published version instead of the draft", int)],
        responses=answers(shapes.WorkflowImport),
    )
    def get(self, request: Request, workflow: str) -> Response:
        wanted = request.query_params.get("format", "json")
        if wanted != "json":
            raise ParseError(f"format={wanted[:40]!r} is unknown; a workflow is exported as json.")
        found = shown(api.get_workflow(request.user, workflow))
        document = found["document"]
        number = integer(request, "version", 0)
        if number:
            document = shown(api.get_version(request.user, workflow, number))["document"]
        # Only the slug goes into the header: a name may hold anything.
        headers = {"Content-Disposition": f'attachment; filename="{found["slug"]}.json"'}
        return Response({"name": found["name"], "document": document}, headers=headers)


class Import(ApiView):
    @extend_schema(
        operation_id="import_workflow",
        parameters=[IDEMPOTENCY],
        request=shapes.WorkflowImport,
        responses=answers(shapes.WorkflowShape, status=201, refuses=(409, 422)),
    )
    def post(self, request: Request) -> Response:
        document = _document(request)
        sent: dict[str, Any] = dict(request.data)
        given = sent.get("name") if "document" in sent else None
        values = {"name": given or document.get("name") or "Imported workflow", "document": document}
        checked = shapes.WorkflowCreate(data=values)
        checked.is_valid(raise_exception=True)
        made = api.create_workflow(
            request.user,
            name=checked.validated_data["name"],
            document=document,
            idempotency_key=idempotency_key(request),
        )
        return _with_etag(shown(made), status=201)


class WorkflowStatus(ApiView):
    @extend_schema(operation_id="workflow_status", responses=answers(shapes.WorkflowStatusShape))
    def get(self, request: Request, workflow: str) -> Response:
        return Response(shown(api.workflow_status(request.user, workflow)))


class WorkflowStop(ApiView):
    @extend_schema(operation_id="stop_workflow", request=None, responses=answers(shapes.StopShape))
    def post(self, request: Request, workflow: str) -> Response:
        return Response(shown(api.stop_workflow(request.user, workflow)))


def _document(request: Request) -> dict[str, Any]:
    """The document of a body that wraps it, or the body itself where it is the document."""
    if isinstance(request.data, dict) and "document" not in request.data and "tasks" in request.data:
        return dict(request.data)
    document: dict[str, Any] = body(request, shapes.ValidateBody)["document"]
    return document


def _with_etag(workflow: dict[str, Any], status: int = 200) -> Response:
    return Response(workflow, status=status, headers={"ETag": f'"{workflow["draft_revision"]}"'})


def _if_match(request: Request) -> int:
    revision = _if_match_or_none(request)
    if revision is None:
        raise PreconditionRequired
    return revision


def _if_match_or_none(request: Request) -> int | None:
    raw = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not raw:
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 15):
        raise ParseError(f"If-Match: {raw[:40]!r}: expected a draft_revision.", code="invalid_parameter")
    return int(raw)
