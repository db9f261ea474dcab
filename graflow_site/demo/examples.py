"""The example workflows as definition documents, installed and published by the first start."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}


def _place(**places: tuple[int, int]) -> dict[str, dict[str, int]]:
    return {task_id: {"x": x, "y": y} for task_id, (x, y) in places.items()}


DRAFT_AND_REVIEW: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Draft and review",
    "description": "Writes a draft, asks a person, and goes round until it is approved. A rejection's reason shapes the next version.",
    "inputs": {
        "type": "object",
        "properties": {"topic": {**_TEXT, "title": "Topic", "default": "review loops", "minLength": 1}},
        "required": ["topic"],
    },
    "defaults": {"max_cycle": 5},
    "tasks": [
        {
            "id": "draft", "kind": "task", "uses": "demo.write_draft", "label": "Write draft", "max_cycle": 5,
            "params": {"topic": {"$": "inputs.topic"}, "tone": "plain"},
        },
        {
            "id": "review", "kind": "approval", "label": "Review", "prompt": "Publish this draft?", "data": {"$": "draft"},
        },
        {"id": "publish", "kind": "task", "uses": "demo.publish_text", "label": "Publish", "params": {"draft": {"$": "draft"}}},
    ],
    "edges": [
        {"source": "draft", "target": "review"},
        {"source": "review", "target": "publish"},
        {"source": "review", "target": "draft", "on": "rejected", "loop": True},
    ],
    "groups": [],
    "layout": _place(draft=(0, 80), review=(300, 80), publish=(600, 80)),
}  # fmt: skip

REFINE: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Refine until converged",
    "description": "Finds a square root by Newton's method: one step per iteration, until two steps differ by less than a millionth.",
    "inputs": {
        "type": "object",
        "properties": {"number": {"type": "number", "title": "Number", "default": 612, "exclusiveMinimum": 0}},
        "required": ["number"],
    },
    "defaults": {},
    "tasks": [
        {"id": "start", "kind": "task", "uses": "demo.first_guess", "label": "First guess"},
        {"id": "step", "kind": "task", "uses": "demo.newton_step", "label": "Improve", "max_cycle": 50},
        {"id": "report", "kind": "task", "uses": "demo.describe_root", "label": "Report"},
    ],
    "edges": [
        {"source": "start", "target": "step"},
        {"source": "step", "target": "step", "loop": True, "converge": {"value": "step.guess", "tolerance": 1e-6}},
        {"source": "step", "target": "report"},
    ],
    "groups": [],
    "layout": _place(start=(0, 80), step=(300, 80), report=(600, 80)),
}

PARALLEL_CHECKS: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Parallel checks with a barrier",
    "description": "Three checks look at one text side by side; the verdict waits for all of them.",
    "inputs": {
        "type": "object",
        "properties": {
            "text": {
                **_TEXT, "title": "Text", "minLength": 1,
                "default": "The the report is ready. It covers 120 % of what was asked. Please read it.",
            }
        },
        "required": ["text"],
    },
    "defaults": {"execution_mode": "parallel"},
    "tasks": [
        {"id": "take", "kind": "task", "uses": "demo.take_text", "label": "Take text"},
        {"id": "length", "kind": "task", "uses": "demo.check_length", "label": "Check length"},
        {"id": "repetition", "kind": "task", "uses": "demo.check_repetition", "label": "Check repetition"},
        {"id": "numbers", "kind": "task", "uses": "demo.check_numbers", "label": "Check numbers"},
        {"id": "verdict", "kind": "task", "uses": "demo.verdict", "label": "Verdict"},
    ],
    "edges": [{"source": "take", "target": "checks"}, {"source": "checks", "target": "verdict"}],
    "groups": [{"id": "checks", "members": ["length", "repetition", "numbers"], "policy": "strict"}],
    "layout": _place(take=(0, 140), length=(300, 0), repetition=(300, 140), numbers=(300, 280), verdict=(600, 140)),
}  # fmt: skip

FLAKY_SOURCE: dict[str, Any] = {
    "schema": "graflow/1",
    "name": "Flaky source with retries",
    "description": "Reads from a source that is busy at first. Retries wait without holding a worker, then the rows are summarised.",
    "inputs": {
        "type": "object",
        "properties": {
            "busy_times": {"type": "integer", "title": "Busy times", "default": 2, "minimum": 0, "maximum": 4}
        },
    },
    "defaults": {},
    "tasks": [
        {
            "id": "read",
            "kind": "task",
            "uses": "demo.read_source",
            "label": "Read source",
            "max_retries": 4,
            "retry_delay": 0.5,
        },
        {"id": "rows", "kind": "task", "uses": "demo.clean_rows", "label": "Clean rows"},
        {"id": "summary", "kind": "task", "uses": "demo.summarise_rows", "label": "Summarise"},
    ],
    "edges": [{"source": "read", "target": "rows"}, {"source": "rows", "target": "summary"}],
    "groups": [],
    "layout": _place(read=(0, 80), rows=(300, 80), summary=(600, 80)),
}

EXAMPLES: list[dict[str, Any]] = [DRAFT_AND_REVIEW, REFINE, PARALLEL_CHECKS, FLAKY_SOURCE]
