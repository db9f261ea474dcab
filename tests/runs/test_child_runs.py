"""Steps of kind workflow in a durable run: another run, started once and reported once whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from engine.core import news as n
from engine.core.errors import Conflict, DefinitionError
from engine.core.kinds import MAX_DEPTH
from engine.runs import admission, api, children, hooks, leases, pauses
from engine.runs.models import Run as RunRow
from engine.runs.models import Timer, WorkflowDefinition
from engine.runs.outgoing import ChildRun
from tests.access.people import person

from .driver import WORKER, Driver, Run, at_once, document, finish, fire_timers, task

CHILD = document([task("inside")], [], inputs={"type": "object", "properties": {"n": {"type": "integer"}}})
ASKS = document([{"id": "ask", "kind": "approval"}], [])
SUMS = document([{"id": "sum", "kind": "transform", "value": {"$": "inputs.n + 1"}}], [])


def calls(slug: str, task_id: str = "step", **more: Any) -> dict[str, Any]:
    return {"id": task_id, "kind": "workflow", "workflow": slug, **more}


def parent_of(slug: str, **more: Any) -> dict[str, Any]:
    return document([task("before"), calls(slug, **more), task("after")], ["before>step", "step>after"])


def publish(driver: Driver, body: dict[str, Any], name: str) -> str:
    """The slug of a workflow that can be started."""
    driver.publish({**body, "name": name})
    return name.lower()


def child_of(run: Run) -> Run:
    row = ChildRun.objects.filter(parent=run.row, child__isnull=False).latest("pk")
    assert row.child is not None
    return Run(run.boss, str(row.child.public_id))


def sweep() -> int:
    """What the engine process does about children, once their time with their makers is over."""
    ChildRun.objects.update(follow_after=timezone.now() - timedelta(seconds=1))
    return sum(children.sweep(pk) for pk in children.to_follow())


@pytest.fixture
def nobody_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after each commit, before it can do more."""
    monkeypatch.setattr(hooks, "follow", None)


def test_a_step_waits_for_its_child_and_gets_its_result(driver: Driver) -> None:
    run = driver.start(parent_of(publish(driver, CHILD, "Child"), inputs={"n": 3}))
    run.work("before")
    child = child_of(run)
    assert (run.task("step").status, run.open(), child.row.inputs) == ("running", [], {"n": 3})
    child.work("inside", value={"made": 7})
    assert (child.status, run.task("step").result, run.task("after").status) == ("succeeded", {"made": 7}, "ready")
    run.work("after")
    assert run.status == "succeeded"
    assert [event.type for event in run.events()].count("workflow_started") == 1


def test_a_child_without_workers_ends_in_the_same_breath(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, SUMS, "Sums"), inputs={"n": 1})], []))
    assert (run.status, run.task("step").result) == ("succeeded", 2)


