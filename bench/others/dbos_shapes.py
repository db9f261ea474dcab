"""The shapes as DBOS workflows: steps in a row, workflows of one step side by side."""

from __future__ import annotations

from dbos import DBOS
from timing import measure, sizes, store

DBOS(config={"name": "bench", "system_database_url": store(), "run_admin_server": False, "log_level": "ERROR"})


@DBOS.step()
def nothing() -> None:
    return None


@DBOS.workflow()
def one() -> None:
    nothing()


@DBOS.workflow()
def row(length: int) -> None:
    for _ in range(length):
        nothing()


@DBOS.workflow()
def fan(width: int) -> None:
    nothing()
    for handle in [DBOS.start_workflow(one) for _ in range(width)]:
        handle.get_result()
    nothing()


@DBOS.workflow()
def diamond() -> None:
    nothing()
    for handle in [DBOS.start_workflow(one) for _ in range(2)]:
        handle.get_result()
    nothing()


def diamonds(count: int) -> None:
    for handle in [DBOS.start_workflow(diamond) for _ in range(count)]:
        handle.get_result()


if __name__ == "__main__":
    DBOS.launch()
    row(3)
    size = sizes()
    measure(
        chain=(size["chain"], lambda: row(size["chain"])),
        fan=(size["fan"] + 2, lambda: fan(size["fan"])),
        loop=(size["loop"], lambda: row(size["loop"])),
        diamonds=(4 * size["diamonds"], lambda: diamonds(size["diamonds"])),
    )
    DBOS.destroy()
