"""What the OpenAPI document says beyond the views: the ways to sign in, the errors of every call."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from engine.rest import shapes

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
    found: dict[int, Any] = {status: shape}
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
