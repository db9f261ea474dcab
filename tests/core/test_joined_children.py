"""Tasks that wait for the children they made: what holds, what fails, who may mend it."""

from __future__ import annotations

import pytest

from engine.core import news as n
from tests.core.scenario import Scenario

CHILDREN = tuple(n.Spawn(task_id=name, uses="a", args={}, join=True) for name in ("one", "two"))


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
