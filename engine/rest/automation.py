"""What starts a workflow without a person at hand, over HTTP: its schedules and triggers, by the same two views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from engine.rest import shapes
from engine.rest.base import ApiView, body, idempotency_key, shown
from engine.rest.openapi import IDEMPOTENCY, answers
from engine.runs import api

_Calls = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One way to start: what the site calls it, what a body and an answer hold, and who does what is asked."""

    name: str
    shape: type[Serializer[Any]]
    body: type[Serializer[Any]]
    change: type[Serializer[Any]]
    change_refuses: tuple[int, ...]
    lists: _Calls
    creates: _Calls
    gets: _Calls
    changes: _Calls
    deletes: _Calls


def _all_of(kind: _Kind) -> type[ApiView]:
    class All(ApiView):
        @extend_schema(operation_id=f"list_{kind.name}s", responses=answers(shapes.listed(kind.shape)))
        def get(self, request: Request, workflow: str) -> Response:
            found = kind.lists(request.user, workflow)
            return Response({"results": [shown(item) for item in found], "next": None})

        @extend_schema(
            operation_id=f"create_{kind.name}",
            parameters=[IDEMPOTENCY],
            request=kind.body,
            responses=answers(kind.shape, status=201, refuses=(409, 422)),
        )
        def post(self, request: Request, workflow: str) -> Response:
            values = body(request, kind.body)
            made = kind.creates(request.user, workflow, **values, idempotency_key=idempotency_key(request))
            return Response(shown(made), status=201)

    return All


def _one_of(kind: _Kind) -> type[ApiView]:
    """Its address names the one by `kind.name`."""

    class One(ApiView):
        @extend_schema(operation_id=f"get_{kind.name}", responses=answers(kind.shape))
        def get(self, request: Request, workflow: str, **which: str) -> Response:
            return Response(shown(kind.gets(request.user, workflow, which[kind.name])))

        @extend_schema(
            operation_id=f"change_{kind.name}",
            request=kind.change,
            responses=answers(kind.shape, refuses=kind.change_refuses),
        )
        def patch(self, request: Request, workflow: str, **which: str) -> Response:
            values = body(request, kind.change)
            return Response(shown(kind.changes(request.user, workflow, which[kind.name], **values)))

        @extend_schema(operation_id=f"delete_{kind.name}", responses=answers(None, status=204))
        def delete(self, request: Request, workflow: str, **which: str) -> Response:
            kind.deletes(request.user, workflow, which[kind.name])
            return Response(status=204)

    return One


_schedule = _Kind(
    name="schedule", shape=shapes.ScheduleShape, body=shapes.ScheduleBody, change=shapes.ScheduleChange,
    change_refuses=(409, 422), lists=api.list_schedules, creates=api.create_schedule, gets=api.get_schedule,
    changes=api.change_schedule, deletes=api.delete_schedule,
)  # fmt: skip
_trigger = _Kind(
    name="trigger", shape=shapes.TriggerShape, body=shapes.TriggerBody, change=shapes.TriggerChange,
    change_refuses=(422,), lists=api.list_triggers, creates=api.create_trigger, gets=api.get_trigger,
    changes=api.change_trigger, deletes=api.delete_trigger,
)  # fmt: skip

Schedules, Schedule = _all_of(_schedule), _one_of(_schedule)
Triggers, Trigger = _all_of(_trigger), _one_of(_trigger)
