"""One contract, three backends: barriers, and sequences of phases that meet at them."""

from __future__ import annotations

import threading
import time

import pytest

from engine import EngineError, TaskSpec
from engine.core.errors import NotPicklable, TaskFailure, WorkflowStateError
from tests.contract import workloads as w

pytestmark = pytest.mark.usefixtures("nothing_left")


# -- barriers ----------------------------------------------------------------------------------------------------


def test_a_waiter_passes_when_the_last_participant_has_arrived(backend):
    with backend.coordinator() as coordinator:
        assert coordinator.create_barrier("b", 2) == "b"
        passed = []
        waiter = threading.Thread(target=lambda: passed.append(coordinator.wait_barrier("b", timeout=10)))
        waiter.start()
        assert coordinator.signal_barrier("b", "one")
        assert not coordinator.wait_barrier("b", timeout=0.1)
        assert coordinator.signal_barrier("b", "two")
        waiter.join(10)
        assert passed == [True]


def test_a_late_waiter_finds_the_barrier_open(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 1)
        coordinator.signal_barrier("b", "one")
        assert coordinator.wait_barrier("b", timeout=5)
        assert coordinator.wait_barrier("b", timeout=0)


def test_who_arrives_twice_counts_once(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 2)
        coordinator.signal_barrier("b", "one")
        coordinator.signal_barrier("b", "one")
        assert not coordinator.wait_barrier("b", timeout=0.1)


def test_waiting_is_not_arriving_and_ends_with_the_timeout(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 1)
        started = time.monotonic()
        assert not coordinator.wait_barrier("b", timeout=0.3)
        assert 0.25 < time.monotonic() - started < 3
        assert not coordinator.wait_barrier("b", timeout=0)


def test_an_unknown_barrier_is_false_at_once(backend):
    with backend.coordinator() as coordinator:
        started = time.monotonic()
        assert not coordinator.wait_barrier("nobody", timeout=20)
        assert not coordinator.signal_barrier("nobody", "one")
        assert time.monotonic() - started < 5


def test_a_barrier_that_is_cleaned_up_lets_its_waiters_go_with_false(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 1)
        passed = []
        waiter = threading.Thread(target=lambda: passed.append(coordinator.wait_barrier("b", timeout=20)))
        waiter.start()
        time.sleep(0.1)
        coordinator.cleanup_barrier("b")
        waiter.join(10)
        assert passed == [False]
        assert not coordinator.signal_barrier("b", "one")
        coordinator.cleanup_barrier("b")


def test_a_barrier_made_again_is_closed_again(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 1)
        coordinator.signal_barrier("b", "one")
        coordinator.create_barrier("b", 1)
        assert not coordinator.wait_barrier("b", timeout=0.1)


def test_a_barrier_for_nobody_is_refused(backend):
    with backend.coordinator() as coordinator, pytest.raises(WorkflowStateError, match="at least 1"):
        coordinator.create_barrier("b", 0)


def test_barriers_of_two_runs_do_not_meet(backend):
    with backend.coordinator() as one, backend.coordinator() as other:
        one.create_barrier("b", 1)
        other.create_barrier("b", 1)
        one.signal_barrier("b", "x")
        assert one.wait_barrier("b", timeout=5)
        assert not other.wait_barrier("b", timeout=0.1)


def test_many_waiters_all_pass(backend):
    with backend.coordinator() as coordinator:
        coordinator.create_barrier("b", 3)
        passed = []
        waiters = [threading.Thread(target=lambda: passed.append(coordinator.wait_barrier("b", 10))) for _ in range(4)]
        for waiter in waiters:
            waiter.start()
        for participant in "xyz":
            coordinator.signal_barrier("b", participant)
        for waiter in waiters:
            waiter.join(10)
        assert passed == [True] * 4


def test_a_participant_in_another_process_signals(tmp_path):
    from engine import MultiprocessingCoordinator

    with MultiprocessingCoordinator(2) as coordinator:
        coordinator.create_barrier("b", 2)
        spec = TaskSpec("s", w.signal_at, args=(coordinator, "b", "child"))
        waiting = coordinator.submit(TaskSpec("w", w.wait_at, args=(coordinator, "b", 20)))
        assert coordinator.submit(spec).result(20)
        assert coordinator.signal_barrier("b", "parent")
        assert waiting.result(20)


def test_redis_coordinators_of_one_prefix_share_their_barriers(redis_client):
    from engine import RedisCoordinator

    with (
        RedisCoordinator(redis_client, prefix="t:shared") as one,
        RedisCoordinator(redis_client, prefix="t:shared") as other,
    ):
        one.create_barrier("b", 1)
        assert 0 < redis_client.ttl("t:shared:barrier:b") <= 3600
        assert other.signal_barrier("b", "x")
        assert one.wait_barrier("b", timeout=5)


