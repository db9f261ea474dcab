"""What starts, what waits, what is skipped; groups, failures and people: the rules of a run."""

from __future__ import annotations

import json

import pytest

from engine import IllegalTransition, TaskState, TaskStatus
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
