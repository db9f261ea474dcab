"""What starts a workflow without a person at hand, over HTTP: its schedules and triggers."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from engine.rest import shapes
from engine.rest.base import ApiView, body, idempotency_key, shown
from engine.rest.openapi import IDEMPOTENCY, answers
from engine.runs import api


class Schedules(ApiView):
    @extend_schema(operation_id="list_schedules", responses=answers(shapes.listed(shapes.ScheduleShape)))
    def get(self, request: Request, workflow: str) -> Response:
        found = api.list_schedules(request.user, workflow)
        return Response({"results": [shown(item) for item in found], "next": None})

    @extend_schema(
        operation_id="create_schedule",
        parameters=[IDEMPOTENCY],
        request=shapes.ScheduleBody,
        responses=answers(shapes.ScheduleShape, status=201, refuses=(409, 422)),
    )
    def post(self, request: Request, workflow: str) -> Response:
        values = body(request, shapes.ScheduleBody)
        made = api.create_schedule(request.user, workflow, **values, idempotency_key=idempotency_key(request))
        return Response(shown(made), status=201)


class Schedule(ApiView):
    @extend_schema(operation_id="get_schedule", responses=answers(shapes.ScheduleShape))
    def get(self, request: Request, workflow: str, schedule: str) -> Response:
        return Response(shown(api.get_schedule(request.user, workflow, schedule)))

    @extend_schema(
        operation_id="change_schedule",
        request=shapes.ScheduleChange,
        responses=answers(shapes.ScheduleShape, refuses=(409, 422)),
    )
    def patch(self, request: Request, workflow: str, schedule: str) -> Response:
        values = body(request, shapes.ScheduleChange)
        return Response(shown(api.change_schedule(request.user, workflow, schedule, **values)))

    @extend_schema(operation_id="delete_schedule", responses=answers(None, status=204))
    def delete(self, request: Request, workflow: str, schedule: str) -> Response:
        api.delete_schedule(request.user, workflow, schedule)
        return Response(status=204)


class Triggers(ApiView):
    @extend_schema(operation_id="list_triggers", responses=answers(shapes.listed(shapes.TriggerShape)))
    def get(self, request: Request, workflow: str) -> Response:
        found = api.list_triggers(request.user, workflow)
        return Response({"results": [shown(item) for item in found], "next": None})

    @extend_schema(
        operation_id="create_trigger",
        parameters=[IDEMPOTENCY],
        request=shapes.TriggerBody,
        responses=answers(shapes.TriggerShape, status=201, refuses=(409, 422)),
    )
    def post(self, request: Request, workflow: str) -> Response:
        values = body(request, shapes.TriggerBody)
        made = api.create_trigger(request.user, workflow, **values, idempotency_key=idempotency_key(request))
        return Response(shown(made), status=201)


class Trigger(ApiView):
    @extend_schema(operation_id="get_trigger", responses=answers(shapes.TriggerShape))
    def get(self, request: Request, workflow: str, trigger: str) -> Response:
        return Response(shown(api.get_trigger(request.user, workflow, trigger)))

    @extend_schema(
        operation_id="change_trigger",
        request=shapes.TriggerChange,
        responses=answers(shapes.TriggerShape, refuses=(422,)),
    )
    def patch(self, request: Request, workflow: str, trigger: str) -> Response:
        values = body(request, shapes.TriggerChange)
        return Response(shown(api.change_trigger(request.user, workflow, trigger, **values)))

    @extend_schema(operation_id="delete_trigger", responses=answers(None, status=204))
    def delete(self, request: Request, workflow: str, trigger: str) -> Response:
        api.delete_trigger(request.user, workflow, trigger)
        return Response(status=204)
