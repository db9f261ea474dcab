"""Tasks that hold still until their test lets them go, offered to a product under test."""

from __future__ import annotations

import os
import time
from pathlib import Path

from engine import task

PATIENCE_SECONDS = 60.0


@task(name="gated.hold", max_retries=0)
def hold(folder: str, name: str) -> dict[str, object]:
    """Write this process's id into `<name>.started`, then wait for a file named `go`."""
    place = Path(folder)
    with (place / f"{name}.started").open("a") as started:
        started.write(f"{os.getpid()}\n")
    until = time.monotonic() + PATIENCE_SECONDS
    while not (place / "go").exists():
        if time.monotonic() > until:
            raise TimeoutError("nobody let this task go")
        time.sleep(0.02)
    return {"name": name, "ended": True}


@task(name="gated.follow")
def follow(first: dict[str, object]) -> str:
    return f"after {first['name']}"
