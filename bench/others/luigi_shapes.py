"""The shapes as Luigi tasks in one process; what is done is remembered in memory. Luigi has no loops."""

from __future__ import annotations

import luigi
from timing import measure, sizes

done: set[str] = set()


class Node(luigi.Task):
    run_id = luigi.Parameter()
    shape = luigi.Parameter()
    size = luigi.IntParameter()
    place = luigi.IntParameter()

    def requires(self) -> list[Node]:
        return [self.clone(place=place) for place in BEFORE[self.shape](self.size, self.place)]

    def run(self) -> None:
        done.add(self.task_id)

    def complete(self) -> bool:
        return self.task_id in done


BEFORE = {
    "chain": lambda size, place: [place - 1] if place else [],
    "fan": lambda size, place: [] if not place else list(range(1, size + 1)) if place > size else [0],
}


def run(shape: str, size: int, last: int, count: int = 1) -> None:
    ends = [Node(run_id=f"{shape}{size}.{number}", shape=shape, size=size, place=last) for number in range(count)]
    for end in ends:
        assert luigi.build([end], local_scheduler=True, workers=1, log_level="ERROR", no_lock=True)


if __name__ == "__main__":
    size = sizes()
    measure(
        chain=(size["chain"], lambda: run("chain", size["chain"], size["chain"] - 1)),
        fan=(size["fan"] + 2, lambda: run("fan", size["fan"], size["fan"] + 1)),
        diamonds=(4 * size["diamonds"], lambda: run("fan", 2, 3, size["diamonds"])),
    )
