"""Loops: when one goes round, what its limit counts, how it ends."""

from __future__ import annotations

import pytest

from engine import TaskWrapper, WorkflowContext, workflow
from tests.core.scenario import Scenario

FAILS_AT_2 = {"a": {"max_cycle": 2, "on_max_cycle": "fail"}}


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


def test_next_iteration_counts_against_the_limit():
    run = Scenario("a >> b", tasks={"a": {"max_cycle": 2}}).succeed("a", iterate=True)
    assert (run.status("a"), run.iteration("a"), run.status("b")) == ("ready", 2, "blocked")
    run.succeed("a", iterate=True)
    assert (run.state.tasks["a"].reason, run.status("b")) == ("cycle_limit", "ready")


def test_a_limit_can_count_as_a_failure():
    run = Scenario("a >> b", tasks={"a": {"max_cycle": 1, "on_max_cycle": "fail"}}).succeed("a", iterate=True)
    assert (run.history("a")[-3:], run.state.status) == (["planned", "error", "completed"], "failed")


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
