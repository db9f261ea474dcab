"""Channels and checkpoints of a durable run, as a body uses them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.core.channel import Write, applied
from engine.runs import database, values
from engine.runs.models import ChannelValue, StepCheckpoint


class StoredChannels:
    """The committed values of one run; a body's own writes are laid over them until it succeeds."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id

    def read(self, channel: str, key: str) -> tuple[bool, Any]:
        same = ChannelValue.objects.filter(run_id=self._run_id, channel=channel, key=key)
        found = database.retried(same.values_list("value").first)
        return (False, None) if found is None else (True, found[0])

    def keys(self, channel: str) -> list[str]:
        rows = ChannelValue.objects.filter(run_id=self._run_id, channel=channel).order_by("pk")
        return database.retried(lambda: list(rows.values_list("key", flat=True)))

    def commit(self, writes: Iterable[Write]) -> None:
        with database.writing():
            apply_writes(self._run_id, writes)


def apply_writes(run_id: int, writes: Iterable[Write]) -> None:
    """Keep a body's writes, all together, under the lock of its run. Raises TypeError where `incr` or
    `append` meet a value they do not fit.
    """
    wanted = list(writes)
    rows = {
        (row.channel, row.key): row
        for row in ChannelValue.objects.filter(run_id=run_id, channel__in={write.channel for write in wanted})
    }
    known = {place: (row.value, row.version) for place, row in rows.items()}
    present: dict[tuple[str, str], Any] = {place: value for place, (value, _) in known.items()}
    for write in wanted:
        place = (write.channel, write.key)
        if write.operation == "delete":
            present.pop(place, None)
        else:
            present[place] = applied(write, place in present, present.get(place))
    gone = [rows[place].pk for place in rows if place not in present]
    if gone:
        ChannelValue.objects.filter(pk__in=gone).delete()
    touched = {(write.channel, write.key) for write in wanted} & present.keys()
    ChannelValue.objects.bulk_create(
        [
            ChannelValue(
                run_id=run_id,
                channel=channel,
                key=key,
                value=present[channel, key],
                version=known.get((channel, key), (None, 0))[1] + 1,
            )
            for channel, key in sorted(touched)
        ],
        update_conflicts=True,
        unique_fields=["run", "channel", "key"],
        update_fields=["value", "version"],
    )


class StoredSteps:
    """Results of `context.step` for one execution. The first one stored stays, whoever comes second."""

    def __init__(self, task_row: int, iteration: int) -> None:
        self._task_row, self._iteration = task_row, iteration

    def load(self, key: str) -> tuple[bool, Any]:
        same = StepCheckpoint.objects.filter(task_id=self._task_row, iteration=self._iteration, key=key)
        found = database.retried(same.values_list("value").first)
        return (False, None) if found is None else (True, found[0])

    def save(self, key: str, value: Any) -> None:
        values.check(value, f"The result of the step {key!r}")

        def once() -> None:
            with database.writing():
                row = StepCheckpoint(
                    task_id=self._task_row, iteration=self._iteration, key=key, value=value, created_at=database.now()
                )
                StepCheckpoint.objects.bulk_create([row], ignore_conflicts=True)

        database.retried(once)
