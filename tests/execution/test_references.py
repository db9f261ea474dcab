"""Functions are named, not sent: what has a name that another process finds, and what is refused."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import types

import pytest

from engine import task
from engine.core.errors import NotPicklable
from engine.execution.redis_worker import find
from engine.execution.references import name_for_worker, reference, resolve
from tests.contract import workloads as w


def test_functions_and_tasks_of_a_module_are_found_again():
    for func in (w.add, w.double, w.boxed, w.counter_2, json.dumps):
        found = resolve(reference("t", func))
        assert getattr(found, "func", found) is getattr(func, "func", func)


def test_a_task_made_locally_of_a_module_function_goes_by_that_function():
    made = task(name="local name", retry_on=KeyError)(w.helper)
    assert reference("t", made) == "tests.contract.workloads:helper"


def test_workers_are_asked_for_tasks_by_their_registered_name():
    assert name_for_worker("t", w.double) == "contract.double"
    assert name_for_worker("t", w.add) == "tests.contract.workloads:add"


@pytest.mark.parametrize("func", [lambda: 1, functools.partial(w.add, 1), types.FunctionType((lambda: 1).__code__, {})])
def test_what_has_no_name_is_refused_with_the_way_out(func):
    with pytest.raises(NotPicklable, match=r"'t'.*Move it to a module.*CoordinationBackend.MEMORY"):
        reference("t", func)


def test_local_functions_are_refused():
    def local():
        return 1

    with pytest.raises(NotPicklable, match="inside another function"):
        reference("t", task(name="t")(local))


def test_an_interactive_session_is_told_so():
    code = "from engine.execution.references import reference\ndef f(): pass\nreference('t', f)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "interactive session" in found.stderr


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:run", "tests.contract.workloads:os.system", "builtins:eval", "nothing"]
)
def test_a_worker_runs_nothing_it_was_not_started_for(name):
    with pytest.raises(Exception, match="Start it with --import"):
        find(name)


def test_the_library_starts_without_redis_and_celery():
    code = "import engine, sys; assert not {'redis', 'celery', 'kombu'} & set(sys.modules); engine.RedisCoordinator"
    subprocess.run([sys.executable, "-c", code], check=True)
