"""Starting runs.

On PostgreSQL a plain start reads all it has to know by one query and writes all it does by one statement. Everything
else is a transaction of several statements.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from engine.access import Actor, audit, policy
from engine.core import news as n
from engine.core.errors import Conflict, InvalidInput, NotFound
from engine.core.plan import Plan
from engine.core.schema import checked_inputs as core_checked
from engine.runs import admission, attempts, data, database, deadlines, idempotency, reading, values
from engine.runs.birth import begin, begin_at_a_stroke
from engine.runs.ledger import RUN, Unit
from engine.runs.models import Run, WorkflowDefinition, WorkflowVersion
from engine.runs.plans import plan_of
from engine.runs.prepared import Columns
from engine.runs.statements import Moved
from engine.runs.workflows import as_uuid, no_such
from engine.sql import NeedsLock, row

log = logging.getLogger(__name__)

MODES = ("live", "test")
MAX_INPUT_BYTES = 1_000_000
MAX_KEY = 200


def start_run(actor: Actor, **wanted: Any) -> data.Run:
    """As `start`, for callers who want to see the run."""
    return reading.get_run(actor, start(actor, **wanted))


def start(
    actor: Actor,
    *,
    workflow: str,
    version: int | None = None,
    inputs: dict[str, Any] | None = None,
    mode: str = "live",
    deadline: float | None = None,
    business_key: str | None = None,
    idempotency_key: str | None = None,
    scope: str = "start_run",
) -> str:
    """Start a published version, the latest when none is named; the id of the run, which is on disk.

    `deadline` are the seconds it may take, instead of the workflow's own. A second start of the workflow with
    the same `business_key` gives the first run, for ever; one with the same `idempotency_key` for 24 hours, within
    the same `scope` of keys. Raises Conflict when nothing is published, InvalidInput for inputs that do not fit,
    LimitExceeded when the engine or the disk is full.
    """
    if mode not in MODES:
        raise InvalidInput(f"mode={mode!r} is unknown; use one of: {', '.join(MODES)}.")
    sight = _look(actor, "run.start" if mode == "live" else "run.start_test", workflow, version)
    definition = sight.definition
    if definition.archived_at is not None:
        raise Conflict(f"Workflow {definition.name!r} is archived and cannot be started.", code="archived")
    chosen = _required(definition, version, sight.version)
    plan = plan_of(chosen.pk)
    given = checked_inputs(plan, inputs or {})
    seconds = deadlines.seconds_of(plan, deadline)
    _check_key(business_key)
    wish = _Wish(actor, definition, chosen, plan, given, mode, seconds, business_key)
    if business_key is None and idempotency_key is None and sight.can_be_one_statement:
        try:
            return wish.at_a_stroke(sight)
        except (Moved, NeedsLock, OperationalError, InterfaceError) as why:
            log.debug("starting: %s is started by a transaction: %r", definition.slug, why)
    more = {"deadline": deadline, "business_key": business_key}
    asked = {name: value for name, value in more.items() if value is not None}
    request = [str(definition.public_id), version, given, mode, *([asked] if asked else [])]

    def once() -> str:
        with database.writing():
            return idempotency.once(actor, scope, idempotency_key, request, wish.in_transaction)

    return database.retried(once)


# -- what there is to start -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What a start has to know. On PostgreSQL also the database's time and how many attempts are on the wire."""

    definition: WorkflowDefinition
    version: WorkflowVersion | None
    more: Sequence[Any]

    @property
    def can_be_one_statement(self) -> bool:
        return bool(self.more) and not connection.in_atomic_block

    @property
    def moment(self) -> datetime:
        moment: datetime = self.more[0]
        return moment

    @property
    def waiting(self) -> int:
        return int(self.more[1])


def _without(model: type[Any], large: str) -> Columns[Any]:
    return Columns(model, [column.attname for column in model._meta.concrete_fields if column.attname != large])


_DEFINITION: Columns[WorkflowDefinition] = _without(WorkflowDefinition, "draft")
_VERSION: Columns[WorkflowVersion] = _without(WorkflowVersion, "spec")


def _look(actor: Actor, action: str, workflow: str, number: int | None) -> _Sight:
    """A workflow by its id or slug, if this person may do `action` on it, and one of its versions, the latest for None."""
    public_id = as_uuid(workflow)  # never a slug
    on_postgresql = database.on_postgresql()
    wire = (attempts.window() + 1,) if on_postgresql else ()
    named = (workflow[:120],) if public_id is None else (public_id if on_postgresql else public_id.hex,)
    found = row(_query("slug" if public_id is None else "public_id", on_postgresql), (*wire, number, *named))
    if found is None:
        raise no_such(actor, workflow)
    first, second = len(_DEFINITION.names), len(_DEFINITION.names) + len(_VERSION.names)
    definition = _DEFINITION.instance(found[:first])
    policy.require(actor, action, definition)
    has_version = found[first] is not None
    version = _VERSION.instance(found[first:second]) if has_version else None
    return _Sight(definition=definition, version=version, more=found[second:])


