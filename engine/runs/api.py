"""The one door to workflows, runs and questions.

Every function takes who acts first, asks the policy, is one transaction, writes the audit log when it changes
something, and gives values of `engine.runs.data`. Refusals are the errors of `engine.core.errors`.
"""

from engine.runs.control import pause_run, resume_run, retry_run, stop_run, stop_workflow
from engine.runs.inbox import answer_feedback, count_open_feedback, get_feedback, list_feedback, visible_feedback
from engine.runs.insight import audit, figures, health, metrics
from engine.runs.reading import events_after, get_run, list_runs, run_status, task_detail, workflow_status
from engine.runs.schedules import (
    change_schedule,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_schedules,
)
from engine.runs.starting import start, start_run
from engine.runs.triggers import (
    WrongSecret,
    change_trigger,
    create_trigger,
    delete_trigger,
    get_trigger,
    list_triggers,
)
from engine.runs.triggers import pull as pull_trigger
from engine.runs.unsent import list_unsent, send_again
from engine.runs.workflows import (
    archive_workflow,
    create_workflow,
    get_version,
    get_workflow,
    list_versions,
    list_workflows,
    publish,
    save_draft,
    validate,
)  # fmt: skip

__all__ = [
    "WrongSecret", "answer_feedback", "archive_workflow", "audit", "change_schedule", "change_trigger",
    "count_open_feedback", "create_schedule", "create_trigger", "create_workflow", "delete_schedule",
    "delete_trigger", "events_after", "figures", "get_feedback", "get_run", "get_schedule", "get_trigger", "get_version",
    "get_workflow", "health", "list_feedback", "list_runs", "list_schedules", "list_triggers", "list_unsent", "list_versions",
    "list_workflows", "metrics", "pause_run", "publish", "pull_trigger", "resume_run", "retry_run", "run_status",
    "save_draft", "send_again", "start", "start_run", "stop_run", "stop_workflow", "task_detail", "validate",
    "visible_feedback", "workflow_status",
]  # fmt: skip