@pytest.mark.usefixtures("nobody_follows")
def test_whatever_dies_between_two_commits_the_engine_goes_on(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    assert (ChildRun.objects.get().state, RunRow.objects.count()) == ("asked", 1)
    assert (children.to_follow(), sweep(), sweep()) == ([], 1, 0)
    child = child_of(run)
    child.work("inside", value=1)
    assert (child.status, run.status, ChildRun.objects.get().state) == ("succeeded", "running", "ended")
    assert (sweep(), sweep()) == (1, 0)
    assert (run.status, run.task("step").result, RunRow.objects.count()) == ("succeeded", 1, 2)


@pytest.mark.usefixtures("nobody_follows")
@pytest.mark.skipif(connection.vendor == "sqlite", reason="one writer at a time there")
def test_many_who_follow_at_once_start_and_report_once(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    row = ChildRun.objects.get()
    assert sorted(at_once(5, lambda _: children.follow(row.pk)), key=str) == [False] * 4 + [True]
    child_of(run).work("inside")
    assert sorted(at_once(5, lambda _: children.follow(row.pk)), key=str) == [False] * 4 + [True]
    assert (run.status, RunRow.objects.count()) == ("succeeded", 2)


def _do(deeds: tuple[Callable[[], Any], ...], number: int) -> Any:
    return deeds[number]()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="one writer at a time there")
@pytest.mark.usefixtures("nobody_follows")
def test_a_start_and_a_stop_at_the_same_moment_leave_nothing_running(driver: Driver) -> None:
    slug = publish(driver, CHILD, "Child")
    for _ in range(5):
        run = driver.start({**document([calls(slug)], []), "name": "Racing"})
        row = ChildRun.objects.get(parent=run.row)
        deeds = (partial(children.follow, row.pk), partial(api.stop_run, driver.boss, run.id))
        assert not [done for done in at_once(2, partial(_do, deeds)) if isinstance(done, Exception)]
        sweep()
        assert set(RunRow.objects.values_list("status", flat=True)) == {"stopped"}


def test_a_failed_child_fails_the_step_and_is_named(driver: Driver) -> None:
    run = driver.start(parent_of(publish(driver, CHILD, "Child")))
    run.work("before")
    child = child_of(run)
    child.fail("inside", "no more ink", retryable=False)
    assert (run.status, run.task("after").outcome) == ("failed", "skipped")
    error = run.task("step").error or ""
    assert child.id in error and "'child' failed" in error and "no more ink" in error


def test_a_failed_child_is_run_again_where_the_step_says_so(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"), max_retries=1, retry_delay=0)], []))
    first = child_of(run)
    first.fail("inside", retryable=False)
    second = child_of(run)
    assert (first.status, second.id != first.id) == ("failed", True)
    second.work("inside", value=2)
    assert (run.status, run.task("step").result, fire_timers()) == ("succeeded", 2, 0)
    assert [(c.attempt, c.status) for c in api.get_run(driver.boss, run.id).children] == [
        (1, "failed"),
        (2, "succeeded"),
    ]


def test_a_rejected_child_fails_the_step(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, ASKS, "Asks"), max_retries=3)], []))
    child_of(run).answer("reject", reason="not like this")
    assert (run.status, child_of(run).status) == ("failed", "rejected")
    assert (run.task("step").error or "").endswith("was rejected: not like this")


def test_a_child_stopped_by_hand_fails_the_step(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, ASKS, "Asks"))], []))
    api.stop_run(driver.boss, child_of(run).id, reason="wrong one")
    assert (run.status, (run.task("step").error or "").endswith("was stopped: wrong one")) == ("failed", True)


def test_stopping_a_run_stops_what_lies_below(driver: Driver) -> None:
    middle = publish(driver, document([calls(publish(driver, ASKS, "Asks"))], []), "Middle")
    run = driver.start(document([calls(middle)], []))
    below = child_of(run)
    bottom = child_of(below)
    assert api.count_open_feedback(driver.boss) == 1
    api.stop_run(driver.boss, run.id, reason="enough")
    assert (run.status, below.status, bottom.status) == ("stopped", "stopped", "stopped")
    assert (api.count_open_feedback(driver.boss), run.task("step").outcome) == (0, "cancelled")
    assert below.row.reason == children.PARENT_CLOSED


@pytest.mark.usefixtures("nobody_follows")
def test_a_stop_outlives_the_death_of_who_stopped(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, ASKS, "Asks"))], []))
    sweep()
    child = child_of(run)
    api.stop_run(driver.boss, run.id)
    assert (run.status, child.status) == ("stopped", "waiting")
    assert (sweep(), sweep(), child.status) == (1, 0, "stopped")


