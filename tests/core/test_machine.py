"""What starts, what waits, what is skipped; loops, failures and people: the rules of a run."""

from __future__ import annotations

import json

import pytest

from engine import IllegalTransition, TaskState, TaskStatus, TaskWrapper, WorkflowContext, workflow
from engine.core import news as n
from engine.core.retry import delay_before
from engine.core.state import RunState
from tests.core.scenario import Scenario


def test_a_join_waits_for_the_slower_branch():
    run = Scenario("a >> (b | c) >> d").succeed("a", "b")
    assert run.status("d") == "blocked"
    run.succeed("c")
    assert run.status("d") == "ready"


def test_a_task_outside_any_cycle_goes_through_success_to_completed():
    run = Scenario("a").succeed("a")
    assert run.history("a") == ["blocked", "ready", "running", "success", "completed"]
    assert run.state.status == "succeeded"


def test_a_task_in_a_cycle_stays_planned_until_the_cycle_ends():
    run = Scenario("a >> b >> a", tasks={"a": {"max_cycle": 2}}).succeed("a")
    assert run.status("a") == "planned"
    run.succeed("b")
    assert (run.status("a"), run.iteration("a"), run.status("b"), run.iteration("b")) == ("ready", 2, "blocked", 2)
    run.succeed("a", "b")
    assert run.history("a")[-3:] == ["planned", "success", "completed"]
    assert (run.state.status, run.state.tasks["a"].reason) == ("succeeded", "cycle_limit")


def test_an_edge_out_of_a_loop_fires_once_after_its_end():
    run = Scenario("a >> b >> c; b >> a", tasks={"a": {"max_cycle": 2}}).succeed("a", "b")
    assert run.status("c") == "blocked"
    run.succeed("a", "b")
    assert run.status("c") == "ready"


def test_an_outer_round_resets_the_counts_of_inner_loops():
    settings = {"a": {"max_cycle": 2}, "b": {"max_cycle": 2}}
    run = Scenario("a >> b >> c >> d; c >> b; d >> a", tasks=settings)
    run.succeed("a", "b", "c", "b", "c", "d")
    assert (run.status("a"), run.iteration("b")) == ("ready", 3)
    run.succeed("a", "b", "c", "b", "c", "d")
    assert (run.state.status, run.iteration("b"), run.iteration("a")) == ("succeeded", 4, 2)


def test_two_branches_that_lead_back_to_one_head_are_one_loop():
    run = Scenario("h >> (x | y); x >> h; y >> h", tasks={"h": {"max_cycle": 2}})
    run.succeed("h", "x", "y")
    assert (run.status("h"), run.iteration("h")) == ("ready", 2)
    run.succeed("h", "x", "y")
    assert run.state.status == "succeeded"


def test_skipping_spreads_over_success_edges():
    run = Scenario("a >> b >> c").fail("a")
    assert (run.state.tasks["c"].outcome, run.state.status) == ("skipped", "failed")


def test_a_failure_that_an_error_edge_takes_does_not_fail_the_run():
    run = Scenario("a >> b").edge("a", "mend", on="error").fail("a").succeed("mend")
    assert run.state.status == "succeeded"
    assert run.state.tasks["b"].outcome == "skipped"


def test_an_ignored_failure_goes_on_with_nothing():
    run = Scenario("a >> b", tasks={"a": {"on_error": "ignore"}}).fail("a").succeed("b")
    assert run.state.status == "succeeded"


def test_other_branches_go_on_after_a_failure():
    run = Scenario("a >> (b | c)").succeed("a").fail("b").succeed("c")
    assert (run.state.tasks["c"].outcome, run.state.status) == ("success", "failed")


def test_on_error_stop_skips_everything_that_is_ready():
    run = Scenario("a >> (b | c)", on_error="stop").succeed("a").fail("b")
    assert (run.state.tasks["c"].outcome, run.state.status) == ("skipped", "failed")


@pytest.mark.parametrize(
    ("policy", "status", "follower"),
    [
        ("strict", "failed", "skipped"),
        ("best_effort", "succeeded", "success"),
        ({"at_least": 1}, "succeeded", "success"),
        ({"at_least": 2}, "failed", "skipped"),
        ({"critical": ["b"]}, "failed", "skipped"),
        ({"critical": ["c"]}, "succeeded", "success"),
    ],
)
def test_a_group_policy_says_what_counts_as_success(policy, status, follower):
    run = Scenario("a >> (b | c) >> d")
    run.workflow._definition.groups[0].policy = policy
    run.succeed("a").fail("b").succeed("c")
    if follower == "success":
        run.succeed("d")
    assert (run.state.status, run.state.tasks["d"].outcome) == (status, follower)


