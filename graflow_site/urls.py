"""The addresses of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from engine.rest.health import healthz, readyz
from engine.rest.hooks import Hook
from engine.rest.prometheus import Prometheus

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", Prometheus.as_view(), name="prometheus"),
    path("hooks/<uuid:trigger>/", Hook.as_view(), name="hook"),
    path("api/v1/", include("engine.rest.urls")),
    path("admin/", admin.site.urls),
    path("", include("engine.access.urls")),
    path("", include("editor.urls")),
]
