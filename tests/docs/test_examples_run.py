"""The Python in the documentation runs, and every link within it leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    if page.exists()
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_example_runs_and_prints_what_it_says(block, capsys):
    exec(compile(block, "documentation", "exec"), {"__name__": "documentation"})
    printed = capsys.readouterr().out
    for promised in re.findall(r"^print\(.*\) +# (.+)$", block, re.MULTILINE):
        assert promised.strip() in printed


@pytest.mark.parametrize("text", PAGES, ids=lambda text: str(text.relative_to(ROOT)))
def test_every_link_leads_somewhere(text):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text.read_text()):
        if "://" not in target:
            assert (text.parent / target).exists(), target
