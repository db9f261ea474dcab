"""How long to wait before the next try. Pure: the caller draws the random number."""

from __future__ import annotations

CEILING_SECONDS = 300.0
LOSS_BUDGET = 3
"""How many dead workers one iteration of a task survives, whatever its max_retries."""


def delay_before(retry: int, *, retry_delay: float, backoff: float, jitter: float) -> float:
    """Seconds before retry number `retry` (from 1): min(300, retry_delay × backoff^(retry-1)) × jitter.

    `jitter` lies in [0.5, 1.5], so that tasks which failed together do not come back together.
    Raises ValueError when `retry` is below 1.
    """
    if retry < 1:
        raise ValueError(f"retry={retry}: retries count from 1")
    try:
        grown = retry_delay * backoff ** (retry - 1)
    except OverflowError:
        grown = CEILING_SECONDS
    return min(CEILING_SECONDS, grown) * jitter
