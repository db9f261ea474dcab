"""The JSON shapes of requests and answers. Requests are checked by them; answers are described by them.

Answers come as finished dictionaries from `engine.runs.data`; `tests/rest` holds both sides together. Fields may be
named like attributes of DRF's classes (`data`, `label`): DRF takes them off the class, the type checker cannot know.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.serializers import Serializer

DECISIONS = ("approve", "reject", "skip", "answer")
MODES = ("live", "test")
MISSED = ("skip", "once")


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.JSONField):
    """A JSON object, kept as it is."""

    default_error_messages = {"object": "must be a JSON object."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("object")
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.ANY)
class AnyField(serializers.JSONField):
    """Any JSON value, null included."""

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        # Not `allow_null`: the schema would then say "anything, or else null", which null fits twice.
        return (True, None) if data is None else super().validate_empty_values(data)


class ProblemShape(Serializer[Any]):
    """RFC 9457. Further members depend on the code."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.ListField(child=ObjectField())  # type: ignore[assignment]


class DefinitionProblem(Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    path = serializers.CharField(allow_blank=True)


class ProblemsShape(Serializer[Any]):
    problems = DefinitionProblem(many=True)


class WorkflowCreate(Serializer[Any]):
    name = serializers.CharField(max_length=100)
    document = ObjectField()


class WorkflowImport(Serializer[Any]):
    is_open = True  # an export tells more than an import needs

    name = serializers.CharField(max_length=100, required=False)
    document = ObjectField()


class DraftSave(Serializer[Any]):
    name = serializers.CharField(max_length=100, required=False)
    document = ObjectField(required=False)


class ValidateBody(Serializer[Any]):
    is_open = True

    document = ObjectField()


class PublishBody(Serializer[Any]):
    note = serializers.CharField(max_length=2_000, required=False, allow_blank=True, default="")
    base_revision = serializers.IntegerField(required=False, min_value=0)


class WorkflowShape(Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    document = ObjectField()
    draft_revision = serializers.IntegerField()
    latest_version = serializers.IntegerField(allow_null=True)
    archived_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    updated_by = serializers.CharField(allow_blank=True)


class VersionShape(Serializer[Any]):
    workflow = serializers.UUIDField()
    number = serializers.IntegerField()
    note = serializers.CharField(allow_blank=True)
    document = ObjectField()
    published_at = serializers.DateTimeField()
    published_by = serializers.CharField(allow_blank=True)


class WorkflowStatusShape(Serializer[Any]):
    workflow_id = serializers.CharField()
    run_id = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    tasks_completed = serializers.IntegerField()
    tasks_pending = serializers.IntegerField()
    start_time = serializers.DateTimeField(allow_null=True)


class StopShape(Serializer[Any]):
    message = serializers.CharField()
    stopped = serializers.ListField(child=serializers.CharField())


class RunStart(Serializer[Any]):
    workflow = serializers.CharField(max_length=100)
    version = serializers.IntegerField(required=False, allow_null=True, min_value=1, default=None)
    inputs = ObjectField(required=False, allow_null=True, default=None)
    mode = serializers.ChoiceField(choices=MODES, required=False, default="live")
    deadline = serializers.FloatField(
        required=False, allow_null=True, default=None, help_text="seconds the run may take"
    )
    business_key = serializers.CharField(
        max_length=200,
        required=False,
        allow_null=True,
        default=None,
        help_text="unique within the workflow; a second start with it gives the first run",
    )


class ReasonBody(Serializer[Any]):
    reason = serializers.CharField(max_length=2_000, required=False, allow_null=True, allow_blank=True, default=None)


class RetryBody(Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        # The key is a reserved word of Python, so it cannot be an attribute.
        start = serializers.CharField(
            max_length=200, required=False, default="failed", help_text='"failed", or the id of a task'
        )
        return {"from": start}


class TaskShape(Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    uses = serializers.CharField(allow_null=True)
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    status = serializers.CharField()
    outcome = serializers.CharField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    error = serializers.CharField(allow_null=True)
    iteration = serializers.IntegerField()
    attempt = serializers.IntegerField()
    max_cycle = serializers.IntegerField(allow_null=True, help_text="the limit in force; 0: none")
    max_cycle_from = serializers.ChoiceField(["task", "code", "workflow", "engine"], allow_null=True)
    cycle_count = serializers.IntegerField(help_text="counts against max_cycle, anew per entry into the loop")
    item = serializers.IntegerField(allow_null=True, help_text="of a task a map step made: its item, from 1")
    version = serializers.IntegerField(help_text="grows with every change of this task")
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class ChildShape(Serializer[Any]):
    """A run that a step of kind workflow has started."""

    task_id = serializers.CharField()
    iteration = serializers.IntegerField()
    attempt = serializers.IntegerField()
    workflow = serializers.CharField(help_text="the slug it was started by")
    run = serializers.UUIDField()
    status = serializers.CharField()


class RunShape(Serializer[Any]):
    """In lists `tasks` and `children` are empty and `definition` null."""

    id = serializers.UUIDField()
    workflow = serializers.UUIDField()
    workflow_name = serializers.CharField()
    workflow_slug = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    mode = serializers.CharField()
    seq = serializers.IntegerField()
    inputs = ObjectField()
    open_feedback = serializers.IntegerField()
    retry_of = serializers.CharField(allow_null=True)
    parent = serializers.CharField(  # type: ignore[assignment]
        allow_null=True, help_text="the run whose step waits for this one"
    )
    parent_task = serializers.CharField(allow_null=True)
    started_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)
    business_key = serializers.CharField(allow_null=True)
    min_seq = serializers.IntegerField(help_text="the oldest event that is still here")
    tasks = TaskShape(many=True)
    children = ChildShape(many=True)
    definition = ObjectField(allow_null=True)


class ScheduleBody(Serializer[Any]):
    cron = serializers.CharField(max_length=100, help_text="five fields: minute hour day-of-month month day-of-week")
    zone = serializers.CharField(max_length=64, required=False, default="UTC", help_text="such as Europe/Berlin")
    inputs = ObjectField(required=False, default=dict)
    missed = serializers.ChoiceField(choices=MISSED, required=False, default="once")
    enabled = serializers.BooleanField(required=False, default=True)


class ScheduleChange(ScheduleBody):
    """What is left out stays."""

    cron = serializers.CharField(max_length=100, required=False)
    zone = serializers.CharField(max_length=64, required=False)
    inputs = ObjectField(required=False)
    missed = serializers.ChoiceField(choices=MISSED, required=False)
    enabled = serializers.BooleanField(required=False)


class ScheduleShape(Serializer[Any]):
    id = serializers.UUIDField()
    workflow = serializers.UUIDField()
    cron = serializers.CharField()
    zone = serializers.CharField()
    inputs = ObjectField()
    enabled = serializers.BooleanField()
    missed = serializers.CharField()
    next_at = serializers.DateTimeField(allow_null=True)
    upcoming = serializers.ListField(child=serializers.DateTimeField(), help_text="the next five times")
    last_at = serializers.DateTimeField(allow_null=True)
    last_run = serializers.UUIDField(allow_null=True)
    problem = serializers.CharField(allow_blank=True, help_text="why the newest start did not succeed")
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class TriggerBody(Serializer[Any]):
    name = serializers.CharField(max_length=100)
    signed = serializers.BooleanField(
        required=False, default=False, help_text="callers sign their bodies instead of sending the secret"
    )
    enabled = serializers.BooleanField(required=False, default=True)


class TriggerChange(Serializer[Any]):
    name = serializers.CharField(max_length=100, required=False)
    enabled = serializers.BooleanField(required=False)


class TriggerShape(Serializer[Any]):
    id = serializers.UUIDField()
    workflow = serializers.UUIDField()
    name = serializers.CharField()
    signed = serializers.BooleanField()
    prefix = serializers.CharField(help_text="the beginning of the secret")
    path = serializers.CharField()
    enabled = serializers.BooleanField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    secret = serializers.CharField(allow_null=True, help_text="only in the answer that made the trigger")


class RunStatusShape(Serializer[Any]):
    id = serializers.UUIDField()
    workflow = serializers.UUIDField()
    status = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    seq = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    tasks = ObjectField(help_text="number of tasks by status")
    tasks_completed = serializers.IntegerField()
    tasks_pending = serializers.IntegerField()
    open_feedback = serializers.IntegerField()


class EventShape(Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        return {
            "seq": serializers.IntegerField(),
            "type": serializers.CharField(),
            "task_id": serializers.CharField(allow_null=True),
            "from": serializers.CharField(allow_null=True),
            "to": serializers.CharField(allow_null=True),
            "iteration": serializers.IntegerField(allow_null=True),
            "attempt": serializers.IntegerField(allow_null=True),
            "at": serializers.DateTimeField(),
            "data": ObjectField(required=False),
        }


class EventsShape(Serializer[Any]):
    results = EventShape(many=True)
    last_seq = serializers.IntegerField()
    reload = serializers.BooleanField(
        required=False, help_text="only when true: the next events are archived; fetch the run and go on from its seq"
    )
    min_seq = serializers.IntegerField(required=False, help_text="with `reload`: the oldest event that is still here")


class AnswerBody(Serializer[Any]):
    decision = serializers.ChoiceField(choices=DECISIONS)
    value = AnyField(required=False, default=None)
    data = AnyField(required=False, default=None)  # type: ignore[assignment]
    reason = serializers.CharField(max_length=10_000, required=False, allow_null=True, allow_blank=True, default=None)
    payload_hash = serializers.CharField(max_length=128, required=False, allow_null=True, default=None)


class CommentBody(Serializer[Any]):
    text = serializers.CharField(max_length=10_000)


class DecisionShape(Serializer[Any]):
    decision = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    via = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    value = AnyField()


class FeedbackShape(Serializer[Any]):
    id = serializers.UUIDField()
    run = serializers.UUIDField()
    workflow = serializers.UUIDField()
    workflow_name = serializers.CharField()
    workflow_version = serializers.IntegerField()
    task_id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    iteration = serializers.IntegerField()
    kind = serializers.CharField()
    prompt = serializers.CharField(allow_blank=True)
    data = AnyField()  # type: ignore[assignment]
    payload_hash = serializers.CharField()
    version = serializers.IntegerField()
    state = serializers.CharField()
    options = serializers.ListField(child=serializers.CharField())
    schema = AnyField()
    editable = serializers.BooleanField()
    assignees = ObjectField()
    requested_by = serializers.CharField(allow_blank=True)
    on_timeout = serializers.CharField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    decision = DecisionShape(allow_null=True)


class AttemptShape(Serializer[Any]):
    iteration = serializers.IntegerField()
    number = serializers.IntegerField()
    token = serializers.IntegerField()
    state = serializers.CharField()
    worker = serializers.CharField(allow_null=True)
    queued_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    inputs = AnyField()
    result = AnyField()
    error = serializers.CharField(allow_null=True)
    traceback = serializers.CharField(allow_null=True)


class TaskDetailShape(TaskShape):
    run = serializers.UUIDField()
    result = AnyField()
    attempts = AttemptShape(many=True)
    feedback = FeedbackShape(many=True)
    children = ChildShape(many=True)
    events = EventShape(many=True)


class CatalogueTask(Serializer[Any]):
    name = serializers.CharField()
    doc = serializers.CharField(allow_blank=True)
    module = serializers.CharField()
    parameters = ObjectField()
    defaults = ObjectField()


class CatalogueShape(Serializer[Any]):
    results = CatalogueTask(many=True)
    kinds = serializers.ListField(child=ObjectField())


class MetricsShape(Serializer[Any]):
    tasks_executed = serializers.IntegerField()
    tasks_failed = serializers.IntegerField()
    average_execution_time = serializers.FloatField(help_text="seconds")
    uptime = serializers.FloatField(help_text="seconds")


class AuditShape(Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    action = serializers.CharField()
    obj_type = serializers.CharField()
    obj_id = serializers.CharField()
    via = serializers.CharField()
    data = ObjectField()  # type: ignore[assignment]


class UnsentShape(Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(["mail", "webhook"])
    recipient = serializers.CharField()
    subject = serializers.CharField()
    tries = serializers.IntegerField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    run = serializers.UUIDField()
    task = serializers.CharField()
    workflow = serializers.CharField()


def listed(item: type[Serializer[Any]]) -> Any:
    """The shape of one page of `item`s."""
    fields: dict[str, Any] = {"results": item(many=True), "next": serializers.URLField(allow_null=True)}
    return inline_serializer(f"{item.__name__.removesuffix('Shape')}List", fields)