@cache
def _query(name: str, on_postgresql: bool) -> str:
    more = f", clock_timestamp(), ({attempts.WAITING})" if on_postgresql else ""
    return (
        f"SELECT {_DEFINITION.text}, {_VERSION.text}{more} FROM engine_workflowdefinition LEFT JOIN engine_workflowversion "  # noqa: S608
        "ON definition_id = engine_workflowdefinition.id AND number = coalesce(%s, latest_version) "
        f"WHERE engine_workflowdefinition.{name} = %s"
    )


def version_of(definition: WorkflowDefinition, number: int | None) -> WorkflowVersion:
    """A published version, the latest for None. Raises Conflict when nothing is published, NotFound."""
    wanted = definition.latest_version if number is None else number
    return _required(definition, number, _VERSION.first("definition_id = %s AND number = %s", (definition.pk, wanted)))


def _required(definition: WorkflowDefinition, number: int | None, found: WorkflowVersion | None) -> WorkflowVersion:
    if found is not None:
        return found
    if number is None:
        raise Conflict(
            f"Workflow {definition.name!r} has no published version yet. Publish its draft first.", code="not_published"
        )
    raise NotFound(f"Workflow {definition.name!r} has no version {number}.")


def checked_inputs(plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """`inputs`, if they can be kept and fit the workflow. Raises InvalidInput."""
    try:
        text = values.check(inputs, "The inputs")
    except values.Unstorable as wrong:
        raise InvalidInput(str(wrong), errors=[{"path": "inputs", "message": str(wrong)}]) from None
    if len(text) > MAX_INPUT_BYTES:
        raise InvalidInput(f"The inputs have {len(text)} bytes; at most {MAX_INPUT_BYTES} are kept.")
    return core_checked(plan.inputs_schema, inputs)


def _check_key(business_key: str | None) -> None:
    if business_key is not None and not 0 < len(business_key) <= MAX_KEY:
        message = f"business_key has {len(business_key)} characters; expected 1 to {MAX_KEY}, for example 'order-4711'."
        raise InvalidInput(message, errors=[{"path": "business_key", "message": message}])


# -- starting it ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Wish:
    """A start whose permission and inputs have been checked."""

    actor: Actor
    definition: WorkflowDefinition
    version: WorkflowVersion
    plan: Plan
    inputs: dict[str, Any]
    mode: str
    seconds: float | None
    business_key: str | None
    public_id: uuid.UUID = field(default_factory=uuid.uuid4)
    """Of the run, however often it is tried to start it: a try that seemed to fail may have been kept."""
    tries: int = 0

    def at_a_stroke(self, sight: _Sight) -> str:
        """One statement. Raises Moved and NeedsLock when it takes more."""
        if self.seconds is not None:
            raise NeedsLock("a deadline has its timer")
        self.tries += 1
        admission.admit()
        begin_at_a_stroke(self._run(sight.moment), self.plan, _start, audit.drafted(*self._deed), sight.waiting)
        return str(self.public_id)

    def in_transaction(self) -> str:
        """As part of the caller's transaction."""
        self.tries += 1
        if found := self._known():
            return found
        admission.admit()
        may_be_there = self.business_key is not None or self.tries > 1
        try:
            with transaction.atomic() if may_be_there else nullcontext():
                run = self._run(database.now())
                insert(run, self.seconds)
        except IntegrityError:  # somebody with the same key was quicker, or the try before was kept after all
            if found := self._known():
                return found
            raise
        begin(run, self.plan, _start)
        audit.write(*self._deed)
        return str(self.public_id)

    @property
    def _deed(self) -> tuple[Actor, str, str, uuid.UUID, dict[str, Any]]:
        told = {"workflow": str(self.definition.public_id), "version": self.version.number, "mode": self.mode}
        return self.actor, "run.start", "run", self.public_id, told

    def _run(self, moment: datetime) -> Run:
        return Run(
            public_id=self.public_id, definition=self.definition, version=self.version, inputs=self.inputs, counters={},
            mode=self.mode, started_by_id=self.actor.pk, created_at=moment, engine_abi=self.version.engine_abi,
            business_key=self.business_key,
        )  # fmt: skip

    def _known(self) -> str | None:
        """The id of the run that was started with this key, or by the try before."""
        if self.business_key is not None:
            rows = Run.objects.filter(definition=self.definition, business_key=self.business_key)
        elif self.tries > 1:
            rows = Run.objects.filter(public_id=self.public_id)
        else:
            return None
        return next((str(public_id) for public_id in rows.values_list("public_id", flat=True)), None)


def insert(run: Run, seconds: float | None) -> None:
    """Write the row of a new run, which may take so long."""
    deadlines.arm(run, seconds)
    RUN.insert(run)
    deadlines.keep_timer(run)


def _start(unit: Unit) -> None:
    unit.tell(n.RunStarted(unit.at))


__all__ = ["checked_inputs", "insert", "start", "start_run", "version_of"]
