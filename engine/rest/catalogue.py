"""What the site offers and how it is doing: registered tasks, metrics, the audit log, what could not be sent."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from engine.core import registry
from engine.core.definition import json_schema
from engine.rest import shapes
from engine.rest.base import ApiView, page, paging, shown
from engine.rest.openapi import PAGING, answers, query
from engine.runs import api


class Tasks(ApiView):
    @extend_schema(operation_id="list_tasks", responses=answers(shapes.CatalogueShape))
    def get(self, request: Request) -> Response:
        return Response({"results": registry.catalogue(), "kinds": registry.kinds()})


class DefinitionSchema(ApiView):
    """The JSON Schema of the documents that `workflows/` takes, for editors and checks outside the site."""

    @extend_schema(operation_id="definition_schema", responses=answers(OpenApiTypes.OBJECT))
    def get(self, request: Request) -> Response:
        return Response(json_schema())


class Metrics(ApiView):
    @extend_schema(operation_id="metrics", responses=answers(shapes.MetricsShape))
    def get(self, request: Request) -> Response:
        return Response(shown(api.metrics(request.user)))


class Audit(ApiView):
    @extend_schema(
        operation_id="audit",
        parameters=[query("action"), query("actor", "a user name"), query("obj_type"), query("obj_id"), *PAGING],
        responses=answers(shapes.listed(shapes.AuditShape)),
    )
    def get(self, request: Request) -> Response:
        names = ("action", "actor", "obj_type", "obj_id")
        filters: dict[str, Any] = {name: request.query_params.get(name) or None for name in names}
        return page(request, api.audit(request.user, **filters, **paging(request)))


class Unsent(ApiView):
    """Mails and calls of webhooks that were given up, the newest fifty."""

    @extend_schema(operation_id="list_unsent", responses=answers(shapes.listed(shapes.UnsentShape)))
    def get(self, request: Request) -> Response:
        return Response({"results": [shown(item) for item in api.list_unsent(request.user)], "next": None})


class SendAgain(ApiView):
    @extend_schema(operation_id="send_again", request=None, responses=answers(None, status=204, refuses=(409,)))
    def post(self, request: Request, unsent: int) -> Response:
        api.send_again(request.user, unsent)
        return Response(status=204)