@pytest.mark.parametrize("order", ["ac", "ca"])
@pytest.mark.parametrize(
    ("policy", "status", "follower"),
    [
        ("strict", "failed", "skipped"),
        ("best_effort", "succeeded", "success"),
        ({"at_least": 1}, "succeeded", "success"),
        ({"at_least": 2}, "failed", "skipped"),
        ({"critical": ["b"]}, "failed", "skipped"),
        ({"critical": ["c"]}, "succeeded", "success"),
    ],
)
def test_a_failure_on_the_way_to_a_member_counts_like_one_of_the_member(policy, status, follower, order):
    run = Scenario("((a >> m >> b) | c) >> d")
    run.workflow._definition.groups[0].policy = policy
    for name in order:
        run.fail("a") if name == "a" else run.succeed("c")
    if follower == "success":
        run.succeed("d")
    assert (run.state.status, run.state.tasks["d"].outcome) == (status, follower)


@pytest.mark.parametrize("order", ["ac", "ca"])
def test_an_error_edge_of_a_group_mends_a_failure_on_the_way_to_a_member(order):
    run = Scenario("((a >> b) | c) >> d")
    run.workflow.add_edge(run.workflow._definition.groups[0].id, run.made["mend"], on="error")
    for name in order:
        run.fail("a") if name == "a" else run.succeed("c")
    run.succeed("mend")
    assert (run.state.status, run.state.tasks["d"].outcome) == ("succeeded", "skipped")


def test_a_failed_group_breaks_the_group_behind_it():
    run = Scenario("(a | b) >> c; (c | d) >> e").fail("a").succeed("b", "d")
    assert (run.state.tasks["e"].outcome, run.state.status) == ("skipped", "failed")
    run = Scenario("(a | b) >> c; (c | d) >> e")
    run.workflow._definition.groups[1].policy = "best_effort"
    run.fail("a").succeed("b", "d", "e")
    assert run.state.status == "succeeded"


@pytest.mark.parametrize("policy", ["strict", "best_effort"])
def test_a_failure_before_a_whole_group_is_not_the_groups(policy):
    run = Scenario("a >> (b | c) >> d")
    run.workflow._definition.groups[0].policy = policy
    run.fail("a")
    assert (run.state.groups["group_1"].outcome, run.state.status) == ("skipped", "failed")
    assert run.state.tasks["d"].outcome == "skipped"


def test_a_member_that_a_condition_or_an_error_edge_leaves_out_does_not_fail_its_group():
    run = Scenario("(b | c) >> d").edge("a", "b", when="result > 1").succeed("c").succeed("a", value=1).succeed("d")
    assert run.state.status == "succeeded"
    run = Scenario("(b | c) >> d; a >> b").edge("a", "mend", on="error").succeed("c").fail("a").succeed("mend", "d")
    assert run.state.status == "succeeded"


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_an_error_edge_of_a_group_mends_a_failure_whoever_ends_first(order):
    run = Scenario("a >> (b | c) >> d")
    group = run.workflow._definition.groups[0].id
    run.workflow.add_edge(group, run.made["mend"], on="error")
    run.succeed("a")
    for name in order:
        run.fail("b") if name == "b" else run.succeed("c")
    run.succeed("mend")
    assert run.state.status == "succeeded"


@pytest.mark.parametrize(("join", "after_one"), [("any", "ready"), (2, "blocked"), ("all", "blocked")])
def test_a_join_counts_what_fires(join, after_one):
    run = Scenario("(a | b | c); a >> d; b >> d; c >> d", tasks={"d": {"join": join}}).succeed("a")
    assert run.status("d") == after_one


def test_join_all_is_decided_when_every_edge_is_so_that_the_order_of_ends_does_not_matter():
    run = Scenario("(a | b); a >> d; b >> d", tasks={"d": {"join": "all"}}).fail("a")
    assert run.status("d") == "blocked"
    run.succeed("b")
    assert run.state.tasks["d"].outcome == "skipped"


