"""The inbox: who is asked what, and the one answer that wins."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from engine.access import SYSTEM, Actor, audit, policy
from engine.core.errors import Conflict, EngineError, Gone, InvalidInput, NotFound
from engine.core.feedback import FeedbackType, check_answer
from engine.runs import database, idempotency, paging, questions, values
from engine.runs.data import Decision, FeedbackItem, Page, iso
from engine.runs.ledger import Refused, Unit, change
from engine.runs.models import FeedbackDecision, FeedbackRequest
from engine.runs.plans import plan_of
from engine.runs.workflows import as_uuid, find

STATES = (FeedbackRequest.OPEN, *FeedbackRequest.DECIDED, FeedbackRequest.WITHDRAWN, FeedbackRequest.SUPERSEDED)
CLOSED, ALL = "closed", "all"  # of `state`: every one that is not open; all of them
KINDS = tuple(kind.value for kind in FeedbackType)
ASSIGNED = ("me", "unassigned", "others")
DECISIONS = ("approve", "answer", "reject", "skip")
MAX_ANSWER_BYTES = 64 * 1024
MAX_REASON = 10_000
_NOBODY = "nobody answered in time"


def list_feedback(
    actor: Actor,
    *,
    run: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    workflow: str | None = None,
    assigned: str | None = None,
    q: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[FeedbackItem]:
    """Questions, newest first: the open ones unless `state` names another state, `closed` (every other one) or `all`.

    `assigned`: me (to me, my groups or everybody), unassigned (to everybody), others.
    """
    policy.require(actor, "feedback.view")
    found = policy.for_user(actor, rows())
    if state == CLOSED:
        found = found.exclude(state=FeedbackRequest.OPEN)
    elif state != ALL:
        found = found.filter(state=_one_of("state", state or FeedbackRequest.OPEN, (*STATES, CLOSED, ALL)))
    if kind:
        found = found.filter(kind=_one_of("kind", kind, KINDS))
    if run:
        public_id = as_uuid(run)
        found = found.filter(run__public_id=public_id) if public_id else found.none()
    if workflow:
        found = found.filter(run__definition=find(actor, "workflow.view", workflow))
    if assigned:
        found = _assigned(found, actor, _one_of("assigned", assigned, ASSIGNED))
    if q:
        found = found.filter(Q(prompt__icontains=q) | Q(task_key__icontains=q) | Q(run__definition__name__icontains=q))
    return paging.page(found, limit, cursor, item)


def get_feedback(actor: Actor, feedback: str) -> FeedbackItem:
    """One question, whatever has become of it."""
    return item(find_feedback(actor, feedback))


def count_open_feedback(actor: Actor) -> int:
    """How many questions wait for this person."""
    if not policy.can(actor, "feedback.view"):
        return 0
    waiting = policy.for_user(actor, FeedbackRequest.objects.filter(state=FeedbackRequest.OPEN))
    return _assigned(waiting, actor, "me").count()


def visible_feedback(actor: Actor, feedback: list[str]) -> list[str]:
    """Those of these ids whose questions this person may see."""
    if not feedback or not policy.can(actor, "feedback.view"):
        return []
    seen = policy.for_user(actor, FeedbackRequest.objects.filter(public_id__in=feedback))
    known = {str(public_id) for public_id in seen.values_list("public_id", flat=True)}
    return [one for one in feedback if one in known]


def answer_feedback(
    actor: Actor,
    feedback: str,
    *,
    decision: str,
    value: Any = None,
    data: Any = None,
    reason: str | None = None,
    payload_hash: str | None = None,
    via: str = "api",
    idempotency_key: str | None = None,
) -> FeedbackItem:
    """Decide a question; the first answer wins.

    `value` is the text, option, list or form; `data` the edited data of an approval. Raises InvalidInput for
    what does not fit, Conflict (with winner, time and decision) when somebody was quicker or the content
    changed, Gone when the run closed the question.
    """
    row = find_feedback(actor, feedback)
    request = [str(row.public_id), decision, value, data, reason]
    if idempotency.known(actor, "answer_feedback", idempotency_key, request) is not None:
        return item(row)
    policy.require(actor, "feedback.answer", row)
    _must_be_open(row)
    if payload_hash is not None and payload_hash != row.payload_hash:
        raise Conflict(
            "The question has changed since you saw it. Look at it again.", code="payload_changed",
            payload_hash=row.payload_hash, version=row.version,
        )  # fmt: skip
    taken = _checked_value(row, decision, value, data)
    try:
        _decide(actor, row, decision, taken, _checked_reason(reason), via, (idempotency_key, request))
    except Conflict:
        # The same request may have come twice at once; then its first copy is what was quicker.
        if idempotency.known(actor, "answer_feedback", idempotency_key, request) is None:
            raise
    return item(rows().get(pk=row.pk))


def expire(pk: int) -> bool:
    """Apply the default of a question whose deadline has passed; False when it was answered meanwhile."""
    row = rows().get(pk=pk)
    decision = "expire" if row.on_timeout == "error" else row.on_timeout
    value = row.data if decision == "approve" else None
    try:
        _decide(SYSTEM, row, decision, value, _NOBODY, "deadline", (None, None), due=True)
    except (Conflict, Gone):
        return False
    return True


def _decide(
    actor: Actor, row: FeedbackRequest, decision: str, value: Any, reason: str | None, via: str,
    once: tuple[str | None, Any], *, due: bool = False,
) -> None:  # fmt: skip
    """One transaction: the guarded update that only one answer passes, the decision, and the run that goes on."""
    who = actor.get_username()

    def step(unit: Unit) -> None:
        waiting = FeedbackRequest.objects.filter(
            pk=row.pk, state=FeedbackRequest.OPEN, version=row.version, payload_hash=row.payload_hash
        )
        if due:
            waiting = waiting.filter(due_at__lte=database.in_seconds(0))
        won = waiting.update(
            state=questions.STATE_OF[decision], decision=decision, value=value, decision_reason=reason,
            decided_by_id=actor.pk, decided_via=via[:12], closed_at=unit.moment,
        )  # fmt: skip
        if won != 1:
            raise Refused
        _keep_decision(actor, row, decision, value, reason, via, unit)
        idempotency.remember(actor, "answer_feedback", *once, str(row.public_id))
        unit.touched_feedback.append(str(row.public_id))
        row.decision, row.decision_reason = decision, reason
        unit.tell(questions.as_news(row, unit.at, who))
        told = {"decision": decision, "payload_hash": row.payload_hash, "via": via, "run": str(row.run.public_id)}
        audit.write(actor, "feedback.decide", "feedback", row.public_id, told)

    try:
        change(row.run_id, step, keys=(row.task_key,))
    except Refused:
        _must_be_open(rows().get(pk=row.pk))
        raise Conflict("The question has changed since you saw it. Look at it again.", code="payload_changed") from None


def _keep_decision(
    actor: Actor, row: FeedbackRequest, decision: str, value: Any, reason: str | None, via: str, unit: Unit
) -> None:
    made = FeedbackDecision(
        request_id=row.pk, user_id=actor.pk, decision=decision, value=value, reason=reason,
        payload_hash=row.payload_hash, via=via[:12], at=unit.moment,
    )  # fmt: skip
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Refused from None


def _must_be_open(row: FeedbackRequest) -> None:
    """Raises Conflict naming the winner, or Gone when the run closed the question."""
    if row.state == FeedbackRequest.OPEN:
        return
    if row.state in FeedbackRequest.DECIDED:
        winner = row.decided_by.get_username() if row.decided_by else "system"
        raise Conflict(
            f"{winner} was quicker: {row.decision} at {iso(row.closed_at)}.", code="already_decided",
            winner=winner, decided_at=iso(row.closed_at), decision=row.decision, reason=row.decision_reason,
            state=row.state,
        )  # fmt: skip
    raise Gone(
        "The run closed this question; nobody can answer it any more.", code="feedback_closed", state=row.state,
        closed_at=iso(row.closed_at), run_status=row.run.status,
    )  # fmt: skip


def _checked_value(row: FeedbackRequest, decision: str, value: Any, edited: Any) -> Any:
    """What the body will get. Raises InvalidInput with the path of the field at fault."""
    if decision not in DECISIONS:
        raise _wrong("decision", f"decision={decision!r} is unknown; use one of: {', '.join(DECISIONS)}.")
    if decision in ("reject", "skip"):
        return None
    is_approval = row.kind == FeedbackType.APPROVAL.value
    if is_approval != (decision == "approve"):
        fitting = "approve, reject or skip" if is_approval else "answer, reject or skip"
        raise _wrong("decision", f"A question of kind {row.kind!r} takes {fitting}, not {decision!r}.")
    given = edited if is_approval else value
    try:
        text = values.check(given, "The answer")
    except values.Unstorable as error:
        raise _wrong("data" if is_approval else "value", str(error)) from None
    if len(text) > MAX_ANSWER_BYTES:
        raise _wrong("value", f"The answer has {len(text)} bytes; at most {MAX_ANSWER_BYTES} are taken.")
    return check_answer(questions.as_question(row), given, edited=is_approval and edited is not None)


def _checked_reason(reason: str | None) -> str | None:
    reason = (reason or "").strip() or None
    if reason is None:
        return None
    if len(reason) > MAX_REASON:
        raise _wrong("reason", f"The reason has {len(reason)} characters; at most {MAX_REASON} are taken.")
    try:
        values.check(reason, "The reason")
    except values.Unstorable as error:
        raise _wrong("reason", str(error)) from None
    return reason


def _wrong(path: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[{"path": path, "message": message}])


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise _wrong(name, f"{name}={value[:40]!r} is unknown; use one of: {', '.join(known)}.")
    return value


def _assigned(found: QuerySet[FeedbackRequest], actor: Actor, whom: str) -> QuerySet[FeedbackRequest]:
    """Questions by whom they are addressed to."""
    everybody = Q(addressed="")
    if whom == "unassigned":
        return found.filter(everybody)
    mine = everybody | Q(addressed__contains=questions.address("user", actor.get_username()))
    for group in policy.group_names(actor):
        mine |= Q(addressed__contains=questions.address("group", group))
    return found.filter(mine) if whom == "me" else found.exclude(mine)


def find_feedback(actor: Actor, feedback: str) -> FeedbackRequest:
    """The row behind a question's id, if this person may see it."""
    public_id = as_uuid(feedback)
    row = rows().filter(public_id=public_id).first() if public_id is not None else None
    if row is None:
        policy.require(actor, "feedback.view")
        raise NotFound(f"There is no question {str(feedback)[:80]!r}, or it is not open to you.")
    policy.require(actor, "feedback.view", row)
    return row


