"""Work finds a worker that listens and knows how, or says that there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from engine import task as task_decorator
from engine.core import registry
from engine.runs import api, database, hooks, queues, sweeps
from engine.runs.models import Attempt, Timer, WorkerInstance
from engine.workers import instance, publisher
from engine.workers.engine import Engine
from engine.workers.execute import execute
from engine.workers.wire import celery_queue
from tests.runs.driver import WORKER, Driver, Run, document, fire_timers, task
from tests.stack import Stack

ONE = document([task("a")], [])
BOTH = document([task("a"), task("gpu", queue="gpu")], [])


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client: Redis = Redis.from_url(redis_url)
    names = [celery_queue("default"), "gpu"]
    client.delete(*names)
    yield client
    client.delete(*names)
    client.close()


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """`forgotten()`: from now on this worker does not know the function."""

    def forget() -> None:
        known = {name: wrapper for name, wrapper in registry.tasks().items() if name != "test.echo"}
        monkeypatch.setattr(registry, "tasks", lambda: known)

    return forget


def try_it(run: Run) -> None:
    attempt = run.open()[0]
    assert execute(attempt.pk, attempt.nonce, WORKER)


def time_passes() -> float:
    """Ring the one timer; how long it would have taken."""
    timer = Timer.objects.get(fired_at=None)
    seconds = (timer.due_at - timezone.now()).total_seconds()
    Timer.objects.filter(pk=timer.pk).update(due_at=timezone.now())
    assert fire_timers() == 1
    return seconds


def test_a_worker_without_the_function_hands_the_attempt_back(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver.start(document([task("a", max_retries=0)], []))
    with monkeypatch.context() as here:
        known = {name: wrapper for name, wrapper in registry.tasks().items() if name != "test.echo"}
        here.setattr(registry, "tasks", lambda: known)
        waits = []
        for _ in range(9):
            try_it(run)
            assert run.task("a").status == "retry_waiting"
            waits.append(round(time_passes()))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert (run.task("a").retry_count, run.task("a").lost_count) == (0, 0)
    run.work("a")
    assert run.status == "succeeded"


def test_a_function_nobody_knows_is_said_aloud(driver: Driver, forgotten: Callable[[], None]) -> None:
    run = driver.start(ONE)
    forgotten()
    for _ in range(queues.STRANGE_TRIES - 1):
        try_it(run)
        assert api.health()["workers"][1] == "none is running"
        time_passes()
    try_it(run)
    (shown,) = api.get_run(driver.boss, run.id).tasks
    assert "no worker so far knows the function 'test.echo'" in (shown.error or "")
    assert "'test.echo'" in api.health()["workers"][1]
    api.stop_run(driver.boss, run.id)
    assert "'test.echo'" not in api.health()["workers"][1]


def test_work_in_a_queue_nobody_listens_to_leaves_the_wire_to_others(driver: Driver, redis: Redis) -> None:
    instance._register(slots=1, queues=["default"])
    run = driver.start(BOTH)
    Attempt.objects.update(publish_after=timezone.now())
    engine = Engine()
    engine.round()
    assert [redis.llen(name) for name in (celery_queue("default"), "gpu")] == [1, 0]
    assert not engine.round()  # what nobody will take does not keep the engine busy
    instance._register(slots=1, queues=["default", "gpu"])
    engine.round()
    assert redis.llen("gpu") == 1
    run.work("a", "gpu")


def test_the_fast_way_leaves_it_to_the_engine_too(
    driver: Driver, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = publisher.Publisher()
    monkeypatch.setattr(publisher, "_mark", lambda ids: None)  # which a thread does half a second later
    monkeypatch.setattr(hooks, "dispatch", fast.dispatch)
    instance._register(slots=1, queues=["default"])
    queues.forget()
    run = driver.start(BOTH)
    assert fast.flush(5.0)
    assert [redis.llen(name) for name in (celery_queue("default"), "gpu")] == [1, 0]
    instance._register(slots=1, queues=["default", "gpu"])
    Attempt.objects.update(publish_after=timezone.now())
    Engine().round()
    assert redis.llen("gpu") == 1
    queues.forget()
    again = driver.start({**BOTH, "name": "Again"})
    assert fast.flush(5.0)
    assert redis.llen("gpu") == 2
    fast.dispatch([hooks.DispatchMessage(attempt_id=1, nonce="n", queue="nowhere")])
    assert fast.flush(0)  # nothing is left that it would wait for
    for one in (run, again):
        one.work("a", "gpu")


def test_the_fast_way_looks_once_for_many_commits(driver: Driver, django_assert_num_queries: Any) -> None:
    messages = [hooks.DispatchMessage(attempt_id=1, nonce="n", queue="gpu")]
    queues.forget()
    assert queues.heard(messages) == messages  # whoever comes first decides
    with django_assert_num_queries(0):
        for _ in range(100):
            queues.heard(messages)


def test_a_queue_nobody_listens_to_is_named(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "is_gone", lambda process: False)  # on SQLite a worker holds a lock while it lives
    instance._register(slots=1, queues=["default"])
    run = driver.start(BOTH)
    assert api.health()["workers"] == (True, "1 running")
    Attempt.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert api.health()["workers"] == (True, "1 running; nobody listens to the queue 'gpu', where 1 wait")
    run.work("gpu", "a")
    assert api.health()["workers"] == (True, "1 running")


def test_without_any_worker_everything_is_published_for_the_first(driver: Driver, redis: Redis) -> None:
    run = driver.start(BOTH)
    Attempt.objects.update(publish_after=timezone.now())
    assert queues.listened() is None
    Engine().round()
    assert [redis.llen(name) for name in (celery_queue("default"), "gpu")] == [1, 1]
    assert sweeps.on_the_wire(["gpu"]) == 1
    run.work("a", "gpu")


def test_a_worker_listens_to_what_tasks_name_or_the_setting(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @task_decorator(name="test.on_a_gpu", queue="gpu")
    def on_a_gpu() -> None: ...

    monkeypatch.setattr(registry, "tasks", lambda: {"test.on_a_gpu": on_a_gpu})
    assert queues.to_consume() == ["default", "gpu"]
    settings.GRAFLOW_QUEUES = ["slow", "gpu"]
    assert queues.to_consume() == ["slow", "gpu"]


@pytest.mark.parametrize("names", ["default", ""])
def test_a_worker_of_an_older_release_counts_as_one_for_the_default_queue(driver: Driver, names: str) -> None:
    instance._register(slots=1, queues=["default"])
    WorkerInstance.objects.update(queues=names)
    assert queues.listened() == {"default"}


def test_a_real_worker_consumes_the_queue_its_task_names(boot: Callable[..., Stack]) -> None:
    stack = boot("embedded", GRAFLOW_TASK_MODULES="graflow_site.demo,tests.workers.queued")
    token = stack.token("ann")

    def call(method: str, path: str, body: Any = None) -> Any:
        return stack.call(method, f"/api/v1/{path}", body, token=token).body

    def started(tasks: list[dict[str, Any]]) -> str:
        made = call("POST", "workflows/", {"name": "Queued", "document": document(tasks, [])})
        call("POST", f"workflows/{made['id']}/versions/", {})
        return str(call("POST", "runs/", {"workflow": made["id"]})["id"])

    run = started([{"id": "a", "uses": "queued.where"}])
    stack.wait_for(lambda: call("GET", f"runs/{run}/status/")["status"] == "succeeded", "the task of the other queue")
    started([{"id": "lost", "uses": "queued.where", "queue": "nowhere"}])

    def detail() -> str:
        return str(stack.call("GET", "/readyz").body["parts"]["workers"]["detail"])

    stack.wait_for(lambda: "nobody listens to the queue 'nowhere'" in detail(), "the name of the queue")
