"""The locks fit every machine: complete, hashed, without a host or a path."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRONTEND = ROOT / "editor" / "frontend"
PYTHON_LOCKS = ("requirements.lock", "tests/requirements.lock", "scripts/uv.lock", "scripts/node.lock")


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_a_python_lock_names_no_host_and_no_path(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)|@ file|(^|\s)/\w", text)


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_a_python_lock_has_a_hash_for_every_package(name):
    entries = re.split(r"\n(?=[a-zA-Z0-9])", "\n" + (ROOT / name).read_text())
    pinned = [entry for entry in entries if re.match(r"[a-zA-Z0-9._-]+(\[.*\])?==", entry.lstrip())]
    assert pinned
    assert [entry.split()[0] for entry in pinned if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["requirements", "tests/requirements"])
def test_every_requirement_stands_in_its_lock_at_its_version(name):
    wanted = re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", (ROOT / f"{name}.txt").read_text(), re.MULTILINE)
    lock = (ROOT / f"{name}.lock").read_text().lower()
    missing = [
        package
        for package, version in wanted
        if not re.search(rf"^{re.escape(package.lower())}(\[.*\])?=={re.escape(version)}[ ;\\]", lock, re.MULTILINE)
    ]
    assert missing == []


def test_the_npm_lock_names_no_host_and_checks_every_package():
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    named = {name: entry for name, entry in packages.items() if name}
    assert [name for name, entry in named.items() if "resolved" in entry] == []
    assert [name for name, entry in named.items() if "integrity" not in entry and not entry.get("inBundle")] == []


def test_the_npm_lock_holds_every_optional_package_of_every_platform():
    """npm leaves out what the registry lacked on the day of the lock; the next clean install then fails."""
    packages = json.loads((FRONTEND / "package-lock.json").read_text())["packages"]
    present = {name.rpartition("node_modules/")[2] for name in packages}
    missing = {
        f"{name} -> {wanted}"
        for name, entry in packages.items()
        for wanted in entry.get("optionalDependencies", {})
        if wanted not in present
    }
    assert missing == set()