def test_a_failed_try_waits_and_is_tried_again():
    run = Scenario("a", tasks={"a": {"max_retries": 1}}).fail("a", retryable=True)
    assert run.status("a") == "retry_waiting"
    assert isinstance(run.commands[-1], n.ArmTimer)
    run.tell(n.TimerRang("a", 2000.0)).succeed("a")
    assert (run.state.status, run.state.tasks["a"].attempt) == ("succeeded", 2)


def test_a_dead_worker_is_no_retry_of_the_task():
    run = Scenario("a", tasks={"a": {"max_retries": 0}}).fail("a", kind="worker_lost")
    assert (run.status("a"), run.state.tasks["a"].retry_count, run.state.tasks["a"].lost_count) == (
        "retry_waiting",
        0,
        1,
    )


def test_the_fourth_dead_worker_is_the_end():
    run = Scenario("a", tasks={"a": {"max_retries": 0}})
    for _ in range(3):
        run.fail("a", kind="worker_lost").tell(n.TimerRang("a", 2000.0))
    run.fail("a", kind="worker_lost")
    assert run.state.status == "failed"


def test_the_delay_grows_and_has_a_ceiling():
    delays = [delay_before(retry, retry_delay=1.0, backoff=2.0, jitter=1.0) for retry in (1, 2, 3, 20)]
    assert delays == [1.0, 2.0, 4.0, 300.0]
    with pytest.raises(ValueError, match="retry=0"):
        delay_before(0, retry_delay=1, backoff=2, jitter=1)


def test_a_late_result_changes_nothing():
    run = Scenario("a >> b").succeed("a")
    before = len(run.state.log)
    run.tell(n.TaskFinished("a", 3000.0, "again"))
    assert len(run.state.log) == before
    assert run.state.tasks["a"].result is None


def test_approving_sends_the_task_on_as_the_same_attempt():
    run = Scenario("a >> b").ask("a")
    assert run.state.status == "waiting"
    run.answer("a", "approve").succeed("a")
    assert run.history("a") == [
        "blocked",
        "ready",
        "running",
        "feedback_required",
        "ready",
        "running",
        "success",
        "completed",
    ]
    assert run.state.tasks["a"].attempt == 1


def test_a_rejection_nobody_handles_ends_the_run_rejected():
    run = Scenario("a >> b").ask("a").answer("a", "reject", reason="no")
    assert (run.state.status, run.state.tasks["a"].reason, run.state.tasks["b"].outcome) == (
        "rejected",
        "no",
        "skipped",
    )


def test_a_rejection_goes_round_a_loop_that_waits_for_it():
    run = Scenario("draft >> review >> publish").edge("review", "draft", on="rejected")
    run.succeed("draft").ask("review").answer("review", "reject", reason="shorter")
    assert (run.status("draft"), run.iteration("review"), run.status("publish")) == ("ready", 2, "blocked")
    run.succeed("draft").ask("review").answer("review", "approve").succeed("review", "publish")
    assert run.state.status == "succeeded"


def test_a_round_that_enters_another_loop_gives_its_head_a_new_count():
    """Neither loop lies inside the other: {a, b} goes round before b, {b, c} after it; each may do so twice."""
    run = Scenario("a >> b >> c; b >> a; c >> b", default_max_cycle=2)
    run.succeed("a", "b", "a", "b")
    assert (run.state.tasks["b"].cycle_count, run.status("c")) == (1, "ready")
    run.succeed("c", "b", "c")
    assert (run.state.status, [run.iteration(name) for name in "abc"]) == ("succeeded", [2, 3, 2])
    assert all(run.state.tasks[name].cycle_count <= 2 for name in "abc")


def test_loop_edges_of_one_loop_give_new_counts_to_each_others_heads():
    """x >> a and y >> b wait for each other's exits, so they are one loop; every round over a enters b anew."""
    run = Scenario("a >> b >> x; a >> y; b >> y; x >> a; y >> b", tasks={"a": {"max_cycle": 3}, "b": {"max_cycle": 2}})
    assert [loop.heads for loop in run.workflow.plan().loops] == [("a", "b")]
    while not run.state.is_final():
        run.succeed(next(task.task_id for task in run.state.tasks.values() if task.status == "ready"))
    assert [run.state.tasks[name].cycle_count for name in "ab"] == [3, 2]
    assert [run.iteration(name) for name in "ab"] == [3, 4]


