"""Tasks and functions at the top level of a module: every backend finds them by name, workers by importing this."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from engine import TaskExecutionContext, channel_pull, channel_push, task

# -- for ParallelGroupExecutor ---------------------------------------------------------------------------------


def add(a, b=0):
    return a + b


def own_pid():
    return os.getpid()


def fail(text):
    raise ValueError(text)


def note_time(path, seconds=0.0):
    started = time.time()
    time.sleep(seconds)
    Path(path).write_text(f"{started} {time.time()}")
    return seconds


def die_once(marker):
    """Kill the process that carries this out, but only the first time."""
    if not Path(marker).exists():
        Path(marker).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_at(barriers, barrier_id, timeout):
    return barriers.wait_barrier(barrier_id, timeout)


def signal_at(barriers, barrier_id, participant_id):
    return barriers.signal_barrier(barrier_id, participant_id)


@task(name="contract.double")
def double(value):
    return value * 2


# -- for workflows -----------------------------------------------------------------------------------------------


@task
def start():
    return 1


@task
def left(start, context):
    context.get_channel("shared").incr("visits")
    context.get_channel("shared").append("who", "left")
    return start + 1


@task
def right(start, context):
    context.get_channel("shared").incr("visits")
    context.get_channel("shared").append("who", "right")
    return start + 2


@task
def meet(left, right, context):
    shared = context.get_channel("shared")
    return {"sum": left + right, "visits": shared.get("visits"), "who": sorted(shared.get("who"))}


@task(max_cycle=4)
def draft(context: TaskExecutionContext, draft=0):
    return context.iteration


@task
def review(draft):
    return draft * 10


@task(max_retries=2, retry_delay=0.01, backoff=1.0)
def flaky(context):
    if context.attempt < 3:
        raise ConnectionError(f"try {context.attempt}")
    return context.attempt


@task(max_retries=5, retry_delay=0.01, retry_on=KeyError)
def wrong():
    raise ValueError("not worth a retry")


@task
def after(wrong):
    return "never"


@task(max_retries=0)
def mortal(inputs_folder: str, context):
    """Is killed in its first attempt; worker_lost is retried even without retries."""
    marker = Path(inputs_folder) / "killed"
    if not marker.exists():
        context.get_channel("shared").incr("visits")
        marker.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    context.get_channel("shared").incr("visits")
    return "done"


@task(max_retries=0)
def doomed():
    os.kill(os.getpid(), signal.SIGKILL)


@task(max_retries=0, timeout=0.3)
def sleeper():
    time.sleep(3)


def helper(item):
    return item * item


@task
def spread(context):
    return context.map(helper, [1, 2, 3])


@task(max_cycle=5)
def count_up(context, n=1):
    if n < 3:
        context.next_iteration(n=n + 1)
    return n


@task
def ask_first(context, start):
    once = context.step("effect", lambda: os.getpid())
    answer = context.ask("text", "What next?", {"start": start})
    return [answer, isinstance(once, int)]


@channel_push("box", "data")
def _boxed():
    return {"k": [1, None]}


boxed = task(name="boxed")(_boxed)


@task
@channel_pull({"value": "box"})
def unboxed(boxed, value):
    return value


@task
def unsendable():
    return lambda: 1


@task(name="contract.slow")
def slow(seconds=0.4):
    time.sleep(seconds)
    return seconds


@task
def last_look(context):
    return context.get_channel("shared").get("visits")


def make_counter(number):
    @task(name=f"counter_{number}")
    def counter(context):
        for _ in range(5):
            context.get_channel("shared").incr("n")
        return number

    return counter


counter_0, counter_1, counter_2, counter_3 = (make_counter(number) for number in range(4))


@task(max_retries=0)
def hang_once(folder: str, context):
    if context.attempt == 1:
        (Path(folder) / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    return context.attempt


@task(max_retries=0)
def freeze_once(folder: str, context):
    """Stops its own process in the first attempt; continued, it comes too late with its result."""
    context.get_channel("shared").incr("visits")
    if context.attempt == 1:
        (Path(folder) / "pid").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
    return context.attempt
