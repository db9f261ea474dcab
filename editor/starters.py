"""Documents a new workflow can begin with. They need no code of the site: people and built-in steps only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from engine.runs.data import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    key: str
    title: str
    description: str
    icon: str
    document: dict[str, Any]


def starters(existing: Iterable[Workflow]) -> list[Starter]:
    """The built-in starters, then a copy of each workflow this person can see."""
    copies = [
        Starter(
            key=f"copy-{workflow.id}",
            title=f"Copy of {workflow.name}",
            description=workflow.document.get("description") or "Begins with the present draft of this workflow.",
            icon="layers",
            document=workflow.document,
        )
        for workflow in existing
    ]
    return [BLANK, APPROVAL_LOOP, COLLECT_AND_SIGN, *copies]


def _document(tasks: list[dict[str, Any]], edges: list[dict[str, Any]], layout: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "graflow/1",
        "name": "",
        "description": "",
        "inputs": {"type": "object", "properties": {}},
        "defaults": {"max_cycle": 10, "max_retries": 3},
        "tasks": tasks,
        "edges": edges,
        "groups": [],
        "layout": layout,
    }


BLANK = Starter(
    key="blank",
    title="Empty canvas",
    description="Draw every step yourself.",
    icon="plus",
    document=_document([], [], {}),
)

APPROVAL_LOOP = Starter(
    key="approval-loop",
    title="Write and approve",
    description="Somebody writes, somebody else approves. A rejection goes back to the writer, at most five times.",
    icon="repeat",
    document=_document(
        [
            {"id": "write", "kind": "text", "label": "Write", "prompt": "Write the text.", "max_cycle": 5},
            {
                "id": "approve",
                "kind": "approval",
                "label": "Approve",
                "prompt": "Is this text good to go?",
                "data": {"$": "write"},
            },
        ],
        [
            {"source": "write", "target": "approve"},
            {"source": "approve", "target": "write", "on": "rejected", "loop": True},
        ],
        {"write": {"x": 0, "y": 0}, "approve": {"x": 260, "y": 0}},
    ),
)

COLLECT_AND_SIGN = Starter(
    key="side-by-side",
    title="Ask side by side",
    description="Two people answer at the same time; when both have, a third signs off.",
    icon="users",
    document=_document(
        [
            {"id": "first_view", "kind": "text", "label": "First view", "prompt": "What do you think?"},
            {"id": "second_view", "kind": "text", "label": "Second view", "prompt": "What do you think?"},
            {"id": "sign_off", "kind": "approval", "label": "Sign off", "prompt": "Do both views agree?"},
        ],
        [{"source": "views", "target": "sign_off"}],
        {"first_view": {"x": 0, "y": 0}, "second_view": {"x": 0, "y": 120}, "sign_off": {"x": 280, "y": 60}},
    )
    | {"groups": [{"id": "views", "members": ["first_view", "second_view"], "policy": "strict"}]},
)
