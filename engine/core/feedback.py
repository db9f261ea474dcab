"""What a task asks of a person, what counts as an answer, and the in-memory manager of a local run.

The durable twin of `FeedbackManager` lives in `engine.runs`; both use `FeedbackRequest` and `check_answer`.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, cast

from engine.core.errors import InvalidInput
from engine.core.question import QuestionError, check_question, stable
from engine.core.schema import value_errors

ON_TIMEOUT = ("approve", "reject", "skip", "error", "wait")
ON_REJECT = ("finish", "raise")
Decided = Literal["approve", "answer", "reject", "skip", "expire"]
"""How a request was closed; `expire` by its deadline with `on_timeout="error"`."""


class FeedbackType(StrEnum):
    """Kinds of request. They compare equal to their names."""

    APPROVAL = "approval"
    TEXT = "text"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest:
    """One question. `key` tells questions of one body apart; `timeout` is in seconds, None waits for ever.

    `assignees` is `{"users": [...], "groups": [...]}`; empty means every reviewer.
    """

    task_id: str
    iteration: int
    key: str
    kind: FeedbackType
    prompt: str = ""
    data: Any = None
    options: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    editable: bool = False
    timeout: float | None = None
    on_timeout: str = "error"
    on_reject: str = "finish"
    assignees: dict[str, list[str]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hash of what an answer binds to: kind, data, options and schema."""
        seen = [self.kind.value, self.data, list(self.options), self.schema]
        return hashlib.sha256(json.dumps(seen, sort_keys=True, default=stable).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackAnswer:
    """A decision. `decision` is approve, answer, reject, skip or expire; `value` is what the body gets."""

    feedback_id: str
    decision: Decided
    value: Any = None
    reason: str | None = None
    answered_by: str = ""
    fingerprint: str = ""


def build_request(
    task_id: str,
    iteration: int,
    key: str,
    data: Any = None,
    feedback_type: FeedbackType | str = FeedbackType.APPROVAL,
    prompt: str | None = None,
    options: Any = None,
    *,
    schema: dict[str, Any] | None = None,
    editable: bool = False,
    timeout: float | None = None,
    on_timeout: str = "error",
    on_reject: str = "finish",
    assignees: Mapping[str, Any] | None = None,
) -> FeedbackRequest:
    """A checked request. Raises QuestionError naming the argument that does not fit."""
    try:
        kind = FeedbackType(feedback_type)
    except ValueError:
        known = ", ".join(member.value for member in FeedbackType)
        raise QuestionError(f"feedback_type={feedback_type!r} is unknown; use one of: {known}.") from None
    if on_timeout not in ON_TIMEOUT:
        raise QuestionError(f"on_timeout={on_timeout!r} is unknown; use one of: {', '.join(ON_TIMEOUT)}.")
    if on_reject not in ON_REJECT:
        raise QuestionError(f"on_reject={on_reject!r} is unknown; use one of: {', '.join(ON_REJECT)}.")
    chosen = tuple(str(option) for option in options or ())
    if kind in (FeedbackType.CHOICE, FeedbackType.MULTI_CHOICE) and not chosen:
        raise QuestionError(f"A request of kind {kind.value!r} needs options, for example options=['yes', 'no'].")
    if kind is FeedbackType.FORM and not schema:
        raise QuestionError("A request of kind 'form' needs a schema: a JSON Schema of type object.")
    return FeedbackRequest(
        task_id=task_id, iteration=iteration, key=key, kind=kind, data=data, options=chosen, schema=schema,
        prompt=prompt or _DEFAULT_PROMPTS[kind], editable=editable, timeout=timeout, on_timeout=on_timeout,
        on_reject=on_reject, assignees={name: list(ids) for name, ids in (assignees or {}).items()},
    )  # fmt: skip


def asked(
    task_id: str, iteration: int, ordinal: int, key: str | None, data: Any, feedback_type: FeedbackType | str,
    prompt: str | None, options: Any, settings: Mapping[str, Any],
) -> FeedbackRequest:  # fmt: skip
    """What Python code asks, with all it was given looked at. Without a `key` it goes by its `ordinal`."""
    check_question({**settings, "key": key, "data": data, "prompt": prompt, "options": options})
    return build_request(task_id, iteration, key or f"#{ordinal}", data, feedback_type, prompt, options, **settings)


_DEFAULT_PROMPTS = {
    FeedbackType.APPROVAL: "Please approve this task",
    FeedbackType.TEXT: "Please write an answer",
    FeedbackType.CHOICE: "Please choose one option",
    FeedbackType.MULTI_CHOICE: "Please choose the options that apply",
    FeedbackType.FORM: "Please fill in the form",
}


def check_answer(request: FeedbackRequest, value: Any, *, edited: bool = False) -> Any:
    """The value the body will get for a positive answer. Raises InvalidInput with field errors.

    For an approval `value` is the edited data when `edited`, which needs an editable request.
    """
    if request.kind is FeedbackType.APPROVAL:
        if not edited:
            return request.data
        if not request.editable:
            raise InvalidInput("This request may not be edited; approve or reject it as it is.")
        _check_schema(request.schema, value)
        return value
    if request.kind is FeedbackType.TEXT:
        if not isinstance(value, str):
            raise InvalidInput(
                f"The answer must be text, not {type(value).__name__}.", errors=[_error("value", "must be text")]
            )
        return value
    if request.kind is FeedbackType.CHOICE:
        if value not in request.options:
            raise _not_an_option(value, request.options)
        return value
    if request.kind is FeedbackType.MULTI_CHOICE:
        if not isinstance(value, list):
            raise InvalidInput("The answer must be a list of options.", errors=[_error("value", "must be a list")])
        for item in value:
            if item not in request.options:
                raise _not_an_option(item, request.options)
        return [option for option in request.options if option in value]
    if not isinstance(value, dict):
        raise InvalidInput("The answer must be an object of fields.", errors=[_error("value", "must be an object")])
    _check_schema(request.schema, value)
    return value


def _not_an_option(value: Any, options: tuple[str, ...]) -> InvalidInput:
    offered = ", ".join(repr(option) for option in options)
    return InvalidInput(
        f"{value!r} is not one of the options: {offered}.", errors=[_error("value", "is not an option")]
    )


def _check_schema(schema: dict[str, Any] | None, value: Any) -> None:
    if not schema:
        return
    errors = [_error(".".join(["value", *place]), message) for place, message in value_errors(schema, value)]
    if errors:
        raise InvalidInput(
            f"The answer does not fit the form: {errors[0]['path']}: {errors[0]['message']}", errors=errors
        )


def _error(path: str, message: str) -> dict[str, str]:
    return {"path": path, "message": message}


@dataclass(slots=True)
class _Open:
    request: FeedbackRequest
    created_at: float
    due: float | None


class FeedbackManager:
    """Requests and answers of one local run. Safe to use from several threads; one answer wins.

    `on_answer(request, answer)` is called once for every decision, outside the lock.
    """

    def __init__(self, on_answer: Callable[[FeedbackRequest, FeedbackAnswer], None] | None = None) -> None:
        self._on_answer = on_answer
        self._lock = threading.RLock()
        self._open: dict[str, _Open] = {}
        self._ids: dict[tuple[str, int, str], str] = {}
        self._answers: dict[str, FeedbackAnswer] = {}
        self._ordinal: dict[str, int] = {}
        self._below: list[FeedbackManager] = []

    @property
    def pending_feedback(self) -> Mapping[str, dict[str, Any]]:
        """A snapshot of the open requests by id, those of workflows that run as steps included."""
        with self._lock:
            found = {feedback_id: _describe(item) for feedback_id, item in self._open.items()}
            below = list(self._below)
        for manager in below:
            found.update(manager.pending_feedback)
        return MappingProxyType(found)

    def attach(self, below: FeedbackManager) -> None:
        """Offer and decide the requests of `below` here too."""
        with self._lock:
            self._below.append(below)

    def detach(self, below: FeedbackManager) -> None:
        with self._lock:
            self._below = [manager for manager in self._below if manager is not below]

    def request_feedback(
        self,
        task_id: str,
        data: Any = None,
        feedback_type: FeedbackType | str = FeedbackType.APPROVAL,
        prompt: str | None = None,
        options: Any = None,
        *,
        key: str | None = None,
        **settings: Any,
    ) -> str:
        """Open a request outside a task's body and return its id; inside one, use the context's manager."""
        with self._lock:
            ordinal = self._ordinal[task_id] = self._ordinal.get(task_id, 0) + 1
        request = asked(task_id, 0, ordinal, key, data, feedback_type, prompt, options, settings)
        return self.open(request, at=0.0)

    def request_approval(self, task_id: str, data: Any = None, prompt: str | None = None, **settings: Any) -> str:
        return self.request_feedback(task_id, data, FeedbackType.APPROVAL, prompt, **settings)

    def request_text_input(self, task_id: str, data: Any = None, prompt: str | None = None, **settings: Any) -> str:
        return self.request_feedback(task_id, data, FeedbackType.TEXT, prompt, **settings)

    def open(self, request: FeedbackRequest, *, at: float) -> str:
        """The id of `request`; the same identity with the same content gives the same id.

        Changed content under the same identity replaces the old request and forgets its answer.
        """
        identity = (request.task_id, request.iteration, request.key)
        with self._lock:
            known = self._ids.get(identity)
            if known is not None and self._same(known, request):
                return known
            if known is not None:
                self._open.pop(known, None)
            feedback_id = self._ids[identity] = str(uuid.uuid4())
            due = None if request.timeout is None or request.on_timeout == "wait" else at + request.timeout
            self._open[feedback_id] = _Open(request, at, due)
            return feedback_id

    def _same(self, feedback_id: str, request: FeedbackRequest) -> bool:
        answer = self._answers.get(feedback_id)
        if answer is not None:
            return answer.fingerprint == request.fingerprint
        item = self._open.get(feedback_id)
        return item is not None and item.request.fingerprint == request.fingerprint

    def was_answered_otherwise(self, request: FeedbackRequest) -> bool:
        """True when this identity was answered for another content (the body asks something else now)."""
        with self._lock:
            known = self._ids.get((request.task_id, request.iteration, request.key))
            answer = self._answers.get(known) if known else None
            return answer is not None and answer.fingerprint != request.fingerprint

    def answer_of(self, feedback_id: str) -> FeedbackAnswer | None:
        with self._lock:
            return self._answers.get(feedback_id)

    def request_of(self, feedback_id: str) -> FeedbackRequest | None:
        with self._lock:
            item = self._open.get(feedback_id)
            return item.request if item else None

    def provide_feedback(
        self, feedback_id: str, response: Any = None, approved: bool = True, reason: str | None = None,
        *, answered_by: str = "",
    ) -> bool:  # fmt: skip
        """Decide a request. False when it is not open or the value does not fit it; then it stays as it was."""
        with self._lock:
            item = self._open.get(feedback_id)
            if item is None:
                return any(
                    manager.provide_feedback(feedback_id, response, approved, reason, answered_by=answered_by)
                    for manager in self._below
                )
            value = None
            if approved:
                edited = item.request.kind is FeedbackType.APPROVAL and response is not None
                try:
                    value = check_answer(item.request, response, edited=edited)
                except InvalidInput:
                    return False
            positive: Decided = "approve" if item.request.kind is FeedbackType.APPROVAL else "answer"
            return self._decide(feedback_id, positive if approved else "reject", value, reason, answered_by)

    def approve(self, feedback_id: str, reason: str | None = None) -> bool:
        return self.provide_feedback(feedback_id, None, True, reason)

    def reject(self, feedback_id: str, reason: str | None = None) -> bool:
        return self.provide_feedback(feedback_id, None, False, reason)

    def provide_text(self, feedback_id: str, text: str) -> bool:
        return self.provide_feedback(feedback_id, text)

    def skip(self, feedback_id: str, reason: str | None = None) -> bool:
        with self._lock:
            taken = self._decide(feedback_id, "skip", None, reason, "")
            return taken or any(manager.skip(feedback_id, reason) for manager in self._below)

    def expire_due(self, now: float) -> None:
        """Apply the default of every request whose deadline has passed."""
        if not self._open:
            return
        with self._lock:
            due = [(i, item.request) for i, item in self._open.items() if item.due is not None and item.due <= now]
        for feedback_id, request in due:
            value = request.data if request.on_timeout == "approve" else None
            decision = cast("Decided", "expire" if request.on_timeout == "error" else request.on_timeout)
            self._decide(feedback_id, decision, value, "nobody answered in time", "")

    def withdraw(self, task_id: str | None = None) -> None:
        """Close the open requests of one task, or all of them."""
        if not self._open:
            return
        with self._lock:
            for feedback_id in [i for i, item in self._open.items() if task_id in (None, item.request.task_id)]:
                del self._open[feedback_id]

    def _decide(self, feedback_id: str, decision: Decided, value: Any, reason: str | None, who: str) -> bool:
        with self._lock:
            item = self._open.pop(feedback_id, None)
            if item is None:
                return False
            answer = FeedbackAnswer(
                feedback_id=feedback_id, decision=decision, value=value, reason=reason, answered_by=who,
                fingerprint=item.request.fingerprint,
            )  # fmt: skip
            self._answers[feedback_id] = answer
        if self._on_answer is not None:
            self._on_answer(item.request, answer)
        return True


def _describe(item: _Open) -> dict[str, Any]:
    request = item.request
    return {
        "task_id": request.task_id,
        "iteration": request.iteration,
        "data": request.data,
        "feedback_type": request.kind,
        "prompt": request.prompt,
        "options": list(request.options),
        "schema": request.schema,
        "editable": request.editable,
        "assignees": request.assignees,
        "timestamp": item.created_at,
    }
