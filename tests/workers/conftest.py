from __future__ import annotations

from tests.runs.conftest import boss, driver, quiet  # noqa: F401  the same runs without processes
