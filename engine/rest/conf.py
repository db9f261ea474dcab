"""The site's setting SPECTACULAR_SETTINGS: what the OpenAPI document says about itself. Imports nothing."""

from __future__ import annotations

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Graflow",
    "DESCRIPTION": "Workflows, runs and the people in them. Everything a page can do, a token can do here.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "engine.rest.openapi.closed"],
    "ENUM_NAME_OVERRIDES": {
        "DecisionEnum": "engine.rest.shapes.DECISIONS",
        "ModeEnum": "engine.rest.shapes.MODES",
        "MissedEnum": "engine.rest.shapes.MISSED",
    },
}
