"""What is forgotten, and when: the histories of runs that ended long ago, blobs nobody refers to, old idempotency keys.

A history is written to a file before it leaves the database. Runs, tasks with their results, questions with their
decisions and the audit log stay. Any number of processes may call this and die in the middle of it: one of them does it at
a time, so that a history is written on one host, and whoever finds another one at it gets 0.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, OuterRef, QuerySet

from engine.core.state import FINAL_RUN_STATUSES
from engine.runs import database, idempotency, tally, values
from engine.runs.data import iso
from engine.runs.models import Attempt, Blob, IdempotencyKey, Run, RunEvent, RunTask, Timer
from engine.runs.outgoing import OutboxItem

log = logging.getLogger(__name__)

DEFAULT_DAYS = 30
BATCH = 1_000
BLOB_KEPT = timedelta(days=7)
_EVENT = ("seq", "type", "task_id", "from_status", "to_status", "iteration", "attempt", "at", "data")
_ATTEMPT = (
    "key", "number", "iteration", "attempt", "queue", "state", "created_at", "started_at", "ended_at", "worker",
    "inputs", "error", "traceback", "late_result",
)  # fmt: skip

_NOTICE = ("key", "iteration", "recipient", "subject", "message", "state", "tries", "created_at", "sent_at", "error")


def due(days: int | None = None, limit: int = 100) -> list[int]:
    """Runs whose history has been kept long enough, the oldest first; none when `days` is 0."""
    kept = int(getattr(settings, "GRAFLOW_RETENTION_DAYS", DEFAULT_DAYS)) if days is None else days
    if kept == 0:
        return []
    old = Run.objects.filter(ended_at__lt=database.now() - timedelta(days=kept), trimmed=False)
    ended = old.filter(status__in=sorted(FINAL_RUN_STATUSES)).order_by("ended_at")
    return list(ended.values_list("pk", flat=True)[:limit])


def trim(run_id: int) -> int:
    """Write the history of a run that has ended to its file, then delete it; how many rows are gone.

    Again after a crash: what is written is not written again, what is left is deleted.
    """
    tally.count([run_id])  # before there is nothing left to count
    return _alone(partial(_trim, run_id))


def _trim(run_id: int) -> int:
    run = Run.objects.select_related("definition", "version").get(pk=run_id)
    if not run.is_final:
        return 0
    _archive(run)
    notices = OutboxItem.objects.filter(run_id=run_id).exclude(state=OutboxItem.WAITING)
    kinds = (Attempt.objects.filter(run_id=run_id), Timer.objects.filter(run_id=run_id), notices)
    gone = sum(_until_none_is_left(partial(_delete_some, rows)) for rows in kinds)
    gone += _until_none_is_left(partial(_delete_events, run_id))
    Run.objects.filter(pk=run_id).update(trimmed=True)
    return gone


def _until_none_is_left(step: Callable[[], int]) -> int:
    gone = 0
    while some := step():
        gone += some
    return gone


def _delete_some(rows: QuerySet[Any]) -> int:
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
    if ids:
        with database.writing():
            rows.filter(pk__in=ids).delete()
    return len(ids)


def _delete_events(run_id: int) -> int:
    """The oldest events, and in the same transaction the note that they are gone."""
    rows = RunEvent.objects.filter(run_id=run_id)
    seqs = list(rows.order_by("seq").values_list("seq", flat=True)[:BATCH])
    if not seqs:
        return 0
    with database.writing():
        Run.objects.filter(pk=run_id).update(min_seq=seqs[-1] + 1)
        rows.filter(seq__lte=seqs[-1]).delete()
    return len(seqs)


# -- the files --------------------------------------------------------------------------------------------------


def archive_of(run: Run) -> Path:
    """The file of a run's history; by the month of its end."""
    ended = (run.ended_at or run.created_at).astimezone(UTC)
    return Path(settings.GRAFLOW_ARCHIVE_DIR) / f"{ended:%Y-%m}" / f"{run.public_id}.jsonl"


def _archive(run: Run) -> None:
    """Make the file, whole or not at all. One that exists is complete and stays."""
    path = archive_of(run)
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            for line in _lines(run):
                file.write(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link and no renaming: whoever comes second must not replace a whole file by what was left to read.
        with suppress(FileExistsError):
            os.link(fresh, path)
        _sync(path.parent)
    finally:
        Path(fresh).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lines(run: Run) -> Iterator[dict[str, Any]]:
    yield {
        "kind": "run", "id": str(run.public_id), "workflow": str(run.definition.public_id),
        "workflow_name": run.definition.name, "version": run.version.number, "status": run.status, "reason": run.reason,
        "mode": run.mode, "seq": run.seq, "inputs": run.inputs, "business_key": run.business_key,
        "created_at": iso(run.created_at), "started_at": iso(run.started_at), "ended_at": iso(run.ended_at),
    }  # fmt: skip
    for event in RunEvent.objects.filter(run_id=run.pk).order_by("seq").iterator(chunk_size=BATCH):
        yield {"kind": "event", **_shown(event, _EVENT)}
    for attempt in Attempt.objects.filter(run_id=run.pk).order_by("pk").iterator(chunk_size=100):
        result = values.fetch(attempt.result, attempt.result_blob_id)
        yield {"kind": "attempt", **_shown(attempt, _ATTEMPT), "result": result}
    for notice in OutboxItem.objects.filter(run_id=run.pk).order_by("pk").iterator(chunk_size=BATCH):
        yield {"kind": "notice", "by": notice.kind, **_shown(notice, _NOTICE)}


def _shown(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in names}
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in found.items()}


# -- what else is old -------------------------------------------------------------------------------------------


def sweep() -> int:
    """Delete old idempotency keys, and blobs nobody has referred to for a week; how many rows."""
    stale = IdempotencyKey.objects.filter(created_at__lt=database.now() - idempotency.KEPT)
    gone = _until_none_is_left(partial(_alone, partial(_delete_some, stale)))
    # Each step by itself: who keeps a value waits for the lock of its blob.
    _alone(_mark_used)
    _alone(_mark_unused)
    return gone + _until_none_is_left(partial(_alone, _delete_blobs))


def _alone(step: Callable[[], int]) -> int:
    return database.alone(database.RETENTION, step)


def _referred() -> tuple[Exists, Exists]:
    here = OuterRef("pk")
    return Exists(RunTask.objects.filter(result_blob=here)), Exists(Attempt.objects.filter(result_blob=here))


def _mark_used() -> int:
    by_task, by_attempt = _referred()
    with database.writing():
        return Blob.objects.filter(by_task | by_attempt, unreferenced_at__isnull=False).update(unreferenced_at=None)


def _mark_unused() -> int:
    by_task, by_attempt = _referred()
    unused = Blob.objects.filter(~by_task, ~by_attempt, unreferenced_at=None)
    with database.writing():
        return unused.update(unreferenced_at=database.in_seconds(0))


def _delete_blobs() -> int:
    """One statement that looks once more: `values.place` takes the mark away from a blob it uses again, under its lock."""
    old = Blob.objects.filter(unreferenced_at__lt=database.now() - BLOB_KEPT)
    ids = list(old.values_list("pk", flat=True)[:BATCH])
    if not ids:
        return 0
    by_task, by_attempt = _referred()
    with database.writing():
        gone: int = old.filter(~by_task, ~by_attempt, pk__in=ids)._raw_delete(DEFAULT_DB_ALIAS)
    return gone


__all__ = ["archive_of", "due", "sweep", "trim"]
