"""The addresses under `/api/v1/`."""

from __future__ import annotations

from typing import Any

from csp.decorators import csp_replace
from django.contrib.auth.decorators import login_required
from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from engine.rest import automation, catalogue, feedback, openapi, runs, workflows  # noqa: F401  openapi registers
from engine.rest.base import ApiView

app_name = "api"

_guarded: dict[str, Any] = {
    "authentication_classes": list(ApiView.authentication_classes),
    "permission_classes": list(ApiView.permission_classes),
}

# A page for people: without a session it leads to the login. The split view needs no inline script, but the
# viewer it loads writes markup as text, which browsers refuse under trusted types.
docs = login_required(
    csp_replace({"require-trusted-types-for": None})(
        SpectacularSwaggerSplitView.as_view(url_name="api:schema", **_guarded)
    )
)

urlpatterns = [
    path("workflows/", workflows.Workflows.as_view(), name="workflows"),
    path("workflows/validate/", workflows.Validate.as_view(), name="validate"),
    path("workflows/import/", workflows.Import.as_view(), name="import"),
    path("workflows/<slug:workflow>/", workflows.Workflow.as_view(), name="workflow"),
    path("workflows/<slug:workflow>/versions/", workflows.Versions.as_view(), name="versions"),
    path("workflows/<slug:workflow>/versions/<int:number>/", workflows.Version.as_view(), name="version"),
    path("workflows/<slug:workflow>/export/", workflows.Export.as_view(), name="export"),
    path("workflows/<slug:workflow>/status/", workflows.WorkflowStatus.as_view(), name="workflow-status"),
    path("workflows/<slug:workflow>/stop/", workflows.WorkflowStop.as_view(), name="workflow-stop"),
    path("workflows/<slug:workflow>/schedules/", automation.Schedules.as_view(), name="schedules"),
    path("workflows/<slug:workflow>/schedules/<slug:schedule>/", automation.Schedule.as_view(), name="schedule"),
    path("workflows/<slug:workflow>/triggers/", automation.Triggers.as_view(), name="triggers"),
    path("workflows/<slug:workflow>/triggers/<slug:trigger>/", automation.Trigger.as_view(), name="trigger"),
    path("runs/", runs.Runs.as_view(), name="runs"),
    path("runs/<slug:run>/", runs.Run.as_view(), name="run"),
    path("runs/<slug:run>/status/", runs.RunStatus.as_view(), name="run-status"),
    path("runs/<slug:run>/events/", runs.RunEvents.as_view(), name="run-events"),
    path("runs/<slug:run>/tasks/<str:task_id>/", runs.RunTask.as_view(), name="run-task"),
    path("runs/<slug:run>/stop/", runs.RunStop.as_view(), name="run-stop"),
    path("runs/<slug:run>/pause/", runs.RunPause.as_view(), name="run-pause"),
    path("runs/<slug:run>/resume/", runs.RunResume.as_view(), name="run-resume"),
    path("runs/<slug:run>/retry/", runs.RunRetry.as_view(), name="run-retry"),
    path("feedback/", feedback.FeedbackList.as_view(), name="feedback"),
    path("feedback/<slug:feedback>/", feedback.FeedbackItem.as_view(), name="feedback-item"),
    path("feedback/<slug:feedback>/answer/", feedback.FeedbackAnswer.as_view(), name="feedback-answer"),
    path("tasks/", catalogue.Tasks.as_view(), name="tasks"),
    path("definition-schema/", catalogue.DefinitionSchema.as_view(), name="definition-schema"),
    path("metrics/", catalogue.Metrics.as_view(), name="metrics"),
    path("audit/", catalogue.Audit.as_view(), name="audit"),
    path("unsent/", catalogue.Unsent.as_view(), name="unsent"),
    path("unsent/<int:unsent>/retry/", catalogue.SendAgain.as_view(), name="send-again"),
    path("schema/", SpectacularAPIView.as_view(**_guarded), name="schema"),
    path("docs/", docs, name="docs"),
]
