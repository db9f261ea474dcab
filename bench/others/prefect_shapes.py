"""The shapes as Prefect flows, on the server that a flow starts for itself."""

from __future__ import annotations

from prefect import flow, task
from timing import measure, sizes


@task
def nothing() -> None:
    return None


@flow
def row(length: int) -> None:
    for _ in range(length):
        nothing()


@flow
def fan(width: int) -> None:
    nothing()
    members = [nothing.submit() for _ in range(width)]
    nothing.submit(wait_for=members).result()


def diamonds(count: int) -> None:
    for _ in range(count):
        fan(2)


if __name__ == "__main__":
    row(3)
    size = sizes()
    measure(
        chain=(size["chain"], lambda: row(size["chain"])),
        fan=(size["fan"] + 2, lambda: fan(size["fan"])),
        loop=(size["loop"], lambda: row(size["loop"])),
        diamonds=(4 * size["diamonds"], lambda: diamonds(size["diamonds"])),
    )
