"""The addresses of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from engine.rest.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/", include("engine.rest.urls")),
    path("admin/", admin.site.urls),
    path("", include("engine.access.urls")),
    path("", include("editor.urls")),
]
