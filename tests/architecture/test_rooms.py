"""Which room may know which, and what the plain library may drag in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 500
DANGEROUS = {"eval", "exec", "__import__", "pickle", "marshal", "shelve", "yaml", "dill"}
ALLOWED = {
    ("engine/core/task.py", "__import__"),  # a task travels by its name and module between own processes
    ("engine/execution/process_pool.py", "pickle"),  # pipes to own children, which send nothing of others
}
FRAMEWORKS = ("django", "celery", "channels", "redis", "rest_framework", "psycopg", "twisted")


def modules() -> list[Path]:
    rooms = ("engine", "editor", "graflow_site")
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts)


def test_the_import_contracts_hold():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_library_loads_no_framework():
    code = f"import engine, sys; print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_stay_small():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_module_imports_inside_a_function_without_need():
    """Imports stand at the top; `ready()` of an app is where Django itself asks for late ones."""
    late = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name == "ready":
                continue
            late += [
                f"{path.relative_to(ROOT)}:{inner.lineno}"
                for inner in ast.walk(node)
                if isinstance(inner, ast.Import | ast.ImportFrom)
            ]
    assert late == []


def test_nothing_runs_text_as_code_or_unpacks_foreign_objects():
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = [node.func.id]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found |= {(str(path.relative_to(ROOT)), name) for name in names if name in DANGEROUS}
    assert found == ALLOWED
