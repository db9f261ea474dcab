"""What the pages call things: one place for the words people read."""

from __future__ import annotations

from datetime import datetime
from typing import Final

RUN_STATUS_WORDS: Final = {
    "pending": "Pending",
    "running": "Running",
    "waiting": "Waiting for a person",
    "paused": "Paused",
    "stopping": "Stopping",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "rejected": "Rejected",
    "stopped": "Stopped",
}
TASK_STATUS_WORDS: Final = {
    "blocked": "Blocked",
    "ready": "Ready",
    "running": "Running",
    "planned": "Planned",
    "feedback_required": "Waiting for a person",
    "rejected": "Rejected",
    "success": "Success",
    "error": "Error",
    "retry_waiting": "Waiting to retry",
    "skipped": "Skipped",
    "completed": "Completed",
}
KIND_WORDS: Final = {
    "approval": "Approval",
    "text": "Text",
    "choice": "Choice",
    "multi_choice": "Several choices",
    "form": "Form",
}
DECISION_WORDS: Final = {
    "approve": "Approved",
    "answer": "Answered",
    "reject": "Rejected",
    "skip": "Skipped",
    "expire": "Expired",
}

REASON_WORDS: Final = {
    "stalled": "nothing could go on",
    "step_limit": "it took more steps than a run may take",
    "deadline": "its time was up",
}

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def ago(at: datetime, now: datetime) -> str:
    """The distance of `at` from `now` in words; the browser's `agoWords` says the same."""
    seconds = (now - at).total_seconds()
    for size, name in _UNITS:
        count = int(abs(seconds) // size)
        if count:
            words = f"{count} {name}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now" if seconds >= 0 else "in a moment"


def span(seconds: float) -> str:
    """A length of time, short: 340 ms, 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3_600)} h {int(seconds % 3_600 // 60)} min"
