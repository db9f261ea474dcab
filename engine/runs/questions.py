"""Questions to people and their answers, as rows of a run.

`StoredAnswers` is what a body reads through; the rest is called inside a change of the run.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.core.feedback import FeedbackAnswer, FeedbackType
from engine.core.feedback import FeedbackRequest as Question
from engine.core.news import Answered, TaskSuspended
from engine.core.state import TaskStatus
from engine.runs.models import FeedbackRequest
from engine.runs.prepared import Columns

if TYPE_CHECKING:
    from engine.runs.ledger import Unit

POSITIVE = ("approve", "answer")
_ROW = Columns(FeedbackRequest)
_MAY_ASK = (TaskStatus.READY, TaskStatus.RUNNING, TaskStatus.RETRY_WAITING, TaskStatus.FEEDBACK_REQUIRED)
STATE_OF = {"approve": "answered", "answer": "answered", "reject": "rejected", "skip": "skipped", "expire": "expired"}


def id_of(run: uuid.UUID, question: Question, version: int) -> uuid.UUID:
    """The id of a question: known before its row is there, and the same in every execution of the body."""
    return uuid.uuid5(run, "\x1f".join((question.task_id, str(question.iteration), question.key, str(version))))


class StoredAnswers:
    """The feedback port of one task: remembered questions and answers."""

    def __init__(self, run: uuid.UUID, task_row: int | None) -> None:
        self._run, self._task_row = run, task_row

    def lookup(self, request: Question) -> tuple[str, FeedbackAnswer | None, bool]:
        row = _newest(self._task_row, request)
        if row is None:
            return str(id_of(self._run, request, 1)), None, False
        if row.payload_hash != request.fingerprint:
            return str(id_of(self._run, request, row.version + 1)), None, row.state in FeedbackRequest.DECIDED
        return str(row.public_id), _answer(row), False


def _newest(task_row: int | None, request: Question) -> FeedbackRequest | None:
    same = "task_id = %s AND iteration = %s AND key = %s ORDER BY version DESC"
    return _ROW.first(same, (task_row, request.iteration, request.key))


def _answer(row: FeedbackRequest) -> FeedbackAnswer | None:
    if row.state not in FeedbackRequest.DECIDED:
        return None
    return FeedbackAnswer(
        feedback_id=str(row.public_id), decision=_decision(row), value=row.value, reason=row.decision_reason,
        fingerprint=row.payload_hash,
    )  # fmt: skip


def _decision(row: FeedbackRequest) -> Any:
    """One of the core's words, which the type of the column does not know."""
    return row.decision


def open_requests(unit: Unit, news: TaskSuspended) -> dict[str, FeedbackRequest]:
    """The rows of what a suspended body asked, by key; new ones where it had not asked the same before."""
    asked: dict[str, FeedbackRequest] = {}
    for question in news.requests:
        row = _newest(unit.table.row_id(news.task_id), question)
        version = 1
        if row is not None:
            if row.payload_hash == question.fingerprint and row.state != FeedbackRequest.WITHDRAWN:
                asked[question.key] = row
                continue
            version = row.version + 1
            if row.state == FeedbackRequest.OPEN:
                _close(unit, [row], FeedbackRequest.SUPERSEDED)
        asked[question.key] = _open(unit, question, version)
    return asked


def _open(unit: Unit, question: Question, version: int) -> FeedbackRequest:
    waits = question.timeout is not None and question.on_timeout != "wait"
    row = FeedbackRequest(
        public_id=id_of(unit.run.public_id, question, version),
        run_id=unit.run.pk, task_id=unit.table.row_id(question.task_id), task_key=question.task_id,
        iteration=question.iteration, key=question.key, version=version, kind=question.kind.value,
        prompt=question.prompt, data=question.data, payload_hash=question.fingerprint, options=list(question.options),
        schema=question.schema, editable=question.editable, timeout=question.timeout, on_timeout=question.on_timeout,
        on_reject=question.on_reject, assignees=question.assignees,
        addressed=_addressed(question.assignees), created_at=unit.moment,
        due_at=unit.moment + timedelta(seconds=question.timeout or 0) if waits else None,
    )  # fmt: skip
    _ROW.insert(row)
    unit.touched_feedback.append(str(row.public_id))
    return row


def address(kind: str, name: str) -> str:
    """How a user or group stands among the addressed of a question."""
    return f"\n{kind}:{name}\n"


def _addressed(assignees: dict[str, list[str]]) -> str:
    users = [address("user", name) for name in assignees.get("users", ())]
    return "".join(users + [address("group", name) for name in assignees.get("groups", ())])


def withdraw(unit: Unit, task_id: str | None) -> None:
    """Close the open questions of one task, or of the whole run."""
    if not unit.run.open_feedback and not unit.touched_feedback:
        return
    rows = FeedbackRequest.objects.filter(run_id=unit.run.pk, state=FeedbackRequest.OPEN)
    if task_id is not None:
        rows = rows.filter(task_key=task_id)
    _close(unit, list(rows), FeedbackRequest.WITHDRAWN)


def withdraw_left_over(unit: Unit) -> None:
    """Close what an execution asked and never waited for, once that execution is over."""
    if not unit.run.open_feedback:
        return
    rows = FeedbackRequest.objects.filter(
        run_id=unit.run.pk, state=FeedbackRequest.OPEN, task_key__in=[key for key in unit.changed if key in unit.table]
    )
    _close(unit, [row for row in rows if _is_over(unit, row)], FeedbackRequest.WITHDRAWN)


def _is_over(unit: Unit, row: FeedbackRequest) -> bool:
    task = unit.state.tasks[row.task_key]
    return row.iteration != task.iteration or task.status not in _MAY_ASK


def _close(unit: Unit, rows: list[FeedbackRequest], state: str) -> None:
    if rows:
        FeedbackRequest.objects.filter(pk__in=[row.pk for row in rows]).update(state=state, closed_at=unit.moment)
        unit.touched_feedback += [str(row.public_id) for row in rows]


def as_news(row: FeedbackRequest, at: float, actor: str = "") -> Answered:
    """The decision of a request as news for its run."""
    return Answered(
        task_id=row.task_key, at=at, decision=_decision(row), feedback_id=str(row.public_id), reason=row.decision_reason,
        reraise=row.on_reject == "raise", data=row.data, actor=actor,
    )  # fmt: skip


def as_question(row: FeedbackRequest) -> Question:
    """The core's form of a stored request, to check answers against."""
    return Question(
        task_id=row.task_key, iteration=row.iteration, key=row.key, kind=FeedbackType(row.kind), prompt=row.prompt,
        data=row.data, options=tuple(row.options), schema=row.schema, editable=row.editable, timeout=row.timeout,
        on_timeout=row.on_timeout, on_reject=row.on_reject, assignees=row.assignees,
    )  # fmt: skip