@pytest.mark.usefixtures("nobody_follows")
def test_a_child_nobody_waits_for_any_more_is_not_started(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    api.stop_run(driver.boss, run.id)
    assert (sweep(), RunRow.objects.count(), ChildRun.objects.get().state) == (0, 1, "cancelled")


@pytest.mark.usefixtures("nobody_follows")
def test_an_end_that_comes_after_the_stop_changes_nothing(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    sweep()
    child_of(run).work("inside")
    api.stop_run(driver.boss, run.id)
    assert (sweep(), run.status, run.task("step").outcome) == (1, "stopped", "cancelled")


def test_a_paused_parent_takes_the_result_and_waits(driver: Driver) -> None:
    run = driver.start(parent_of(publish(driver, CHILD, "Child")))
    run.work("before")
    child = child_of(run)
    begun = child.claim("inside")
    api.pause_run(driver.boss, run.id)
    assert finish(begun, n.TaskFinished("inside", 0.0, "kept"))
    assert (run.status, run.task("step").result) == ("paused", "kept")
    api.resume_run(driver.boss, run.id)
    run.work("after")
    assert run.status == "succeeded"


def test_runs_below_are_paused_and_go_on_with_the_run_above(driver: Driver) -> None:
    below = document([task("inside"), calls(publish(driver, ASKS, "Asks"))], [])
    run = driver.start(document([calls(publish(driver, below, "Middle"))], []))
    middle = child_of(run)
    bottom = child_of(middle)
    own = driver.start(parent_of(publish(driver, CHILD, "Child")))
    own.work("before")
    api.pause_run(driver.boss, child_of(own).id)
    api.pause_run(driver.boss, run.id)
    api.pause_run(driver.boss, own.id)
    assert (middle.status, bottom.status) == ("paused", "paused")
    assert leases.claim(middle.open()[0].pk, middle.open()[0].nonce, WORKER) is None
    with pytest.raises(Conflict, match="resume that one"):
        api.resume_run(driver.boss, bottom.id)
    api.resume_run(driver.boss, run.id)
    assert (middle.status, bottom.status) == ("running", "waiting")
    api.resume_run(driver.boss, own.id)
    assert child_of(own).status == "paused"  # somebody had paused it before
    api.resume_run(driver.boss, child_of(own).id)
    middle.work("inside")
    (question,) = api.list_feedback(driver.boss, run=bottom.id).results
    api.answer_feedback(driver.boss, question.id, decision="approve")
    assert run.status == "succeeded"


def test_the_engine_passes_on_a_pause_that_nobody_did(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "pass_on", lambda parent: None)
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    child = child_of(run)
    for passed_on in ("paused", "running"):
        (api.pause_run if passed_on == "paused" else api.resume_run)(driver.boss, run.id)
        assert child.status != passed_on
        assert [pauses.follow(pk) for pk in pauses.astray()] == [True]
        assert (child.status, pauses.astray(), pauses.follow(child.row.pk)) == (passed_on, [], False)
    api.pause_run(driver.boss, run.id)
    api.stop_run(driver.boss, run.id)
    assert (child.status, pauses.astray()) == ("stopped", [])


def test_a_loop_runs_a_child_per_pass(driver: Driver) -> None:
    slug = publish(driver, SUMS, "Sums")
    step = calls(slug, inputs={"n": {"$": "iteration"}}, max_cycle=3)
    run = driver.start(document([step], ["step>step"]))
    assert (run.status, run.task("step").result, RunRow.objects.count()) == ("succeeded", 4, 4)


def test_a_version_can_be_named_and_the_latest_is_taken_when_the_step_starts(driver: Driver) -> None:
    slug = publish(driver, SUMS, "Sums")
    run = driver.start(document([task("before"), calls(slug, inputs={"n": 1})], ["before>step"]))
    pinned = driver.start({**document([task("before"), calls(slug, inputs={"n": 1}, version=1)], ["before>step"])})
    changed = document([{"id": "sum", "kind": "transform", "value": "new"}], [])
    workflow = api.get_workflow(driver.boss, slug)
    api.save_draft(driver.boss, slug, document={**changed, "name": "Sums"}, base_revision=workflow.draft_revision)
    api.publish(driver.boss, slug)
    run.work("before")
    pinned.work("before")
    assert (run.task("step").result, pinned.task("step").result) == ("new", 2)


def test_inputs_that_were_left_out_have_the_childs_defaults(driver: Driver) -> None:
    declared = {"type": "object", "properties": {"n": {"type": "integer", "default": 6}}}
    run = driver.start(document([calls(publish(driver, {**SUMS, "inputs": declared}, "Sums"))], []))
    assert (run.task("step").result, child_of(run).row.inputs) == (7, {"n": 6})


def test_inputs_that_do_not_fit_and_a_workflow_that_is_gone_fail_the_step(driver: Driver) -> None:
    slug = publish(driver, CHILD, "Child")
    run = driver.start(document([calls(slug, inputs={"n": "three"})], []))
    assert run.status == "failed"
    assert "do not fit" in (run.task("step").error or "")
    later = driver.start(parent_of(slug))
    api.archive_workflow(driver.boss, slug)
    later.work("before")
    assert (later.status, RunRow.objects.count()) == ("failed", 2)
    assert "archived" in (later.task("step").error or "")


def test_a_child_that_was_restricted_meanwhile_is_not_started(driver: Driver) -> None:
    slug = publish(driver, SUMS, "Sums")
    run, closed = (driver.start(parent_of(slug, inputs={"n": 1})) for _ in range(2))
    inner = Group.objects.create(name="inner")
    WorkflowDefinition.objects.get(slug=slug).allowed_groups.add(inner)
    run.work("before")
    assert (run.status, run.task("step").outcome, RunRow.objects.count()) == ("failed", "error", 2)
    assert "restricted to groups by now" in (run.task("step").error or "")
    closed.row.definition.allowed_groups.add(inner)
    closed.work("before")
    assert (closed.task("step").outcome, closed.task("step").result) == ("success", 2)


@pytest.mark.usefixtures("nobody_follows")
def test_a_child_waits_while_too_much_is_open_and_starts_by_itself(driver: Driver, settings: Any) -> None:
    other = driver.start(document([task("x"), task("y")], []))
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    settings.GRAFLOW_MAX_OPEN_ATTEMPTS = 2
    admission.forget()
    assert (sweep(), children.to_follow()) == (0, [])  # and asks again in a while
    assert (run.task("step").status, ChildRun.objects.get().state) == ("running", "asked")
    other.work("x")
    assert (sweep(), ChildRun.objects.get().state) == (1, "started")
    child_of(run).work("inside")
    assert (sweep(), run.status) == (1, "succeeded")


def test_parents_that_fill_the_engine_do_not_wait_for_ever(driver: Driver, settings: Any) -> None:
    slug = publish(driver, CHILD, "Child")
    settings.GRAFLOW_MAX_ACTIVE_RUNS = 1
    admission.forget()
    run = driver.start(parent_of(slug))
    run.work("before")
    child_of(run).work("inside")
    run.work("after")
    assert run.status == "succeeded"


@pytest.mark.parametrize(("own", "timeout", "seconds"), [(None, 60, 60), (30, 60, 30), (60, 30, 30), (60, None, 60)])
def test_a_child_has_its_own_deadline_and_that_of_its_step(
    driver: Driver, own: float | None, timeout: float | None, seconds: float
) -> None:
    child = {**CHILD, "defaults": {**CHILD["defaults"], "deadline": own}} if own else CHILD
    step = calls(publish(driver, child, "Child"), **({"timeout": timeout} if timeout else {}))
    run = driver.start(document([step], []))
    row = child_of(run).row
    assert row.deadline_at is not None and (row.deadline_at - row.created_at).total_seconds() == seconds
    Timer.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    fire_timers()
    assert (child_of(run).row.reason, run.status) == ("deadline", "failed")
    assert (run.task("step").error or "").endswith("failed: deadline")


def deep(driver: Driver, levels: int) -> Run:
    """A chain of workflows in which the last one lies `levels` deep."""
    slug = publish(driver, SUMS, f"bottom{levels}")
    for level in range(levels - 1):
        slug = publish(driver, document([calls(slug, inputs={"n": 1})], []), f"l{levels}-{level}")
    return driver.start(document([calls(slug, inputs={"n": 1})], []))


def test_workflows_may_lie_five_deep_and_no_deeper(driver: Driver) -> None:
    run = deep(driver, MAX_DEPTH)
    assert (run.status, RunRow.objects.latest("pk").depth) == ("succeeded", MAX_DEPTH)
    run = deep(driver, MAX_DEPTH + 1)
    assert run.status == "failed"
    assert "may be 5 deep" in (run.task("step").error or "")


def test_parent_and_children_are_shown(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    child = child_of(run)
    shown = api.get_run(driver.boss, run.id)
    assert [item.as_dict() for item in shown.children] == [
        {"task_id": "step", "iteration": 1, "attempt": 1, "workflow": "child", "run": child.id, "status": "running"}
    ]
    below = api.get_run(driver.boss, child.id)
    assert (shown.parent, below.parent, below.parent_task, below.started_by) == (None, run.id, "step", "boss")
    assert {item.parent for item in api.list_runs(driver.boss).results} == {None, run.id}
    child.work("inside")


def test_a_child_in_a_closed_workflow_is_not_shown_to_others(driver: Driver) -> None:
    run = driver.start(document([calls(publish(driver, CHILD, "Child"))], []))
    WorkflowDefinition.objects.get(slug="child").allowed_groups.add(Group.objects.create(name="inner"))
    assert api.get_run(person("outer", "viewer"), run.id).children == ()
    child_of(run).work("inside")


# -- what may be named ------------------------------------------------------------------------------------------


def refused(driver: Driver, body: dict[str, Any], *, to: str = "") -> list[tuple[str, str]]:
    """(path, message) of what keeps a workflow, restricted `to` a group, from being published."""
    workflow = api.create_workflow(driver.boss, name="Parent", document=body)
    if to:
        row = WorkflowDefinition.objects.get(public_id=workflow.id)
        row.allowed_groups.add(Group.objects.get(name=to))
    try:
        api.publish(driver.boss, workflow.id)
    except DefinitionError as error:
        return [(problem.path, problem.message) for problem in error.problems]
    return []


def test_only_what_can_be_started_may_be_published(driver: Driver) -> None:
    step = document([calls("other")], [])
    ((path, message),) = refused(driver, step)
    assert (path, "does not exist" in message) == ("tasks[0].workflow", True)
    draft = api.create_workflow(driver.boss, name="Other", document={**SUMS, "name": "Other"})
    ((_, message),) = refused(driver, step)
    assert "no published version" in message
    api.publish(driver.boss, draft.id)
    ((_, message),) = refused(driver, document([calls("other", version=2)], []))
    assert "no version 2" in message
    assert [p.code for p in api.validate(driver.boss, step)] == []
    api.archive_workflow(driver.boss, "other")
    ((_, message),) = refused(driver, step)
    assert "archived" in message
    assert [p.code for p in api.validate(driver.boss, step)] == ["unknown_workflow"]


def test_what_may_be_started_must_be_open_to_all_who_start_the_parent(driver: Driver) -> None:
    publish(driver, SUMS, "Other")
    row = WorkflowDefinition.objects.get(slug="other")
    inner, outer = Group.objects.create(name="inner"), Group.objects.create(name="outer")
    step = document([calls("other")], [])
    row.allowed_groups.add(inner)
    ((_, message),) = refused(driver, step)
    assert "not open to you" in message
    driver.boss.groups.add(inner, outer)
    driver.boss = type(driver.boss).objects.get(pk=driver.boss.pk)
    ((_, message),) = refused(driver, step)
    assert "open it to their groups" in message
    ((_, message),) = refused(driver, step, to="outer")
    assert "open it to their groups" in message
    row.allowed_groups.add(outer)
    assert refused(driver, step, to="outer") == []


def test_an_unknown_webhook_cannot_be_published(driver: Driver, settings: Any) -> None:
    tell = document([{"id": "a", "kind": "notify", "message": "m", "webhook": "chat"}], [])
    assert [p.code for p in api.validate(driver.boss, tell)] == ["unknown_webhook"]
    settings.GRAFLOW_WEBHOOKS = {"chat": "https://chat.example.com/"}
    assert api.validate(driver.boss, tell) == []
