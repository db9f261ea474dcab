"""The body of a step of kind http: builds the request, makes it, judges the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from engine.core.context import TaskExecutionContext
from engine.core.errors import EngineError, TerminalError
from engine.core.task import TaskWrapper
from engine.execution.http_client import Answer, send
from engine.execution.http_policy import TOTAL_SECONDS, HttpPolicy
from engine.execution.references import anonymous

RETRY_STATUSES = frozenset({408, 425, 429})
LONGEST_RETRY_AFTER = 3600.0
SAFE_METHODS = frozenset({"GET", "HEAD"})
_SHOWN = 300
_SECRET = ("authorization", "cookie", "token", "secret", "password", "key", "signature")


class UnexpectedStatus(EngineError):
    """The answer has a status that the step does not accept. `retry_after`: seconds the other side asked for."""

    code = "unexpected_status"

    def __init__(self, status: int, text: str = "", retry_after: float | None = None) -> None:
        self.status, self.text, self.retry_after = status, text, retry_after
        self.terminal = not (status in RETRY_STATUSES or status >= 500)
        shown = f": {text}" if text else "."
        super().__init__(f"The answer has status {status}, which 'expect' does not accept{shown}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.text, self.retry_after)


def http_task(policy: HttpPolicy, name: str = "http", *, send: Callable[..., Answer] = send) -> TaskWrapper:
    """The task that makes requests under `policy`; it is in no registry, so that no `uses` can name it."""

    def request(
        context: TaskExecutionContext, method: str, url: Any, headers: Any, query: Any, body: Any, expect: Any
    ) -> dict[str, Any]:
        sent = _headers(headers)
        payload = _payload(body, sent)
        if method not in SAFE_METHODS and "idempotency-key" not in map(str.lower, sent):
            sent["Idempotency-Key"] = context.idempotency_key
        answer = send(policy, method, _url(url, query), headers=sent, body=payload, seconds=TOTAL_SECONDS)
        if answer.status not in expect if expect else not 200 <= answer.status < 300:
            shown = answer.body[:_SHOWN].decode(errors="replace").strip()
            raise UnexpectedStatus(answer.status, shown, _retry_after(answer))
        return {"status": answer.status, "headers": answer.headers, "body": content(answer)}

    request.is_http = True  # type: ignore[attr-defined]
    return anonymous(name, request)


def is_http(wrapper: TaskWrapper) -> bool:
    return getattr(wrapper.func, "is_http", False)


def content(answer: Answer) -> Any:
    """The body as data where the answer says it is JSON and it is; else as text."""
    media, _, more = answer.headers.get("content-type", "").lower().partition(";")
    media = media.strip()
    if answer.body and (media == "application/json" or media.endswith("+json")):
        try:
            return json.loads(answer.body, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass
    charset = more.partition("charset=")[2].partition(";")[0].strip(" \"'") or "utf-8"
    try:
        return answer.body.decode(charset, errors="replace")
    except (LookupError, ValueError):
        return answer.body.decode(errors="replace")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TerminalError(f"The headers are {type(given).__name__}, not an object.")
    sent: dict[str, str] = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TerminalError(f"The header {name!r} is {type(value).__name__}, not text.")
        sent[name] = str(value)
    return sent


def _payload(body: Any, headers: dict[str, str]) -> bytes | None:
    """The body as it is sent: JSON, or a text as it is under a content type of its own."""
    if body is None:
        return None
    names = {name.lower(): value for name, value in headers.items()}
    media = names.get("content-type")
    if media is None:
        headers["Content-Type"] = "application/json"
    elif isinstance(body, str) and "json" not in media.lower():
        return body.encode()
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise TerminalError(f"The body cannot be written as JSON: {error}.") from None


def _url(url: Any, query: Any) -> str:
    if not isinstance(url, str):
        raise TerminalError(f"The URL is {type(url).__name__}, not text.")
    if not query:
        return url
    if not isinstance(query, dict):
        raise TerminalError(f"The query is {type(query).__name__}, not an object.")
    pairs = [(name, _query_text(name, item)) for name, value in query.items() for item in _several(value)]
    address, mark, fragment = url.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(pairs)}{mark}{fragment}" if pairs else url


def _several(value: Any) -> list[Any]:
    """The values of one name: a list gives several, null none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _query_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TerminalError(f"The query parameter {name!r} holds {type(value).__name__}, not a text or number.")
    return str(value)


def _retry_after(answer: Answer) -> float | None:
    """Seconds the other side wants to be left alone, at most an hour."""
    raw = answer.headers.get("retry-after", "").strip()
    if not raw:
        return None
    if raw.isascii() and raw.isdigit():
        seconds = float(raw[:9])
    else:
        try:
            seconds = parsedate_to_datetime(raw).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def masked(inputs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a request as people may see them: without what identifies its sender."""
    headers = inputs.get("headers")
    if not isinstance(headers, dict):
        return inputs
    shown = {name: "…" if any(word in name.lower() for word in _SECRET) else value for name, value in headers.items()}
    return {**inputs, "headers": shown}