def test_a_rejection_at_the_loops_limit_is_handled_by_nobody():
    run = Scenario("draft >> review", tasks={"draft": {"max_cycle": 1}}).edge("review", "draft", on="rejected")
    run.succeed("draft").ask("review").answer("review", "reject")
    assert run.state.status == "rejected"


def test_a_task_skipped_by_a_person_fires_its_success_edges():
    run = Scenario("a >> b").ask("a").answer("a", "skip")
    assert run.status("b") == "ready"


def test_a_second_answer_changes_nothing():
    run = Scenario("a >> b").ask("a").answer("a", "approve")
    before = len(run.state.log)
    run.answer("a", "reject")
    assert len(run.state.log) == before


def test_stop_closes_what_does_not_run_and_cancels_what_does():
    run = Scenario("(a | b) >> c").start("a").tell(n.StopRequested(2000.0, "enough"))
    assert (run.state.status, run.status("b"), run.status("c")) == ("stopping", "completed", "completed")
    assert n.CancelTask("a") in run.commands
    run.tell(n.TaskFailed(task_id="a", at=2001.0, error="stopped", retryable=True))
    assert (run.state.status, run.state.reason, run.state.tasks["a"].outcome) == ("stopped", "enough", "cancelled")


def test_a_paused_run_starts_nothing():
    run = Scenario("a >> b")
    run.tell(n.PauseRequested(1.0)).start("a")
    assert (run.state.status, run.status("a")) == ("paused", "ready")
    run.tell(n.ResumeRequested(2.0)).succeed("a")
    assert run.status("b") == "ready"


def test_a_joined_child_holds_the_successors_of_its_parent():
    child = n.Spawn(task_id="child_1", uses="a", args={}, join=True)
    run = Scenario("a >> b").succeed("a", spawn=(child,))
    assert (run.status("b"), run.status("child_1")) == ("blocked", "ready")
    run.succeed("child_1")
    assert run.status("b") == "ready"


def test_a_failed_joined_child_kills_the_success_edges_of_its_parent():
    child = n.Spawn(task_id="child_1", uses="a", args={}, join=True)
    run = Scenario("a >> b").succeed("a", spawn=(child,)).fail("child_1")
    assert (run.state.tasks["b"].outcome, run.state.status) == ("skipped", "failed")


CHILDREN = tuple(n.Spawn(task_id=name, uses="a", args={}, join=True) for name in ("one", "two"))


def test_a_parent_fails_with_its_joined_child():
    run = Scenario("a >> b").succeed("a", value=1, spawn=CHILDREN).fail("one").succeed("two")
    a = run.state.tasks["a"]
    assert (a.outcome, a.error, run.history("a")[-2:]) == ("error", "one: broken", ["success", "completed"])
    assert (run.state.status, run.state.failure) == ("failed", "Task 'one' failed: broken")


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_an_error_edge_of_the_parent_handles_the_failure_of_a_joined_child(order):
    run = Scenario("a >> b", on_error="stop").edge("a", "mend", on="error").succeed("a", spawn=CHILDREN)
    for name in order:
        run.fail(name) if name == "one" else run.succeed(name)
    run.succeed("mend")
    assert (run.state.status, run.state.tasks["b"].outcome) == ("succeeded", "skipped")


def test_a_tolerant_group_around_the_parent_tolerates_the_failure_of_a_joined_child():
    run = Scenario("(a | c) >> d")
    run.workflow._definition.groups[0].policy = "best_effort"
    run.succeed("a", spawn=CHILDREN).fail("one").succeed("two", "c", "d")
    assert (run.state.status, run.state.tasks["a"].tolerated) == ("succeeded", True)


def test_a_parent_whose_failure_is_ignored_goes_on_with_nothing_after_a_joined_child_failed():
    run = Scenario("a >> b", tasks={"a": {"on_error": "ignore"}}).succeed("a", value=1, spawn=CHILDREN)
    run.fail("one").succeed("two", "b")
    a = run.state.tasks["a"]
    assert (run.state.status, a.outcome, a.result) == ("succeeded", "error", None)


def test_a_joined_child_fails_its_parent_in_a_loop_and_the_loop_may_go_round_over_it():
    run = Scenario("a >> b").edge("a", "a", on="error").succeed("a", spawn=CHILDREN[:1]).fail("one")
    assert (run.history("a")[-4:], run.iteration("a")) == (["error", "completed", "blocked", "ready"], 2)
    run.succeed("a", "b")
    assert run.state.status == "succeeded"


