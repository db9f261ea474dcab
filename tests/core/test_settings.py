"""Wrong settings and what cannot be run, in the library: refused where they are given, with the way out."""

from __future__ import annotations

import pytest

from engine import (
    DefinitionError,
    TaskWrapper,
    WorkflowStateError,
    task,
    workflow,
)
from engine.core import registry


def test_two_tasks_of_one_name_are_refused():
    with workflow("w"):

        @task(name="same")
        def one(): ...

        with pytest.raises(WorkflowStateError, match="same"):

            @task(name="same")
            def two(): ...


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"join": "some"}, "join='some' must be 'all_done', 'all', 'any' or a whole number from 1"),
        ({"max_cycle": "5"}, "max_cycle='5' must be a whole number"),
        ({"timeout": -1}, "timeout=-1 must be a number of seconds from 0"),
        ({"on_error": "explode"}, "on_error='explode' must be one of 'fail', 'ignore'"),
        ({"converge": 0}, "converge=0 must be a tolerance above 0"),
        ({"retry_on": "OSError"}, "retry_on='OSError' must be an exception class"),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_given(setting, words):
    with pytest.raises(WorkflowStateError, match=f"^Task 'wrong.setting': {words}"):
        task(name="wrong.setting", **setting)(lambda: None)
    assert "wrong.setting" not in registry.tasks()


def test_a_setting_that_does_not_exist_is_refused_with_the_one_that_was_meant():
    with pytest.raises(TypeError, match=r"^@task has no setting 'max_retry'; did you mean 'max_retries'"):
        task(max_retry=5)  # type: ignore[call-overload]


def test_wrong_settings_of_edges_and_groups_are_refused_where_they_are_given():
    a, b = TaskWrapper("a", lambda: 1), TaskWrapper("b", lambda: 2)
    with workflow("w") as wf:
        with pytest.raises(WorkflowStateError, match=r"a.*b.*on='sucess' must be one of 'success', 'error'"):
            wf.add_edge(a, b, on="sucess")
        with pytest.raises(WorkflowStateError, match=r"a.*b.*policy='most' must be 'strict', 'best_effort'"):
            (a | b).with_policy("most")
    with pytest.raises(WorkflowStateError, match="'fetch' is no function"):
        task("fetch")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"default_max_cycle": -1}, "default_max_cycle=-1 must be a whole number from 0"),
        ({"default_max_retries": "3"}, "default_max_retries='3' must be a whole number from 0"),
        ({"max_workers": 0}, "max_workers=0 must be a whole number from 1"),
        ({"coordination_backend": "threads"}, "coordination_backend='threads' is unknown; use one of: memory"),
    ],
)
def test_a_wrong_setting_of_a_workflow_is_refused(setting, words):
    with pytest.raises(WorkflowStateError, match=words):
        workflow("w", **setting)


def test_what_cannot_be_run_is_refused_and_leaves_the_workflow_usable():
    with workflow("w") as wf:
        wf.add(TaskWrapper("a", lambda: 1))
        with pytest.raises(WorkflowStateError, match="'b' cannot be joined"):
            wf.add("b")
        with pytest.raises(WorkflowStateError, match="max_steps='3' must be a whole number"):
            wf.execute(max_steps="3")
        with pytest.raises(WorkflowStateError, match="inputs=5 must be a dict"):
            wf.execute(inputs=5)
        assert wf.execute().results == {"a": 1}


def test_a_pipeline_made_outside_belongs_to_the_workflow_it_is_added_to():
    @task
    def a(): ...

    @task
    def b(): ...

    flow = a >> b
    with workflow("w") as wf:
        wf.add(flow)
    assert list(wf.graph.edges) == [("a", "b")]


def test_a_workflow_without_tasks_says_so():
    with workflow("w") as wf, pytest.raises(DefinitionError, match="no tasks"):
        wf.execute()
