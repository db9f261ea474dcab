"""The one door: drafts and their conflicts, lists by cursor, who may do what, and how much it asks of the database."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engine.access.models import AuditEntry
from engine.core.errors import DefinitionError, Forbidden, InvalidInput, NotFound, StaleDraft, UnknownTask
from engine.runs import api
from engine.runs.models import WorkflowDefinition
from tests.access.people import person

from .driver import Driver, at_once, document, task

ONE = document([task("a")], [])
ASK = document([{"id": "ask", "kind": "form", "schema": {"type": "object", "required": ["n"]}}], [])


def test_a_draft_is_not_overwritten_unseen(driver: Driver) -> None:
    made = api.create_workflow(driver.boss, name="Draft", document=ONE)
    saved = api.save_draft(driver.boss, made.id, document=ASK, base_revision=1, name="New name")
    assert (saved.draft_revision, saved.name, saved.slug) == (2, "New name", "draft")
    with pytest.raises(StaleDraft) as refused:
        api.save_draft(driver.boss, made.id, document=ONE, base_revision=1)
    assert (refused.value.details["draft_revision"], refused.value.details["updated_by"]) == (2, "boss")
    assert api.get_workflow(driver.boss, "draft").document == ASK


def test_a_draft_may_be_unfinished_but_is_not_published_then(driver: Driver) -> None:
    made = api.create_workflow(driver.boss, name="Half", document={"tasks": [{"id": "a", "uses": "nowhere"}]})
    with pytest.raises(DefinitionError) as refused:
        api.publish(driver.boss, made.id)
    assert "tasks[0].uses" in {problem.path for problem in refused.value.problems}
    assert api.get_workflow(driver.boss, made.id).latest_version is None


def test_versions_are_numbered_and_keep_their_documents(driver: Driver) -> None:
    workflow = driver.publish(ONE)
    api.save_draft(driver.boss, workflow, document=ASK, base_revision=1)
    assert api.publish(driver.boss, workflow, note="ask", base_revision=2).number == 2
    assert [version.number for version in api.list_versions(driver.boss, workflow).results] == [2, 1]
    assert api.get_version(driver.boss, workflow, 1).document == ONE


def test_workflows_of_one_name_get_slugs_of_their_own(driver: Driver) -> None:
    made = at_once(4, lambda _: api.create_workflow(driver.boss, name="Same", document=ONE).slug)
    assert sorted(made) == ["same", "same-2", "same-3", "same-4"]


def test_lists_go_on_where_their_cursor_says(driver: Driver) -> None:
    workflow = driver.publish(ONE)
    runs = [api.start_run(driver.boss, workflow=workflow).id for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = api.list_runs(driver.boss, workflow=workflow, status="running", limit=2, cursor=cursor)
        seen += [run.id for run in page.results]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == runs[::-1]
    with pytest.raises(InvalidInput):
        api.list_runs(driver.boss, cursor="nonsense")
    api.stop_workflow(driver.boss, workflow)


def test_runs_are_found_by_name_id_status_and_time(driver: Driver) -> None:
    run = api.get_run(driver.boss, driver.start(ONE).id)
    for wanted in ({"q": "tes"}, {"q": run.id[4:13]}, {"started_after": run.created_at}, {"status": "running,failed"}):
        assert [found.id for found in api.list_runs(driver.boss, **wanted).results] == [run.id]
    for unwanted in ({"q": "zzz"}, {"started_before": run.created_at}, {"status": "failed"}):
        assert api.list_runs(driver.boss, **unwanted).results == []
    api.stop_run(driver.boss, run.id)


def test_lists_ask_the_database_no_more_for_more_rows(driver: Driver) -> None:
    def queries(times: int) -> list[int]:
        for _ in range(times):
            driver.start(ASK)
        counts = []
        for ask in (api.list_runs, api.list_feedback, api.list_workflows):
            with CaptureQueriesContext(
                connection,
            ) as asked:
                ask(driver.boss)
            counts.append(len(asked))
        return counts

    queries(1)
    assert queries(1) == queries(6)


def test_a_run_has_the_declared_defaults_of_inputs_that_were_left_out(driver: Driver) -> None:
    declared = {"type": "object", "properties": {"tone": {"type": "string", "default": "plain"}}}
    run = driver.start(document([task("a")], [], inputs=declared))
    assert api.get_run(driver.boss, run.id).inputs == {"tone": "plain"}


def test_a_snapshot_tells_the_limit_in_force_and_who_set_it(driver: Driver) -> None:
    drawn = [
        task("a", max_cycle=2),
        task("b", uses="test.thrice"),
        task("c", uses="test.thrice", max_cycle=0),
        task("d"),
    ]
    drawn[2] |= {"converge": 0.1}
    edges = [{"source": name, "target": name, "loop": True} for name in "abc"]

    def limits(**more: Any) -> dict[str, tuple[int | None, str | None]]:
        body = document(drawn, edges)
        run = driver.start(body | {"defaults": body["defaults"] | more})
        return {one.id: (one.max_cycle, one.max_cycle_from) for one in api.get_run(driver.boss, run.id).tasks}

    assert limits() == {"a": (2, "task"), "b": (3, "code"), "c": (0, "task"), "d": (10, "engine")}
    assert limits(max_cycle=7)["d"] == (7, "workflow")


def test_a_snapshot_counts_what_counts_against_the_limit(driver: Driver) -> None:
    run = driver.start(document([task("a", uses="test.thrice")], [{"source": "a", "target": "a", "loop": True}]))
    run.work("a")
    shown = api.task_detail(driver.boss, run.id, "a")
    assert (shown.iteration, shown.cycle_count, shown.max_cycle) == (2, 1, 3)


def test_roles_and_restricted_workflows(driver: Driver) -> None:
    viewer, outsider = person("vera", "viewer"), person("otto", "viewer", "operator", "reviewer")
    run = driver.start(ASK)
    question = run.question().id
    with pytest.raises(Forbidden):
        api.answer_feedback(viewer, question, decision="skip")
    with pytest.raises(Forbidden):
        api.stop_run(viewer, run.id)
    with pytest.raises(Forbidden):
        api.create_workflow(outsider, name="x", document=ONE)
    workflow = WorkflowDefinition.objects.get()
    workflow.allowed_groups.add(Group.objects.create(name="inner circle"))
    for look in (
        lambda: api.get_run(outsider, run.id),
        lambda: api.get_workflow(outsider, workflow.slug),
        lambda: api.get_feedback(outsider, question),
        lambda: api.events_after(outsider, run.id),
        lambda: api.answer_feedback(outsider, question, decision="skip"),
    ):
        with pytest.raises(NotFound):
            look()
    assert api.list_runs(outsider).results == api.list_feedback(outsider).results == []


def test_the_inbox_counts_what_waits_for_this_person(driver: Driver) -> None:
    ann, bob = person("ann", "reviewer"), person("bob", "reviewer", groups=("editors",))
    body = document(
        [
            {"id": "all", "kind": "approval"},
            {"id": "her", "kind": "approval", "assignees": {"users": ["ann"]}},
            {"id": "them", "kind": "approval", "assignees": {"groups": ["editors"]}},
        ],
        [],
    )
    run = driver.start(body)
    assert (api.count_open_feedback(ann), api.count_open_feedback(bob)) == (2, 2)
    mine = {item.task_id for item in api.list_feedback(bob, assigned="me").results}
    assert mine == {"all", "them"}
    with pytest.raises(Forbidden):
        api.answer_feedback(bob, api.list_feedback(ann, q="her").results[0].id, decision="approve")
    api.stop_run(driver.boss, run.id)
    assert api.count_open_feedback(ann) == 0


@pytest.mark.parametrize(
    ("decision", "more"),
    [
        ("answer", {"value": {}}),
        ("answer", {"value": "text"}),
        ("approve", {}),
        ("perhaps", {}),
        ("answer", {"value": {"n": float("nan")}}),
    ],
)
def test_an_answer_that_does_not_fit_changes_nothing(driver: Driver, decision: str, more: dict[str, Any]) -> None:
    run = driver.start(ASK)
    before = run.row.seq
    with pytest.raises(InvalidInput) as refused:
        run.answer(decision, **more)
    assert refused.value.details["errors"]
    assert (run.question().state, run.row.seq) == ("open", before)
    run.answer("answer", value={"n": 1})
    assert run.status == "succeeded"


def test_deeds_stand_in_the_audit_log(driver: Driver) -> None:
    run = driver.start(ASK)
    run.answer("answer", value={"n": 1})
    deeds = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert deeds[-4:] == ["workflow.create", "workflow.publish", "run.start", "feedback.decide"]
    assert api.audit(driver.boss, actor="boss").results[0].action == "feedback.decide"


def test_unknown_things_are_not_found(driver: Driver) -> None:
    for look in (api.get_run, api.get_workflow, api.get_feedback):
        for name in ("no-such-thing", "00000000-0000-0000-0000-000000000000", "x" * 500):
            with pytest.raises(NotFound):
                look(driver.boss, name)
    run = driver.start(ASK)
    with pytest.raises(UnknownTask):
        api.task_detail(driver.boss, run.id, "nowhere")


def test_a_step_that_runs_another_workflow_tells_which_run_that_is(driver: Driver) -> None:
    driver.publish({**ONE, "name": "Inner"})
    step = {"id": "step", "kind": "workflow", "workflow": "inner"}
    run = driver.start(document([step, {**step, "id": "other"}], []))
    (child,) = api.task_detail(driver.boss, run.id, "step").children
    assert (child.task_id, child.workflow) == ("step", "inner")
    assert (api.get_run(driver.boss, child.run).parent, api.get_run(driver.boss, child.run).parent_task) == (
        run.id,
        "step",
    )