def test_a_run_that_stops_over_a_joined_child_says_that_the_parent_failed():
    run = Scenario("a >> b", on_error="stop").succeed("a", spawn=CHILDREN).fail("one")
    assert (run.state.status, run.state.tasks["a"].outcome) == ("failed", "error")


def test_next_iteration_counts_against_the_limit():
    run = Scenario("a >> b", tasks={"a": {"max_cycle": 2}}).succeed("a", iterate=True)
    assert (run.status("a"), run.iteration("a"), run.status("b")) == ("ready", 2, "blocked")
    run.succeed("a", iterate=True)
    assert (run.state.tasks["a"].reason, run.status("b")) == ("cycle_limit", "ready")


def test_a_limit_can_count_as_a_failure():
    run = Scenario("a >> b", tasks={"a": {"max_cycle": 1, "on_max_cycle": "fail"}}).succeed("a", iterate=True)
    assert (run.history("a")[-3:], run.state.status) == (["planned", "error", "completed"], "failed")


@pytest.mark.parametrize("order", [("one", "a"), ("a", "one")])
def test_what_follows_waits_for_the_joined_children_of_every_iteration(order):
    run = Scenario("a >> b").succeed("a", iterate=True, spawn=CHILDREN[:1]).succeed(order[0])
    assert run.status("b") == "blocked"
    run.succeed(order[1], "b")
    assert run.state.status == "succeeded"


@pytest.mark.parametrize("order", [("one", "a"), ("a", "one")])
def test_a_joined_child_of_an_earlier_iteration_fails_the_last_one(order):
    run = Scenario("a >> b", on_error="stop").edge("a", "mend", on="error")
    run.succeed("a", iterate=True, spawn=CHILDREN[:1])
    for name in order:
        run.fail(name) if name == "one" else run.succeed(name)
    run.succeed("mend")
    assert (run.state.status, run.state.tasks["a"].outcome) == ("succeeded", "error")


def test_a_task_whose_last_iteration_is_refused_ends_with_its_joined_children():
    run = Scenario("a >> b", tasks={"a": {"max_cycle": 1}}).succeed("a", iterate=True, spawn=CHILDREN[:1])
    run.succeed("one", "b")
    assert (run.state.status, run.history("a")[-3:]) == ("succeeded", ["planned", "success", "completed"])


FAILS_AT_2 = {"a": {"max_cycle": 2, "on_max_cycle": "fail"}}


def test_a_limit_that_counts_as_a_failure_is_one_of_the_task_that_has_it():
    run = Scenario("a >> b >> c; b >> a", tasks=FAILS_AT_2).succeed("a", "b", "a", "b")
    outcomes = [run.state.tasks[name].outcome for name in "abc"]
    assert (outcomes, run.state.status) == (["error", "success", "skipped"], "failed")


def test_an_error_edge_of_that_task_is_all_it_takes():
    run = Scenario("a >> b >> c; b >> a", tasks=FAILS_AT_2).edge("a", "e", on="error")
    run.succeed("a", "b", "a", "b", "e")
    assert (run.state.status, run.state.tasks["c"].outcome) == ("succeeded", "skipped")


@pytest.mark.parametrize(("policy", "status"), [("strict", "failed"), ("best_effort", "succeeded")])
def test_a_loop_that_fails_at_its_limit_counts_in_the_group_behind_it(policy, status):
    run = Scenario("s >> a >> b; b >> a; ((b >> c) | d) >> e", tasks=FAILS_AT_2)
    run.workflow._definition.groups[0].policy = policy
    run.succeed("s", "a", "b", "a", "b", "d")
    if policy != "strict":
        run.succeed("e")
    assert (run.state.status, run.state.tasks["e"].outcome == "success") == (status, policy != "strict")


def test_a_rejection_at_a_limit_that_fails_may_still_be_handled():
    settings = {"a": {"max_cycle": 1, "on_max_cycle": "fail"}}
    run = Scenario("a >> b", tasks=settings).edge("b", "a", on="rejected", loop=True)
    run.edge("b", "archive", on="rejected").edge("a", "e", on="error")
    run.succeed("a").ask("b").answer("b", "reject").succeed("archive", "e")
    assert run.state.status == "succeeded"


