"""The pages. Addresses are stable: people keep links to runs and requests."""

from __future__ import annotations

from django.urls import path

from editor import automation, views

urlpatterns = [
    path("", views.home, name="home"),
    path("workflows/", views.workflows, name="workflows"),
    path("workflows/new/", views.workflow_new, name="workflow-new"),
    path("workflows/<slug:workflow>/", views.workflow, name="workflow"),
    path("workflows/<slug:workflow>/edit/", views.workflow_edit, name="workflow-edit"),
    path("workflows/<slug:workflow>/run/", views.workflow_run, name="workflow-run"),
    path("workflows/<slug:workflow>/starts/", automation.workflow_starts, name="workflow-starts"),
    path("runs/", views.runs, name="runs"),
    path("runs/<uuid:run>/", views.run, name="run"),
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/<uuid:feedback>/", views.inbox, name="inbox-item"),
    path("monitor/", views.monitor, name="monitor"),
    path("monitor/messages/<int:unsent>/", views.send_again, name="send-again"),
]
