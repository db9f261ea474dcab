"""The task of the durable benchmarks; workers find it by GRAFLOW_TASK_MODULES."""

from engine import task


@task(name="bench.nothing")
def nothing() -> None:
    return None