def test_a_loop_ends_when_its_value_stands_still():
    run = Scenario("a >> b >> a", tasks={"b": {"converge": 0.5}})
    for value in (10.0, 5.0, 4.8):
        run.succeed("a").succeed("b", value=value)
    assert (run.state.status, run.iteration("b"), run.state.tasks["b"].reason) == ("succeeded", 3, "converged")


def test_only_what_the_start_node_reaches_runs():
    run = Scenario("a >> b >> c")
    run.plan = run.workflow.plan()
    run._state = RunState.for_plan(run.plan)
    run.tell(n.RunStarted(0.0, "b")).succeed("b", "c")
    assert (run.state.status, run.state.tasks["a"].outcome) == ("succeeded", "skipped")


def test_what_follows_a_group_waits_only_for_members_that_the_start_node_reaches():
    run = Scenario("a >> (b | c) >> d")
    run.plan = run.workflow.plan()
    run._state = RunState.for_plan(run.plan)
    run.tell(n.RunStarted(0.0, "b")).succeed("b", "d")
    assert (run.state.status, run.state.tasks["c"].outcome) == ("succeeded", "skipped")


def test_an_illegal_move_names_both_statuses_and_changes_nothing():
    state = TaskState("a")
    with pytest.raises(IllegalTransition, match=r"'blocked'.*'success'"):
        state.transition_to(TaskStatus.SUCCESS)
    assert state.status == "blocked"


def test_a_state_survives_the_way_through_a_channel():
    state = TaskState("a", iteration=3, reason="converged", outcome="success", at=12.0)
    again = TaskState.from_channel_value(state.to_channel_value())
    assert (again.iteration, again.reason, again.outcome, again.at) == (3, "converged", "success", 12.0)


def test_counters_survive_the_way_through_json():
    run = Scenario("a >> (b | c) >> d; d >> a").succeed("a", "b")
    kept = json.loads(json.dumps(run.state.counters()))
    again = RunState.from_counters(kept, tasks=run.state.tasks, inputs={})
    assert again.counters() == run.state.counters()


@pytest.mark.parametrize(("where", "runs"), [("a", [2, 2]), ("b", [2, 2]), ("neither", [4, 4])])
def test_a_limit_of_its_own_binds_any_task_of_a_loop(where: str, runs: list[int]) -> None:
    document = {
        "schema": "graflow/1",
        "name": "w",
        "defaults": {"max_cycle": 4},
        "tasks": [
            {"id": name, "uses": "do", **({"max_cycle": 2} if name == where else {})} for name in ("a", "b", "c")
        ],
        "edges": [
            {"source": "a", "target": "b"},
            {"source": "b", "target": "a", "loop": True},
            {"source": "b", "target": "c"},
        ],
    }
    result = WorkflowContext.from_definition(document, {"do": TaskWrapper("do", lambda: None)}).execute()
    assert [result.state(name).iteration for name in ("a", "b")] == runs
    assert (result.status, result.reason("a"), result.state("c").outcome) == ("succeeded", "cycle_limit", "success")


def test_a_task_of_a_body_may_count_its_limit_as_an_error() -> None:
    with workflow("w", default_max_cycle=5) as wf:
        a, b = TaskWrapper("a", lambda: 1), TaskWrapper("b", lambda: 2, max_cycle=2, on_max_cycle="fail")
        a >> b
        b >> a
        b >> TaskWrapper("after", lambda: 3)
        wf.add_edge(b, TaskWrapper("rescue", lambda b: b["error"]), on="error")
    result = wf.execute()
    assert (result.status, result.state("a").outcome, result.state("b").outcome) == ("succeeded", "success", "error")
    assert result.results["rescue"] == "The loop has used all 2 iterations."
    assert result.state("after").outcome == "skipped"


def test_the_limit_of_an_inner_body_counts_anew_with_every_pass_around_it() -> None:
    with workflow("w", default_max_cycle=3) as wf:
        a, b, c, d = (TaskWrapper(n, lambda: 1, max_cycle=2 if n == "c" else None) for n in "abcd")
        a >> b >> c >> d
        wf.add_edge(c, b, loop=True)
        wf.add_edge(d, a, loop=True)
    result = wf.execute()
    assert [result.state(name).iteration for name in "abcd"] == [3, 6, 6, 3]
