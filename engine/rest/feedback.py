"""The inbox over HTTP. GET shows and never decides."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from engine.rest import shapes
from engine.rest.base import ApiView, body, idempotency_key, page, paging, shown
from engine.rest.openapi import IDEMPOTENCY, PAGING, answers, query
from engine.runs import api

_FILTERS = ("run", "state", "kind", "workflow", "assigned")
_MEANS = {
    "state": "one state, `closed` for every one but `open`, or `all`; without it the open ones",
    "workflow": "id or slug",
    "assigned": "`me`: to you, your groups or everybody; `unassigned`: to everybody; `others`",
}


class FeedbackList(ApiView):
    @extend_schema(
        operation_id="list_feedback",
        parameters=[
            *(query(name, _MEANS.get(name, "")) for name in _FILTERS),
            query("q", "part of the prompt"),
            *PAGING,
        ],
        responses=answers(shapes.listed(shapes.FeedbackShape)),
    )
    def get(self, request: Request) -> Response:
        filters: dict[str, Any] = {name: request.query_params.get(name) or None for name in _FILTERS}
        found = api.list_feedback(request.user, **filters, q=request.query_params.get("q", ""), **paging(request))
        return page(request, found)


class FeedbackItem(ApiView):
    @extend_schema(operation_id="get_feedback", responses=answers(shapes.FeedbackShape))
    def get(self, request: Request, feedback: str) -> Response:
        return Response(shown(api.get_feedback(request.user, feedback)))


class FeedbackAnswer(ApiView):
    @extend_schema(
        operation_id="answer_feedback",
        parameters=[IDEMPOTENCY],
        request=shapes.AnswerBody,
        responses=answers(shapes.FeedbackShape, refuses=(409, 410, 422)),
    )
    def post(self, request: Request, feedback: str) -> Response:
        values = body(request, shapes.AnswerBody)
        decided = api.answer_feedback(
            request.user,
            feedback,
            decision=values["decision"],
            value=values["value"],
            data=values["data"],
            reason=values["reason"] or None,
            payload_hash=values["payload_hash"] or None,
            via=self.door,
            idempotency_key=idempotency_key(request),
        )
        return Response(shown(decided))
