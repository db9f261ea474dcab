"""Every file in `examples/` runs, quickly, and prints what it is there to show."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from engine.core import registry

FOLDER = Path(__file__).resolve().parents[2] / "examples"
ELSEWHERE = {"coordination"}  # needs processes and Redis: tests/execution/test_coordination_example.py
LAST_LINES = {
    "shared_channels": "42",
    "definition_document": "tasks[1].uses unknown_task",
    "dynamic_tasks": "['noted: 22']",
    "error_edge": "succeeded 99 EUR ConnectionError: the exchange is closed",
    "http_request": "/prices?item=tea 14.0",
    "notify": "succeeded {'title': 'Loops'}",
    "workflow_step": "succeeded printed Loops",
    "first_loop": "3 iterations of write, 1 of finish",
    "nested_loops": "an error of 88",
    "parallel_group": "21.0 degrees, and the run has succeeded",
    "refine": "24.738634 converged in 6 iterations",
    "retries": "succeeded {'fetch': 'the page', 'decorate': None} 1 try of decorate",
    "review_loop": "succeeded printed 900 words after 2 drafts",
}


@pytest.fixture
def own_registry(monkeypatch):
    """The tasks of an example are gone afterwards."""
    monkeypatch.setattr(registry, "_tasks", dict(registry.tasks()))


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_an_example_prints_what_it_shows(name, own_registry, capsys):
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="example")["main"]()
    assert capsys.readouterr().out.splitlines()[-1] == LAST_LINES[name]


def test_no_example_is_forgotten():
    assert {path.stem for path in FOLDER.glob("*.py")} == LAST_LINES.keys() | ELSEWHERE


@pytest.mark.parametrize("name", sorted(LAST_LINES))
def test_an_example_can_be_taken_in_at_a_glance(name):
    lines = (FOLDER / f"{name}.py").read_text().splitlines()
    assert len(lines) < 50
    assert 'if __name__ == "__main__":' in lines
