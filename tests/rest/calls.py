"""What REST tests share: a caller with a token, and a workflow that runs without a worker."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from engine.access import tokens

API = "/api/v1/"

ASK = {
    "schema": "graflow/1",
    "name": "Ask",
    "tasks": [
        {"id": "prepare", "kind": "transform", "value": {"total": 3}},
        {"id": "ask", "kind": "approval", "prompt": "Is it fine?"},
        {"id": "done", "kind": "transform", "value": "ok"},
    ],
    "edges": [{"source": "prepare", "target": "ask"}, {"source": "ask", "target": "done"}],
}
BROKEN = {
    "schema": "graflow/1",
    "name": "Broken",
    "tasks": [{"id": "a", "kind": "task"}],
    "edges": [{"source": "a", "target": "b"}],
}


class Caller:
    """Calls the API with a token, as a program would: no session, no cookies, CSRF checks on."""

    def __init__(self, user: User | None) -> None:
        self.user = user
        self._client = Client(enforce_csrf_checks=True)
        self._headers = {} if user is None else {"Authorization": f"Token {tokens.create(user, 'test')}"}

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(
            path if path.startswith(("/", "http")) else API + path, query or None, headers=self._headers
        )

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("patch", path, body, headers)

    def delete(self, path: str) -> Any:
        return self._client.delete(API + path, headers=self._headers)

    def send(self, method: str, path: str) -> Any:
        return self._client.generic(method, path, headers=self._headers)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        call = getattr(self._client, method)
        return call(API + path, {} if body is None else body, "application/json", headers={**self._headers, **named})


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, checked for its shape."""
    assert answer.status_code == status, (answer.status_code, answer.content[:500])
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code", "errors"} <= body.keys()
    assert (body["status"], body["code"]) == (status, code), body
    return body
