"""Ports filled at the start: how ready work is sent to workers, how browsers hear of news, how child runs go on.

All are called after the commit and must not raise. Without them a run still records; ready attempts and child
runs then wait for the engine process, and browsers for their next look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchMessage:
    """An attempt to be published. Who claims it must show the same nonce. An urgent one goes before all that waits."""

    attempt_id: int
    nonce: str
    queue: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """The run has events up to `seq`. `feedback`: ids of requests that were opened, decided or closed.

    Says nothing about who may see them: whoever passes it on to people asks that first.
    """

    run: str
    seq: int
    feedback: tuple[str, ...] = ()


dispatch: Callable[[list[DispatchMessage]], None] | None = None
announce: Callable[[Hint], None] | None = None
follow: Callable[[int], object] | None = None
"""Take the next step of a row of ChildRun."""


def send(messages: list[DispatchMessage]) -> None:
    """Publish what was just committed, if somebody can; the engine process repeats what gets lost."""
    if not messages or dispatch is None:
        return
    try:
        dispatch(messages)
    except Exception:  # a failing wire must not turn a committed change into an error for its caller
        log.exception("runs: cannot hand %d attempts to the wire", len(messages))


def follow_up(rows: list[int]) -> None:
    for row in rows:
        if follow is None:
            return
        try:
            follow(row)
        except Exception:  # as above: the engine process repeats it
            log.exception("runs: cannot follow up child %d", row)


def tell(hint: Hint) -> None:
    if announce is None:
        return
    try:
        announce(hint)
    except Exception:  # as above: hints are only hints
        log.exception("runs: cannot announce events of run %s", hint.run)
