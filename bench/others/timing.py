"""What the scripts of this folder share. They run in environments of their own and know nothing of Graflow."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable


def sizes() -> dict[str, int]:
    """Tasks, members, iterations and runs to measure with."""
    given: dict[str, int] = json.loads(os.environ["BENCH_SIZES"])
    return given


def store() -> str:
    """The database's address, or `memory`."""
    return os.environ["BENCH_STORE"]


def measure(**shapes: tuple[int, Callable[[], object]]) -> None:
    """Print tasks per second of each shape as soon as it is known."""
    for name, (tasks, run) in shapes.items():
        began = time.perf_counter()
        run()
        print(json.dumps({"shape": name, "rate": tasks / (time.perf_counter() - began)}), flush=True)
