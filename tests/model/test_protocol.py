"""Every state of the protocol is visited: nothing is lost, nothing counts twice, and each guard is needed for that.

`MODEL_FAULTS` is the number of faults that may come together in one run (default 2; 3 takes some minutes).
"""

from __future__ import annotations

import os

import pytest

from .protocol import Design, explore

FAULTS = int(os.environ.get("MODEL_FAULTS", "2"))
WITHOUT = {
    "outbox": (Design(outbox=False), "stuck"),
    "conditional claim": (Design(conditional_claim=False), "one token, two bodies"),
    "fenced finish": (Design(fenced_finish=False), "two results count"),
    "leases": (Design(leases=False), "stuck"),
    "used up": (Design(used_up=False), "one token, two bodies"),
}


@pytest.mark.timeout(1800)
def test_whatever_goes_wrong_nothing_is_lost_and_nothing_counts_twice() -> None:
    found = explore(Design(), FAULTS)
    print(f"{found.states} states, {found.transitions} transitions, {FAULTS} faults")
    assert found.broken == {}
    assert found.stuck is None
    assert found.endings == {"succeeded", "stopped"}


@pytest.mark.parametrize("guard", WITHOUT)
def test_without_one_guard_its_own_promise_breaks(guard: str) -> None:
    design, promise = WITHOUT[guard]
    found = explore(design, 1, until=promise)
    assert (found.stuck is not None) if promise == "stuck" else (promise in found.broken), found