# -- sequences ---------------------------------------------------------------------------------------------------


def test_a_sequence_gives_every_value(backend):
    sequence = [
        TaskSpec("a", w.add, args=(1,)),
        [TaskSpec("b", w.add, args=(1,), kwargs={"b": 2}), TaskSpec("c", w.double, args=(4,))],
        [],
        TaskSpec("d", w.add, kwargs={"a": 5}),
    ]
    assert backend.executor().execute_sequence(sequence) == {"a": 1, "b": 3, "c": 8, "d": 5}


def test_a_phase_begins_after_all_of_the_one_before(backend, tmp_path):
    first = [TaskSpec(name, w.note_time, args=(str(tmp_path / name), 0.3)) for name in ("b", "c")]
    backend.executor().execute_sequence([first, TaskSpec("d", w.note_time, args=(str(tmp_path / "d"),))])
    times = {name: [float(at) for at in (tmp_path / name).read_text().split()] for name in "bcd"}
    assert times["d"][0] >= max(times["b"][1], times["c"][1])
    assert max(times["b"][0], times["c"][0]) < min(times["b"][1], times["c"][1])


def test_a_failed_phase_raises_after_it_has_ended_and_stops_the_sequence(backend, tmp_path):
    sequence = [
        [TaskSpec("bad", w.fail, args=("no luck",)), TaskSpec("good", w.note_time, args=(str(tmp_path / "good"), 0.3))],
        TaskSpec("later", w.note_time, args=(str(tmp_path / "later"),)),
    ]
    with pytest.raises(TaskFailure) as caught:
        backend.executor().execute_sequence(sequence)
    assert caught.value.errors == {"bad": "ValueError: no luck"}
    assert (tmp_path / "good").exists()
    assert not (tmp_path / "later").exists()


def test_a_killed_workers_work_is_done_by_another(other_process, tmp_path):
    sequence = [[TaskSpec("x", w.die_once, args=(str(tmp_path / "m"),)), TaskSpec("y", w.add, args=(1,))]]
    assert other_process.executor().execute_sequence(sequence) == {"x": "survived", "y": 1}


def test_work_that_kills_every_worker_fails_as_worker_lost(other_process):
    with pytest.raises(TaskFailure) as caught:
        other_process.executor().execute_sequence([[TaskSpec("x", w.die), TaskSpec("y", w.add, args=(1,))]])
    assert list(caught.value.errors) == ["x"]
    assert caught.value.errors["x"].startswith("worker_lost")


def test_work_that_leaves_this_process_leaves_it(backend):
    import os

    here = backend.executor().execute_sequence([TaskSpec("p", w.own_pid)])["p"] == os.getpid()
    assert here != backend.is_elsewhere


def test_two_sequences_at_once_keep_apart(backend):
    found = {}

    def run(number):
        specs = [TaskSpec(f"t{i}", w.add, args=(i, number)) for i in range(4)]
        found[number] = backend.executor().execute_sequence([specs, TaskSpec("last", w.add, args=(number,))])

    threads = [threading.Thread(target=run, args=(number,)) for number in (100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in (100, 200):
        assert found[number] == {f"t{i}": i + number for i in range(4)} | {"last": number}


def test_a_phase_beyond_its_timeout_is_given_up(backend, tmp_path):
    started = time.monotonic()
    with pytest.raises(TaskFailure, match="timeout"):
        backend.executor(timeout=0.3).execute_sequence([TaskSpec("slow", w.note_time, args=(str(tmp_path / "x"), 4.0))])
    assert time.monotonic() - started < 3.5


def test_lambdas_and_local_functions_are_refused_before_anything_starts(other_process, tmp_path):
    def local():
        return 1

    for func in (local, lambda: 1):
        sequence = [TaskSpec("first", w.note_time, args=(str(tmp_path / "x"),)), TaskSpec("odd", func)]
        with pytest.raises(NotPicklable, match=r"'odd'.*Move it to a module.*MEMORY"):
            other_process.executor().execute_sequence(sequence)
        assert not (tmp_path / "x").exists()


def test_values_that_cannot_travel_are_refused_before_anything_starts(other_process):
    with pytest.raises(EngineError, match="'odd'"):
        other_process.executor().execute_sequence([TaskSpec("odd", w.add, args=(threading.Lock(),))])


def test_ids_are_used_once(backend):
    with pytest.raises(WorkflowStateError, match="'a'"):
        backend.executor().execute_sequence([TaskSpec("a", w.add, args=(1,)), TaskSpec("a", w.add, args=(2,))])
