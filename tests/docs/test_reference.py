"""The reference says what the code says: every public name, every key, every default, every problem."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import Channel, FeedbackManager, FeedbackType, RunResult, TaskExecutionContext, TaskState, WorkflowContext
from engine.core import checks, definition
from engine.core import compile as compiler
from engine.core.feedback import build_request
from engine.core.history import EVENT_TYPES
from engine.core.result import AttemptRecord
from engine.core.state import TaskStatus

DOCS = Path(__file__).resolve().parents[2] / "docs"
LIBRARY = (DOCS / "reference/library.md").read_text()
DEFINITION = (DOCS / "reference/definition.md").read_text()
PICTURE = ("python", "mermaid")
KIND_KEYS = {key for fields in definition.KIND_FIELDS.values() for key in fields}

INSIDE = {  # public to the rest of the engine, not to authors
    TaskExecutionContext: {"recorded"},
    WorkflowContext: {
        "place_task", "place_node", "offer", "place_made", "place_group", "place_link", "bare_bodies", "wrapper", "function", "workflow_named",
    },
    FeedbackManager: {"attach", "detach", "open", "answer_of", "request_of", "was_answered_otherwise", "expire_due", "withdraw"},
    TaskState: {
        "args", "arrived", "at", "carried", "child_error", "children", "dead", "fired", "handled", "how", "iterates",
        "joined", "lost_count", "memory", "parent", "reject", "resumed", "settings", "tolerated", "uses",
    },
}  # fmt: skip


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any depth."""
    return re.split(rf"^##+ {re.escape(heading)}\n", page, flags=re.MULTILINE)[1].split("\n##")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row that begins with a `name`."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(text: str) -> list[str]:
    return [row[0].strip("`| ") for row in rows(text)]


@pytest.mark.parametrize("name", engine.__all__)
def test_a_public_name_is_documented(name):
    assert getattr(engine, name) is not None
    assert re.search(rf"`{name}\b", LIBRARY)


@pytest.mark.parametrize(
    "kind",
    [RunResult, AttemptRecord, TaskExecutionContext, WorkflowContext, TaskState, Channel, FeedbackManager],
    ids=lambda kind: kind.__name__,
)
def test_a_members_name_is_documented(kind):
    members = {name for name in dir(kind) if not name.startswith("_")} - INSIDE.get(kind, set())
    assert [name for name in sorted(members) if not re.search(rf"`(\w+\.)?{name}\b", LIBRARY)] == []


def test_every_type_of_event_is_listed():
    core = Path(definition.__file__).parent
    noted = {kind for path in core.glob("*.py") for kind in re.findall(r"\.note\(\s*\"(\w+)\"", path.read_text())}
    assert [kind for kind in sorted(noted | set(EVENT_TYPES)) if f"`{kind}`" not in section(LIBRARY, "Results")] == []


@pytest.mark.parametrize("status", list(TaskStatus))
def test_a_status_is_documented(status):
    assert f"`{status.value}`" in section(LIBRARY, "Statuses")


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Document", definition.TOP_FIELDS),
        ("Defaults", definition.DEFAULT_FIELDS),
        ("Tasks", definition.TASK_FIELDS),
        ("Edges", definition.EDGE_FIELDS),
        ("Groups", definition.GROUP_FIELDS),
    ],
)
def test_a_section_has_exactly_the_keys_of_the_document(heading, fields):
    found = names(section(DEFINITION, heading))
    assert sorted(found) == sorted(fields)


def test_the_kinds_and_their_keys_are_the_codes():
    found = rows(section(DEFINITION, "Kinds"))
    assert {row[0].strip("`| ") for row in found} == definition.KIND_FIELDS.keys() | KIND_KEYS
    kinds_of = {row[0].strip("`| "): set(re.findall(r"`(\w+)`", row[1])) for row in found}
    for key in KIND_KEYS:
        assert kinds_of[key] == {kind for kind, fields in definition.KIND_FIELDS.items() if key in fields}, key


def test_the_defaults_are_the_codes():
    said = {row[0].strip("`| "): json.loads(row[1].strip("`")) for row in rows(section(DEFINITION, "Defaults"))}
    assert said == compiler.DEFAULTS


def test_the_ends_an_edge_can_fire_after_are_the_codes():
    said = names(section(DEFINITION, "When an edge fires, and what it hands over"))
    assert said == list(definition.EDGE_ON)


def test_every_problem_is_listed():
    source = "".join(Path(module.__file__).read_text() for module in (definition, compiler, checks))
    codes = set(re.findall(r"(?:problem\(\s*|Problem\(code=)\"(\w+)\"", source))
    assert set(names(section(DEFINITION, "What is refused"))) == codes


def test_the_example_document_is_well_formed():
    document = json.loads(re.search(r"```json\n(.*?)```", DEFINITION, re.DOTALL)[1])
    read, problems = definition.parse(document)
    assert problems == []
    assert read.as_document() == document


def test_the_limits_are_the_codes():
    assert f"{definition.MAX_TASKS} tasks and {definition.MAX_EDGES} edges" in DEFINITION
    assert f"1 to {definition.MAX_NAME} characters" in DEFINITION
    assert f"{definition.MAX_LOOPS} loops of which {definition.MAX_NESTING}" in DEFINITION
    assert f"{definition.MAX_BYTES} bytes" in DEFINITION


def test_what_a_request_takes_is_documented():
    page = (DOCS / "how-to/ask-people.md").read_text()
    assert [name for name in build_request.__kwdefaults__ if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("kind", list(FeedbackType))
def test_a_kind_of_question_is_documented(kind):
    assert f"| `{kind.value}` |" in (DOCS / "how-to/ask-people.md").read_text()


def test_the_pictures_are_what_workflows_draw(capsys):
    page = (DOCS / "explanation/loops-and-joins.md").read_text()
    blocks = re.findall(r"```(python|mermaid)\n(.*?)```", page, re.DOTALL)
    drawn = [(code, text) for (kind, code), (next_kind, text) in pairwise(blocks) if (kind, next_kind) == PICTURE]
    assert len(drawn) == sum(kind == "mermaid" for kind, _ in blocks) > 0
    for code, text in drawn:
        made: dict[str, Any] = {"__name__": "documentation"}
        exec(compile(code, "documentation", "exec"), made)
        assert made["wf"].to_mermaid() == text
