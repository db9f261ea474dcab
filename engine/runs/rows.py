"""Rows as the core sees them: the tasks of a run, loaded piece by piece, and its channels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.core.errors import UnknownTask
from engine.core.state import TASK_FIELDS, TaskState, TaskStatus, TaskTable
from engine.runs import database, values
from engine.runs.fields import dumps
from engine.runs.models import ChannelValue, RunTask
from engine.runs.prepared import Columns
from engine.runs.statements import Writes
from engine.sql import NeedsLock, rows

_COLUMNS = (
    "id", "key", "status", "outcome", "reason", "error", "iteration", "attempt", "retry_count", "lost_count",
    "cycle_count", "version", "attempt_no", "result", "result_blob_id", "parent", "uses", "memory", "at",
    "started_at", "ended_at",
)  # fmt: skip
_MEMORY: dict[str, Any] = {
    name: getattr(TaskState, name) for name in TASK_FIELDS if name == "memory" or name not in (*_COLUMNS, "task_id")
}
"""What only the core reads, with its defaults: kept in one JSON column, and only where it differs. "memory" is a
field of the core as well; the column holds it among the others.
"""
_EAGER_AFTER = 8
_TASKS_PER_READ = 16  # as long as one more read takes, so many tasks could be read with the rest
_TASK = Columns(RunTask, _COLUMNS)
_ALL = f"SELECT {_TASK.text} FROM engine_runtask WHERE run_id = %s"  # noqa: S608


@dataclass(slots=True)
class Place:
    """Where a task's state is kept, and what its row knows beside it."""

    id: int | None = None
    attempt_no: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: Any = None  # as loaded, to see whether it changed
    digest: str | None = None


