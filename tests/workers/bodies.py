"""Bodies that use what a context offers."""

from __future__ import annotations

import time
from typing import Any

from engine import TaskExecutionContext, task

EFFECTS: list[str] = []


@task(name="body.greet")
def greet(name: str = "you") -> str:
    return f"hello {name}"


@task(name="body.greet_whom")
def greet_whom(whom: str) -> str:
    return f"hello {whom}"


@task(name="body.asks", max_retries=0)
def asks(context: TaskExecutionContext) -> Any:
    context.step("effect", lambda: EFFECTS.append("once"))
    context.get_channel("notes").append("seen", context.attempt)
    return context.ask("text", "What shall I write?", {"hint": "short"})


@task(name="body.counts")
def counts(context: TaskExecutionContext) -> int:
    return int(context.get_channel("numbers").incr("n", 5))


@task(name="body.fails_after_writing", max_retries=0)
def fails_after_writing(context: TaskExecutionContext) -> None:
    context.get_channel("numbers").set("n", 99)
    context.next_task("body.greet")
    raise ValueError("after the write")


@task(name="body.spawns")
def spawns(context: TaskExecutionContext) -> list[str]:
    return context.map("body.greet_whom", ["ann", "bob"])


@task(name="body.again")
def again(context: TaskExecutionContext, seen: int = 0) -> int:
    if seen < 3:
        context.next_iteration(seen=seen + 1)
    return seen


@task(name="body.sleeps", max_retries=0, timeout=0.3)
def sleeps() -> None:
    try:
        time.sleep(30)
    except Exception:  # an author's broad net must not catch the deadline
        time.sleep(30)


@task(name="body.returns", max_retries=0)
def returns(what: str) -> Any:
    return {"set": {1}, "nan": float("nan"), "nul": "a\x00b", "surrogate": "\ud800", "tuple": (1, 2)}[what]


@task(name="body.fails_badly", max_retries=0)
def fails_badly() -> None:
    raise ValueError("a \x00 and half a \ud83d")
