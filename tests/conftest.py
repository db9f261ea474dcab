"""What every test may ask for: the services, the whole product, the browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.core.management.commands import flush
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from xdist.scheduler import LoadScopeScheduling

from tests.stack import Stack, booted

ON_BOTH_DATABASES = ("runs", "workers")
STACK_FIXTURES = ("stack", "embedded_stack", "full_stack", "boot")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture
def redis_url() -> str:
    """The Redis of this test process alone."""
    url: str = settings.REDIS_URL
    return url


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    """After a test with transactions of its own: PostgreSQL needs 0.3 s to truncate all tables, 0.01 s to delete."""
    made_by_the_code = {"django_content_type", "auth_permission"}  # and looked for again after every flush

    def deletes(style: object, connection: BaseDatabaseWrapper, *_: object, **__: object) -> list[str]:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        return [f"DELETE FROM {connection.ops.quote_name(name)}" for name in tables if name not in made_by_the_code]

    with pytest.MonkeyPatch.context() as patch:
        if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):  # its constraints wait for the commit
            patch.setattr(flush, "sql_flush", deletes)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """As pytest-django makes it; what `sync_to_async` still holds open would keep the database from being dropped."""
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture(scope="session")
def _stacks() -> Iterator[Callable[[str], Stack]]:
    """One product per mode for the whole session, started when the first test wants it."""
    running: dict[str, Stack] = {}
    with ExitStack() as ends:

        def stack_in(mode: str) -> Stack:
            if mode not in running:
                running[mode] = ends.enter_context(booted(mode))
            return running[mode]

        yield stack_in


@pytest.fixture(scope="session", params=["embedded", "full"])
def stack(request: pytest.FixtureRequest, _stacks: Callable[[str], Stack]) -> Stack:
    """The whole product; the test runs once on SQLite and once on PostgreSQL."""
    return _stacks(request.param)


@pytest.fixture(scope="session")
def embedded_stack(_stacks: Callable[[str], Stack]) -> Stack:
    return _stacks("embedded")


@pytest.fixture(scope="session")
def full_stack(_stacks: Callable[[str], Stack]) -> Stack:
    return _stacks("full")


@pytest.fixture
def boot(request: pytest.FixtureRequest) -> Iterator[Callable[..., Stack]]:
    """`boot(mode, until_ready=True, **environment)`: a product of this test's own, to be killed at will."""
    with ExitStack() as ends:
        mine: list[Stack] = []
        request.node.own_stacks = mine

        def start(mode: str = "embedded", **options: Any) -> Stack:
            mine.append(ends.enter_context(booted(mode, **options)))
            return mine[-1]

        yield start


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(name in getattr(item, "fixturenames", ()) for name in STACK_FIXTURES):
            item.add_marker(pytest.mark.stack)
        if item.path.parent.name in ON_BOTH_DATABASES:
            item.add_marker(pytest.mark.both_databases)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByProduct(config, log)


class _ByProduct(LoadScopeScheduling):
    """Tests that boot a product follow each other in two rows: more products at once are too much for two cores.

    Told from the names of tests, since `--dist loadgroup` of pytest-xdist 3.8 has no effect under pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/editor/test_story.py"):
            return "first row" if "[embedded" in nodeid else "second row"
        if nodeid.startswith("tests/acceptance/"):
            return "first row"
        if nodeid.startswith(("tests/setup/test_launcher.py", "tests/chaos/", "tests/workers/test_queues.py")):
            return "second row"
        return nodeid


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if not report.failed:
        return
    used = list(getattr(item, "own_stacks", ()))
    used += [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Stack)]
    for one in used:
        report.sections.append((f"logs of the product ({one.mode})", one.logs()))


# --- browser ------------------------------------------------------------------------------------------------------


def chromium() -> str:
    """The program of CHROMIUM, else the system's; a missing one is an error, never a skip."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        raise pytest.UsageError("There is no Chromium: `apt-get install chromium`, or set CHROMIUM to the program.")
    return program


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": chromium(), "args": list(BROWSER_FLAGS)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "UTC"}