def rows() -> QuerySet[FeedbackRequest]:
    """Questions with what `item` shows of their run."""
    return FeedbackRequest.objects.select_related(
        "run", "run__definition", "run__version", "run__started_by", "decided_by"
    ).defer("run__counters", "run__inputs", "run__definition__draft", "run__version__spec")


def item(row: FeedbackRequest) -> FeedbackItem:
    run = row.run
    return FeedbackItem(
        id=str(row.public_id), run=str(run.public_id), workflow=str(run.definition.public_id),
        workflow_name=run.definition.name, workflow_version=run.version.number, task_id=row.task_key,
        label=_label(run.version_id, row.task_key), iteration=row.iteration, kind=row.kind, prompt=row.prompt,
        data=row.data, payload_hash=row.payload_hash, version=row.version, state=row.state,
        options=tuple(row.options), schema=row.schema, editable=row.editable, assignees=row.assignees,
        requested_by=run.started_by.get_username() if run.started_by else "system", on_timeout=row.on_timeout,
        created_at=row.created_at, due_at=row.due_at, closed_at=row.closed_at, decision=_decision(row),
    )  # fmt: skip


def _decision(row: FeedbackRequest) -> Decision | None:
    if row.decision is None or row.closed_at is None:
        return None
    return Decision(
        decision=row.decision, by=row.decided_by.get_username() if row.decided_by else "system", at=row.closed_at,
        via=row.decided_via, reason=row.decision_reason, value=row.value,
    )  # fmt: skip


def _label(version_id: int, task_key: str) -> str:
    try:
        planned = plan_of(version_id).tasks.get(task_key)
    except EngineError:  # a version whose tasks this process does not know can still be shown
        return task_key
    return (planned.label if planned else "") or task_key