class RowTable(TaskTable):
    """The tasks of one run, read from their rows when the core asks for them.

    `places` has the rows' ids. After some reads, the more the larger the run of `size` tasks, all that is left is fetched at
    once.
    """

    def __init__(self, run_id: int, *, complete: bool = False, size: int = 0) -> None:
        super().__init__()
        self.run_id = run_id
        self.places: dict[str, Place] = {}
        self._complete = complete
        self._absent: set[str] = set()
        self._reads = 0
        # A small run is read at once.
        self._eager_after = max(_EAGER_AFTER, size // _TASKS_PER_READ) if size > _TASKS_PER_READ else 0

    def load(self, keys: Iterable[str]) -> None:
        """Read these tasks in one query; ids without a row are remembered as absent."""
        if self._complete:
            return
        wanted = {key for key in keys if not dict.__contains__(self, key) and key not in self._absent}
        if not wanted:
            return
        self._reads += 1
        if self._reads > self._eager_after:
            self.load_all()
        else:
            self._read(wanted)
            self._absent.update(key for key in wanted if not dict.__contains__(self, key))

    def lacks(self, keys: Iterable[str]) -> bool:
        """Whether one of these has not been read yet."""
        if self._complete:
            return False
        return any(not dict.__contains__(self, key) and key not in self._absent for key in keys)

    def load_all(self) -> None:
        if not self._complete:
            self._read()
            self._complete = True

    def _read(self, wanted: Collection[str] | None = None) -> None:
        """The tasks `wanted`, or all of them."""
        if wanted is None:
            found = rows(_ALL, (self.run_id,))
        elif database.on_postgresql():
            found = rows(f"{_ALL} AND key = ANY(%s)", (self.run_id, list(wanted)))
        else:
            found = rows(f"{_ALL} AND key IN ({', '.join(['%s'] * len(wanted))})", (self.run_id, *wanted))
        for row in found:
            if not dict.__contains__(self, row[1]):
                self._take(dict(zip(_COLUMNS, _TASK.values(row), strict=True)))

    def _take(self, row: dict[str, Any]) -> None:
        result = values.fetch(row["result"], row["result_blob_id"])
        key = row["key"]
        self.places[key] = Place(
            row["id"], row["attempt_no"], row["started_at"], row["ended_at"], result, row["result_blob_id"]
        )
        self[key] = TaskState(
            key, status=TaskStatus(row["status"]), result=result, error=row["error"], retry_count=row["retry_count"],
            version=row["version"], cycle_count=row["cycle_count"], at=row["at"], iteration=row["iteration"],
            attempt=row["attempt"], lost_count=row["lost_count"], outcome=row["outcome"], reason=row["reason"],
            uses=row["uses"], parent=row["parent"], **(row["memory"] or {}),
        )  # fmt: skip

    def __missing__(self, key: str) -> TaskState:
        self._fetch(key)
        if not dict.__contains__(self, key):
            raise UnknownTask(key, list(self))
        return self[key]

    def __contains__(self, key: object) -> bool:
        if not dict.__contains__(self, key) and isinstance(key, str):
            self._fetch(key)
        return dict.__contains__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        found = key in self  # reads the row if there is one
        return self[key] if found else default

    def _fetch(self, key: str) -> None:
        if self._complete or key in self._absent:
            return
        self.load([key])

    def unfinished(self) -> Iterator[TaskState]:
        if not self._complete:
            open_rows = RunTask.objects.filter(run_id=self.run_id).exclude(status=TaskStatus.COMPLETED.value)
            for row in open_rows.values_list(*_COLUMNS):
                if not dict.__contains__(self, row[1]):
                    self._take(dict(zip(_COLUMNS, row, strict=True)))
        return super().unfinished()

    def row_id(self, key: str) -> int:
        """The id of a task's row. Raises NeedsLock where it is only made with the statement that is the whole change."""
        found = self.places[key].id
        if found is None:
            raise NeedsLock(f"the row of task {key}")
        return found

    def new(self, state: TaskState) -> None:
        """Add a task that has no row yet."""
        self[state.task_id] = state
        self.places[state.task_id] = Place()

    def save(self, keys: Iterable[str], writes: Writes) -> None:
        """Write these tasks: those that have a row with `writes`, new ones at once."""
        fresh: list[tuple[Any, ...]] = []
        for key in keys:
            place, state = self.places.setdefault(key, Place()), self[key]
            is_new = state.result is not place.result
            result = _kept(state, place) if is_new else (None, None)
            if place.id is None:
                fresh.append((self.run_id, key, state.parent, *_moving(state, place), *result))
            else:
                writes.add("tasks", (place.id, *_moving(state, place), is_new, *result))
        if fresh:
            for key, row_id in writes.add_tasks(fresh).items():
                self.places[key].id = row_id

    def note_times(self, key: str, to: str, at: float) -> None:
        """Keep when the present iteration of a task began to run and ended."""
        place = self.places.setdefault(key, Place())
        moment = datetime.fromtimestamp(at, UTC)
        if to == "running":
            place.started_at, place.ended_at = place.started_at or moment, None
        elif to in ("completed", "planned"):
            place.ended_at = moment
        elif to == "blocked" or (to == "ready" and place.ended_at is not None):
            place.started_at = place.ended_at = None


def _memory(state: TaskState) -> dict[str, Any] | None:
    """What only the core reads, where it differs from its default."""
    return {n: value for n, value in vars(state).items() if n in _MEMORY and value != _MEMORY[n]} or None


def _moving(state: TaskState, place: Place) -> tuple[Any, ...]:
    """The columns of a row between its id and its result."""
    memory = _memory(state)
    return (
        state.status.value, state.outcome, state.reason, None if state.error is None else str(state.error),
        state.iteration, state.attempt, state.retry_count, state.lost_count, state.cycle_count, state.version,
        place.attempt_no, state.uses, None if memory is None else dumps(memory), state.at, place.started_at,
        place.ended_at,
    )  # fmt: skip


def _kept(state: TaskState, place: Place) -> tuple[str | None, str | None]:
    """(text for the row, hash of the blob) of a result that is new to the row; None is NULL."""
    text = None if state.result is None else dumps(state.result)
    place.digest = None if text is None else values.place(state.result, text)[1]
    place.result = state.result
    return (None if place.digest else text), place.digest


class RowChannels(Mapping[str, Mapping[str, Any]]):
    """The channels of a run as expressions see them; read when the first expression asks."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._data: dict[str, dict[str, Any]] | None = None

    def _loaded(self) -> dict[str, dict[str, Any]]:
        if self._data is None:
            self._data = {}
            found = ChannelValue.objects.filter(run_id=self._run_id).values_list("channel", "key", "value")
            for channel, key, value in found:
                self._data.setdefault(channel, {})[key] = value
        return self._data

    def forget(self) -> None:
        self._data = None

    def __getitem__(self, channel: str) -> Mapping[str, Any]:
        return self._loaded()[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())
