"""Runs over HTTP: start, watch, steer."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from engine.rest import shapes
from engine.rest.base import (
    MAX_EVENTS,
    ApiView,
    body,
    idempotency_key,
    integer,
    limit_of,
    moment,
    page,
    paging,
    shown,
)
from engine.rest.openapi import IDEMPOTENCY, PAGING, answers, query
from engine.runs import api

_FILTERS = [
    query("workflow", "id or slug"),
    query("status"),
    query("started_after", "a time, inclusive"),
    query("started_before", "a time, exclusive"),
    query("q", "part of the workflow's name or of the run's id"),
]


class Runs(ApiView):
    write_scope = "start"

    @extend_schema(
        operation_id="list_runs",
        parameters=[*_FILTERS, *PAGING],
        responses=answers(shapes.listed(shapes.RunShape)),
    )
    def get(self, request: Request) -> Response:
        given = request.query_params
        found = api.list_runs(
            request.user,
            workflow=given.get("workflow") or None,
            status=given.get("status") or None,
            started_after=moment(request, "started_after"),
            started_before=moment(request, "started_before"),
            q=given.get("q", ""),
            **paging(request),
        )
        return page(request, found)

    @extend_schema(
        operation_id="start_run",
        parameters=[IDEMPOTENCY],
        request=shapes.RunStart,
        responses=answers(shapes.RunShape, status=201, refuses=(409, 422, 503)),
    )
    def post(self, request: Request) -> Response:
        values = body(request, shapes.RunStart)
        run = api.start_run(request.user, **values, idempotency_key=idempotency_key(request))
        return Response(shown(run), status=201)


class Run(ApiView):
    @extend_schema(operation_id="get_run", responses=answers(shapes.RunShape))
    def get(self, request: Request, run: str) -> Response:
        return Response(shown(api.get_run(request.user, run)))


class RunStatus(ApiView):
    @extend_schema(operation_id="run_status", responses=answers(shapes.RunStatusShape))
    def get(self, request: Request, run: str) -> Response:
        return Response(shown(api.run_status(request.user, run)))


class RunEvents(ApiView):
    @extend_schema(
        operation_id="run_events",
        parameters=[query("after", "the last seq you know", int), query("limit", "at most 1000", int)],
        responses=answers(shapes.EventsShape),
    )
    def get(self, request: Request, run: str) -> Response:
        limit = limit_of(request, default=500, most=MAX_EVENTS)
        found = api.events_after(request.user, run, integer(request, "after", 0), limit)
        return Response(shown(found))


class RunTask(ApiView):
    @extend_schema(operation_id="run_task", responses=answers(shapes.TaskDetailShape))
    def get(self, request: Request, run: str, task_id: str) -> Response:
        return Response(shown(api.task_detail(request.user, run, task_id)))


class RunStop(ApiView):
    @extend_schema(
        operation_id="stop_run",
        request=shapes.ReasonBody,
        responses=answers(shapes.RunShape, refuses=(409, 422)),
    )
    def post(self, request: Request, run: str) -> Response:
        values = body(request, shapes.ReasonBody)
        return Response(shown(api.stop_run(request.user, run, reason=values["reason"] or None)))


class RunPause(ApiView):
    @extend_schema(operation_id="pause_run", request=None, responses=answers(shapes.RunShape, refuses=(409,)))
    def post(self, request: Request, run: str) -> Response:
        return Response(shown(api.pause_run(request.user, run)))


class RunResume(ApiView):
    @extend_schema(operation_id="resume_run", request=None, responses=answers(shapes.RunShape, refuses=(409,)))
    def post(self, request: Request, run: str) -> Response:
        return Response(shown(api.resume_run(request.user, run)))


class RunRetry(ApiView):
    @extend_schema(
        operation_id="retry_run",
        request=shapes.RetryBody,
        responses=answers(shapes.RunShape, refuses=(409, 422, 503)),
    )
    def post(self, request: Request, run: str) -> Response:
        values = body(request, shapes.RetryBody)
        return Response(shown(api.retry_run(request.user, run, from_=values["from"])))
