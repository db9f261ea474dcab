"""One workflow on three backends.

    python coordination.py memory
    python coordination.py multiprocessing
    python coordination.py redis redis://localhost:6379/0

The last one wants a worker beside it, started in this folder:

    python -m engine.execution.redis_worker --url redis://localhost:6379/0 --import coordination
"""

import os
import sys

from engine import CoordinationBackend, ParallelGroupExecutor, TaskSpec, task, workflow


@task
def split():
    return ["one two three", "two three", "three"]


@task
def count_words(split, context):
    """Runs where the backend says; channel increments of parallel tasks are never lost."""
    for line in split:
        context.get_channel("words").incr("total", by=len(line.split()))
    return os.getpid()


@task
def count_letters(split, context):
    for line in split:
        context.get_channel("words").incr("letters", by=len(line.replace(" ", "")))
    return os.getpid()


@task
def report(context):
    words = context.get_channel("words")
    return f"{words.get('total')} words of {words.get('letters')} letters"


def square(number):
    return number * number


def main(backend, url=None):
    config = {"url": url} if url else {}
    with workflow("count", coordination_backend=backend, backend_config=config, max_workers=2) as wf:
        split >> (count_words | count_letters) >> report
        result = wf.execute()
    print(result.results["report"])
    elsewhere = os.getpid() not in (result.results["count_words"], result.results["count_letters"])
    print("counted in", "other processes" if elsewhere else "this process")

    # The same backends carry out plain functions, phase by phase: a and b side by side, then c.
    executor = ParallelGroupExecutor(backend, config)
    phases = [[TaskSpec("a", square, args=(2,)), TaskSpec("b", square, args=(3,))], TaskSpec("c", square, args=(4,))]
    print(executor.execute_sequence(phases))


if __name__ == "__main__":
    main(CoordinationBackend(sys.argv[1] if len(sys.argv) > 1 else "memory"), *sys.argv[2:])
