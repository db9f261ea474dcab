"""A pool of worker processes that survives the death of any of them.

Every place of the pool has a thread here and, once it has had work, a process of its own at the other end of
a pipe. A killed process loses the one job it had; the place starts another process for the next. Nothing is
shared between processes and no lock can be left held by a dead one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections import deque
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from engine.core.errors import NotPicklable, WorkflowStateError
from engine.execution.references import reference, resolve
from engine.execution.remote import Job, JobFailed, failure_report, perform

STOP_SECONDS = 5.0
"""How long an idle process may take to leave before it is killed."""

_GUARD = (
    "A script that runs work in other processes must do so under `if __name__ == '__main__':`, "
    "because those processes import it"
)
Report = dict[str, Any]
_start_lock = threading.Lock()


class ProcessPool:
    """`width` worker processes, started when there is work for them.

    `start_method` is `forkserver` (the default where there is one), `spawn` or `fork`. Forking a process that
    has threads can leave locks held for ever, so `fork` is for programs that know they have none.
    """

    name = "process"

    def __init__(self, width: int | None = None, start_method: str | None = None) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise WorkflowStateError(_GUARD)
        self.width = max(1, width or os.cpu_count() or 1)
        self._context = _context(start_method)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[bytes, Job, Future[Report]]] = deque()
        self._idle: list[_Place] = []
        self._places: list[_Place] = []
        self._closed = False

    def submit(self, job: Job) -> Future[Report]:
        """Raises NotPicklable, naming the task, when the job's values cannot travel."""
        data = _dumps(job)
        future: Future[Report] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                raise RuntimeError("The process pool is closed.")
            if self._idle:
                self._idle.pop().take((data, job, future))
            elif len(self._places) < self.width:
                place = _Place(self, len(self._places) + 1)
                self._places.append(place)
                place.take((data, job, future))
            else:
                self._waiting.append((data, job, future))
        return future

    def recall(self) -> None:
        """Take back what no process has begun: such jobs end as `released`."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for _, _, future in waiting:
            future.set_exception(JobFailed("released", "it was taken back before a process began it"))

    def next_for(self, place: _Place) -> tuple[bytes, Job, Future[Report]] | None:
        """More work for a place that is free now; without any it becomes idle."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(place)
            return None

    def start_process(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs,), name="graflow-worker", daemon=True)
        with _start_lock:  # multiprocessing keeps its own records of children without one
            process.start()
        theirs.close()
        return process, ours

    def close(self, *, now: bool = False) -> None:
        with self._lock:
            self._closed = True
            places = list(self._places)
        if now:
            self.recall()
        for place in places:
            place.leave(now=now)
        for place in places:
            place.join()


