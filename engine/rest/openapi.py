"""What the OpenAPI document says beyond the views: what each call does, the ways to sign in, the errors of every call."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from engine.rest import shapes

# Each call in one sentence, by its operation id.
SAYS = {
    "list_tasks": "The registered functions and the kinds of step that a document may name.",
    "definition_schema": "The JSON Schema of a definition document.",
    "metrics": "How the engine is doing: tasks, times, runs, workers.",
    "audit": "The audit log, newest first.",
    "list_unsent": "Mails and calls of webhooks that were given up.",
    "send_again": "Try once more to send a message that was given up.",
    "list_feedback": "Requests to people, newest first.",
    "get_feedback": "One request with what the person is shown.",
    "answer_feedback": "Decide a request; the run goes on.",
    "list_runs": "Runs, newest first.",
    "start_run": "Start a run of a published version.",
    "get_run": "One run with its tasks and its definition.",
    "run_status": "The status of a run in a few figures.",
    "run_events": "What happened in a run after a given place, without gaps.",
    "run_task": "One task in full: attempts, results, requests, events.",
    "stop_run": "End a run: nothing starts any more, open requests are closed.",
    "pause_run": "Start nothing further in a run until it is resumed.",
    "resume_run": "Let a paused run go on.",
    "retry_run": "Start a new run that keeps the results of one that has ended, up to what failed or the named task.",
    "list_workflows": "Workflows, by name.",
    "create_workflow": "Make a workflow from a definition document, as a draft.",
    "get_workflow": "One workflow with its draft.",
    "save_draft": "Change the name or the draft.",
    "archive_workflow": "Put a workflow away: it starts no run any more, its runs stay.",
    "validate_document": "Everything that keeps a document from running, without saving it.",
    "list_versions": "The published versions of a workflow, newest first.",
    "publish_version": "Freeze the draft as the next version; further runs use it.",
    "get_version": "One published version with its document.",
    "export_workflow": "The document of a workflow, as a file.",
    "import_workflow": "Make a workflow from an exported document.",
    "workflow_status": "How the newest run of a workflow stands.",
    "stop_workflow": "Stop all runs of a workflow that go on.",
    "list_schedules": "What starts a workflow by the clock.",
    "create_schedule": "Start a workflow by the clock.",
    "get_schedule": "One schedule with its next times.",
    "change_schedule": "Change a schedule, or switch it on and off.",
    "delete_schedule": "End a schedule; runs it has started stay.",
    "list_triggers": "The addresses by which other systems start a workflow.",
    "create_trigger": "Make an address by which another system starts a workflow. Only this answer holds its secret.",
    "get_trigger": "One trigger, without its secret.",
    "change_trigger": "Rename a trigger, or switch it on and off.",
    "delete_trigger": "End a trigger: its address answers 401 from now on.",
}
ANSWERS = {200: "As asked.", 201: "It is made.", 204: "Done; there is nothing to show."}
REFUSALS = {
    400: "The request cannot be read.",
    401: "No token or session, or one that is not valid.",
    403: "Signed in, but not allowed to do this; or the CSRF token is missing.",
    404: "No such object, or it is not open to you.",
    409: "Does not apply to the present state, which the answer names.",
    410: "Closed for good.",
    412: "Somebody saved meanwhile.",
    422: "Understood, but fields are wrong; `errors` names them.",
    429: "Too often; `Retry-After` says when.",
    503: "Not now, for the disk is nearly full; `Retry-After` says when to come back.",
}


class Described(AutoSchema):
    """Says of a call what it does, never how the view is written: ApiView's own docstring is for us."""

    def get_summary(self) -> str | None:
        return SAYS.get(self.get_operation_id())

    def get_description(self) -> str:  # type: ignore[override]
        return type(self.view).__dict__.get("__doc__") or ""


def closed(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of the document's maker: bodies have no other keys than the named ones."""
    for name, described in result["components"]["schemas"].items():
        shape = getattr(shapes, name.removesuffix("Request"), None)
        if name.endswith("Request") and shape is not None and not getattr(shape, "is_open", False):
            described["additionalProperties"] = False
    return result


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "engine.rest.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <your token>`, made on the profile page.",
        }


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "engine.rest.authentication.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def answers(shape: Any, *, status: int = 200, refuses: tuple[int, ...] = ()) -> dict[int, Any]:
    """The responses of a call: its own and the refusals that may come instead."""
    found: dict[int, Any] = {status: OpenApiResponse(shape, description=ANSWERS[status])}
    for code in sorted({400, 401, 403, 404, 429, *refuses}):
        found[code] = OpenApiResponse(shapes.ProblemShape, description=REFUSALS[code])
    return found


def query(name: str, description: str = "", kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description)


PAGING = [
    query("limit", "rows of one page, at most 200", int),
    query("cursor", "where the next page begins; follow `next` instead of making one"),
]
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Repeat the call with the same key and body within 24 hours to get the first answer again.",
)
IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description="the draft_revision the change is based on"
)
