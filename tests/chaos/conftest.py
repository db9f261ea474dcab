"""One product in full mode for all rows that leave it standing; the rows' account at the end of the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack import booted

from . import harness
from .harness import MODULES, Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with booted("full", GRAFLOW_TASK_MODULES=MODULES, GRAFLOW_WORKERS="8") as stack:
        product = Product(stack, _folder(tmp_path_factory))
        yield product
        # Each row has asked about its own runs; what came late to those of an earlier one shows here.
        assert not product.findings(anew=True)


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    # Where Python may keep no bytecode, each of hundreds of starts would compile the product anew.
    with booted("embedded", GRAFLOW_TASK_MODULES=MODULES, PYTHONDONTWRITEBYTECODE="") as stack:
        yield Product(stack, _folder(tmp_path_factory))


def _folder(factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp("bodies")
    folder.chmod(0o777)
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if harness.ROWS:
        terminalreporter.section("fault matrix")
        for row in harness.ROWS:
            terminalreporter.line(str(row))