class _Place(threading.Thread):
    """One place of the pool: hands jobs to its process one at a time and answers what their bodies ask."""

    def __init__(self, pool: ProcessPool, number: int) -> None:
        super().__init__(name=f"graflow-place-{number}", daemon=True)
        self._pool = pool
        self._work: queue.SimpleQueue[tuple[bytes, Job, Future[Report]] | None] = queue.SimpleQueue()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self.start()

    def take(self, work: tuple[bytes, Job, Future[Report]]) -> None:
        self._work.put(work)

    def leave(self, *, now: bool) -> None:
        self._work.put(None)
        if now and (process := self._process) is not None:
            with contextlib.suppress(ValueError):  # its thread has closed it meanwhile
                process.kill()

    def run(self) -> None:
        while (work := self._work.get()) is not None:
            item: tuple[bytes, Job, Future[Report]] | None = work
            while item is not None:
                data, job, future = item
                try:
                    report = self._carry_out(data, job)
                except JobFailed as error:
                    self._discard()
                    item = self._pool.next_for(self)
                    future.set_exception(error)
                except Exception as error:
                    self._discard()
                    item = self._pool.next_for(self)
                    future.set_exception(JobFailed("worker_lost", f"the worker could not be used: {error}"))
                else:
                    item = self._pool.next_for(self)
                    future.set_result(report)
        self._dismiss()

    def _carry_out(self, data: bytes, job: Job) -> Report:
        process, pipe = self._ready_process()
        began, deadline = False, None
        try:
            pipe.send_bytes(data)
            while True:
                patience = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = wait([pipe, process.sentinel], patience)
                if pipe in ready:
                    kind, *rest = _loads(pipe.recv_bytes())
                    if kind == "done":
                        return rest[0]  # type: ignore[no-any-return]
                    if kind == "began":
                        began, deadline = True, _deadline(job)
                    else:
                        pipe.send_bytes(_answer(job, *rest))
                elif not ready:
                    raise JobFailed("timeout", f"did not end within {job.timeout:g} s")
                else:
                    raise EOFError
        except (EOFError, OSError):
            raise _obituary(process, began) from None

    def _ready_process(self) -> tuple[BaseProcess, Connection]:
        if self._process is not None and self._pipe is not None and self._process.is_alive():
            return self._process, self._pipe
        self._discard()
        self._process, self._pipe = self._pool.start_process()
        return self._process, self._pipe

    def _discard(self) -> None:
        """Be rid of the process at once: it is dead, or what it does is no longer wanted."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if process is not None:
            process.kill()
            process.join()
            process.close()
        if pipe is not None:
            pipe.close()

    def _dismiss(self) -> None:
        """Let an idle process go; kill it only when it does not."""
        if self._process is not None and self._pipe is not None:
            with contextlib.suppress(OSError):  # it may have died meanwhile
                self._pipe.send_bytes(b"")
            self._process.join(STOP_SECONDS)
        self._discard()


def _context(start_method: str | None) -> Any:
    methods = multiprocessing.get_all_start_methods()
    method = start_method or ("forkserver" if "forkserver" in methods else "spawn")
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["engine.execution.process_pool"])
    return context


def _dumps(job: Job) -> bytes:
    try:
        return pickle.dumps((job.function, job.payload))
    except Exception as error:
        raise NotPicklable(job.task_id, f"a value it is given cannot be pickled ({error})") from error


def check_value(task_id: str, what: str, value: Any) -> None:
    """Raises NotPicklable when `value` cannot travel to another process."""
    try:
        pickle.dumps(value)
    except Exception as error:
        raise NotPicklable(task_id, f"{what} cannot be pickled ({error})") from error


def _loads(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301 - from our own child
    except Exception as error:
        raise JobFailed("invalid", f"its result cannot be read here: {type(error).__name__}: {error}") from error


def _deadline(job: Job) -> float | None:
    return time.monotonic() + job.timeout if job.timeout else None


def _answer(job: Job, question: str, arguments: list[Any]) -> bytes:
    """What the body gets for its question: `(True, value)` or `(False, error)`."""
    try:
        if job.answer is None:
            raise RuntimeError("Nobody answers here.")
        return pickle.dumps((True, job.answer(question, arguments)))
    except Exception as error:  # the body asked for it and has it raised in its place
        return pickle.dumps((False, f"{type(error).__name__}: {error}"))


def _obituary(process: BaseProcess, began: bool) -> JobFailed:
    process.join(STOP_SECONDS)
    code = process.exitcode
    if code is not None and code < 0:
        return JobFailed("worker_lost", f"process {process.pid} was killed by {signal.Signals(-code).name}")
    if began:
        return JobFailed("worker_lost", f"process {process.pid} ended with exit code {code} during the task")
    # It could not even import what it needs, and another one could not either.
    return JobFailed("invalid", f"the worker process ended with exit code {code} before the task began. {_GUARD}")


# -- the worker process ---------------------------------------------------------------------------------------


def serve(pipe: Connection) -> None:
    """Carry out the jobs that come through `pipe`, one after another, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipes
    lock = threading.Lock()

    def ask(question: str, arguments: list[Any]) -> Any:
        with lock:  # a body may have threads of its own
            pipe.send_bytes(pickle.dumps(("ask", question, arguments)))
            good, value = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own parent
        if not good:
            raise RuntimeError(value)
        return value

    while True:
        try:
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        if not data:
            return
        report = _loaded_and_performed(pipe, data, ask)
        try:
            pipe.send_bytes(_packed(report))
        except OSError:  # the parent is gone, and with it whoever wanted to know
            return


def _loaded_and_performed(pipe: Connection, data: bytes, ask: Any) -> Report:
    try:
        function, payload = pickle.loads(data)  # noqa: S301 - from our own parent
        resolve(function)
    except Exception as error:  # an import of the author's module may raise anything
        return failure_report("invalid", f"the worker process could not load the task: {type(error).__name__}: {error}")
    pipe.send_bytes(pickle.dumps(("began",)))
    return perform(payload, function, find=resolve, name=reference, ask=ask)


def _packed(report: Report) -> bytes:
    try:
        return pickle.dumps(("done", report))
    except Exception as error:
        text = f"its result cannot be sent back: {type(error).__name__}: {error}. Return plain values"
        return pickle.dumps(("done", failure_report("invalid", text)))
