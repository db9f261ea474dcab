"""One meaning, three backends: the same small workflows end the same way wherever their bodies run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import redis

from engine import CoordinationBackend, EngineError, TaskSpec, task
from engine.core.errors import NotPicklable
from graflow_site import services
from tests.contract import workloads as w
from tests.contract.places import ROOT, Backend, eventually, worker
from tests.execution import stranger

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_pipeline_with_a_group_and_channels(backend):
    with backend.workflow() as wf:
        w.start >> (w.left | w.right) >> w.meet
        result = wf.execute()
    assert result.status == "succeeded", str(result)
    assert result.results["meet"] == {"sum": 5, "visits": 2, "who": ["left", "right"]}
    assert wf.execution_context.get_channel("shared").get("visits") == 2


def test_naming_a_backend_is_enough_to_have_tasks_side_by_side(backend):
    with backend.workflow(execution_mode="sequential") as wf:
        w.start >> (w.left | w.right) >> w.meet
        assert wf.execute().results["meet"]["sum"] == 5


def test_a_loop(backend):
    with backend.workflow() as wf:
        w.draft >> w.review >> w.draft
        result = wf.execute()
    assert (result.results, result.reason("draft")) == ({"draft": 4, "review": 40}, "cycle_limit")


def test_retries_keep_their_errors(backend):
    with backend.workflow() as wf:
        wf.add(w.flaky)
        result = wf.execute()
    assert result.results == {"flaky": 3}
    errors = [attempt.error for attempt in result.attempts("flaky")]
    assert errors == ["ConnectionError: try 1", "ConnectionError: try 2", None]
    assert "workloads.py" in result.attempts("flaky")[0].traceback


def test_a_failure_stops_its_branch_and_is_not_retried_when_it_is_not_worth_it(backend):
    with backend.workflow() as wf:
        w.wrong >> w.after
        wf.add(w.start)
        result = wf.execute()
    assert (result.status, result.results, len(result.attempts("wrong"))) == ("failed", {"start": 1}, 1)
    assert result.error("wrong") == "ValueError: not worth a retry"


def test_parallel_increments_are_never_lost(backend):
    with backend.workflow(max_workers=4) as wf:
        wf.add(w.counter_0, w.counter_1, w.counter_2, w.counter_3)
        wf.execute()
    assert wf.execution_context.get_channel("shared").get("n") == 20


def test_a_killed_workers_task_is_tried_again_and_its_writes_count_once(other_process, tmp_path):
    with other_process.workflow() as wf:
        wf.add(w.mortal, w.start)
        result = wf.execute(inputs={"inputs_folder": str(tmp_path)})
    assert (result.status, result.results) == ("succeeded", {"mortal": "done", "start": 1})
    errors = [attempt.error for attempt in result.attempts("mortal")]
    assert len(errors) == 2
    assert errors[0].startswith("worker_lost")
    assert wf.execution_context.get_channel("shared").get("visits") == 1


def test_a_task_that_kills_every_worker_ends_as_worker_lost(other_process):
    with other_process.workflow() as wf:
        wf.add(w.doomed)
        result = wf.execute()
    assert result.status == "failed"
    assert result.error("doomed").startswith("worker_lost")
    assert len(result.attempts("doomed")) == 4


def test_a_timeout_ends_an_attempt(backend):
    with backend.workflow() as wf:
        wf.add(w.sleeper)
        result = wf.execute()
    assert result.status == "failed"
    assert result.error("sleeper") == "timeout: did not end within 0.3 s"


def test_tasks_made_while_running(backend):
    with backend.workflow() as wf:
        wf.add(w.spread)
        result = wf.execute()
    assert result.status == "succeeded", str(result)
    assert [result.results[child] for child in result.results["spread"]] == [1, 4, 9]


def test_next_iteration_hands_its_arguments_on(backend):
    with backend.workflow() as wf:
        wf.add(w.count_up)
        assert wf.execute().results == {"count_up": 3}


def test_a_question_and_its_answer(backend):
    with backend.workflow() as wf:
        w.start >> w.ask_first
        result = wf.execute()
        assert result.status == "waiting"
        manager = wf.execution_context.feedback_manager
        [(feedback_id, asked)] = manager.pending_feedback.items()
        assert asked["data"] == {"start": 1}
        assert manager.provide_text(feedback_id, "go on")
        result = wf.execute()
    assert (result.status, result.results["ask_first"]) == ("succeeded", ["go on", True])


def test_pushed_and_pulled_values(backend):
    with backend.workflow() as wf:
        w.boxed >> w.unboxed
        assert wf.execute().results["unboxed"] == {"k": [1, None]}


def test_stopping_from_another_thread(backend):
    with backend.workflow(max_workers=1) as wf:
        w.slow >> w.start
        threading.Timer(0.2, wf.stop, ["enough"]).start()
        result = wf.execute()
    assert result.status == "stopped"
    assert "start" not in result.results


def test_two_runs_at_once_never_meet(backend):
    found = {}

    def run(number):
        with backend.workflow(f"run{number}") as wf:
            w.start >> (w.left | w.right) >> w.meet
            found[number] = wf.execute().results.get("meet")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert list(found.values()) == [{"sum": 5, "visits": 2, "who": ["left", "right"]}] * 3


def test_work_that_cannot_leave_is_refused_before_anything_starts(other_process):
    @task
    def local():
        return 1

    with other_process.workflow() as wf:
        w.start >> local
        with pytest.raises(NotPicklable, match=r"'local'.*Move it to a module.*CoordinationBackend.MEMORY"):
            wf.execute()
        assert wf.execution_context.get_task_state("start").status == "blocked"


def test_inputs_that_cannot_leave_are_refused_before_anything_starts(other_process):
    with other_process.workflow() as wf:
        wf.add(w.start)
        with pytest.raises(EngineError, match="the input 'lock'"):
            wf.execute(inputs={"lock": threading.Lock()})


def test_a_result_that_cannot_come_back_fails_its_task(other_process):
    with other_process.workflow() as wf:
        wf.add(w.unsendable)
        result = wf.execute()
    assert result.status == "failed"
    assert "its result cannot be" in result.error("unsendable")
    assert len(result.attempts("unsendable")) == 1


def test_a_worker_drains_on_sigterm(redis_url, redis_client, tmp_path, worker_queue):
    queue = worker_queue + "-drain"
    backend = Backend(CoordinationBackend.REDIS, {"url": redis_url, "queue": queue, "lease": 1.5})
    with worker(redis_url, queue, tmp_path / "log") as process:
        coordinator = backend.coordinator()
        future = coordinator.submit(TaskSpec("slow", w.note_time, args=(str(tmp_path / "x"), 1.0)))
        eventually(lambda: redis_client.llen(queue) == 0)  # it was taken
        time.sleep(0.3)
        process.terminate()
        assert future.result(10) == 1.0
        assert process.wait(20) == 0
        coordinator.close()


def test_work_waits_for_a_worker_and_a_closed_coordinator_takes_it_back(redis_url, redis_client, worker_queue):
    coordinator = Backend(
        CoordinationBackend.REDIS, {"url": redis_url, "queue": worker_queue + "-nobody"}
    ).coordinator()
    future = coordinator.submit(TaskSpec("x", w.add, args=(1,)))
    assert redis_client.llen(worker_queue + "-nobody") == 1
    coordinator.close()
    assert future.exception(5) is not None


def test_a_run_that_no_worker_serves_can_be_stopped(redis_url, worker_queue):
    backend = Backend(CoordinationBackend.REDIS, {"url": redis_url, "queue": worker_queue + "-nobody"})
    with backend.workflow() as wf:
        wf.add(w.start)
        threading.Timer(0.3, wf.stop).start()
        assert wf.execute().status == "stopped"


@pytest.mark.usefixtures("redis_worker")
def test_a_worker_that_does_not_know_the_task_says_what_to_do(redis_url, worker_queue):
    backend = Backend(CoordinationBackend.REDIS, {"url": redis_url, "queue": worker_queue})
    with backend.workflow() as wf:
        wf.add(stranger.unknown_there)
        result = wf.execute()
    assert result.status == "failed"
    assert "Start it with --import" in result.error("unknown_there")


def test_without_redis_the_error_says_so():
    with Backend(CoordinationBackend.REDIS, {"url": "redis://127.0.0.1:9/0"}).workflow() as wf:
        wf.add(w.start)
        with pytest.raises(EngineError, match="There is no Redis"):
            wf.execute()


@pytest.fixture
def other_redis():
    server = services.start_redis(subprocess.DEVNULL)
    yield server.url
    server.stop()


def test_no_connection_stays_open(other_redis):
    backend = Backend(CoordinationBackend.REDIS, {"url": other_redis})
    with redis.Redis.from_url(other_redis) as client:
        with backend.coordinator() as coordinator:
            coordinator.create_barrier("b", 1)
            coordinator.wait_barrier("b", timeout=0)
            coordinator.submit(TaskSpec("x", w.add, args=(1,)))
        with backend.workflow() as wf:
            wf.add(w.start)
            threading.Timer(0.3, wf.stop).start()
            wf.execute()
        eventually(lambda: client.info("clients")["connected_clients"] == 1)


def test_a_redis_that_forgets_everything_costs_an_attempt(other_redis, worker_queue, tmp_path):
    backend = Backend(CoordinationBackend.REDIS, {"url": other_redis, "queue": worker_queue, "lease": 1.5})
    with worker(other_redis, worker_queue, tmp_path / "log"), redis.Redis.from_url(other_redis) as client:
        with backend.workflow() as wf:
            w.start >> (w.left | w.right) >> w.meet >> w.slow
            w.slow >> w.last_look

            def forget():
                eventually(lambda: wf.execution_context.get_task_state("contract.slow").status == "running", within=20)
                time.sleep(0.2)
                client.flushall()

            forgetful = threading.Thread(target=forget)
            starter = threading.Timer(0.5, forgetful.start)
            starter.start()
            result = wf.execute(inputs={"seconds": 1.5})
            forgetful.join(20)
        assert result.status == "succeeded", str(result)
        assert result.results["last_look"] == 2
        assert [bool(attempt.error) for attempt in result.attempts("contract.slow")] == [True, False]
        assert client.keys("*") == []


def test_processes_may_be_spawned_as_well():
    config = {"process_count": 1, "start_method": "spawn"}
    executor = Backend(CoordinationBackend.MULTIPROCESSING, config).executor()
    assert executor.execute_sequence([TaskSpec("a", w.add, args=(1,))]) == {"a": 1}


def test_a_script_without_a_guard_is_told_about_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from engine import task, workflow\n"
        "@task\ndef a(): return 1\n"
        "with workflow('w', coordination_backend='multiprocessing') as wf:\n    wf.add(a)\n    print(wf.execute())\n"
    )
    found = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert "under `if __name__ == '__main__':`" in found.stdout


def test_another_worker_takes_over_from_a_machine_that_is_gone(redis_url, worker_queue, tmp_path):
    queue = worker_queue + "-gone"
    backend = Backend(CoordinationBackend.REDIS, {"url": redis_url, "queue": queue, "lease": 1.5})
    found = []
    with worker(redis_url, queue, tmp_path / "first") as process, backend.workflow() as wf:
        wf.add(w.hang_once)
        running = threading.Thread(target=lambda: found.append(wf.execute(inputs={"folder": str(tmp_path)})))
        running.start()
        eventually((tmp_path / "pid").exists, within=20)
        for child in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            child.kill()
    with worker(redis_url, queue, tmp_path / "second"):
        running.join(30)
    assert found[0].results == {"hang_once": 2}
    assert found[0].attempts("hang_once")[0].error.startswith("worker_lost")


def test_a_frozen_workers_late_result_is_refused(redis_url, worker_queue, tmp_path, redis_worker):
    backend = Backend(CoordinationBackend.REDIS, {"url": redis_url, "queue": worker_queue, "lease": 1.5})
    with backend.workflow() as wf:
        wf.add(w.freeze_once)
        result = wf.execute(inputs={"folder": str(tmp_path)})
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)
    assert result.results == {"freeze_once": 2}
    assert wf.execution_context.get_channel("shared").get("visits") == 1
