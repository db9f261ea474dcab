"""The protocol of dispatch, claim and finish as a small model, explored to its last state.

One run of two tasks side by side, a join behind them and a loop from the join back to the first task, twice round:
`(a | b) >> j; j >> a`. Beside it a broker that may lose, repeat, reorder and forget, two workers that may die or
freeze at any step, and an engine process whose every step may be its last. A step is one transaction or one message;
its docstring names the code it stands for. Faults of every kind draw on one budget.

Who claims the last input of the join may go ahead with it before recording anything.

A `Design` leaves out one of the guards, to show that each is needed and that the explorer sees it.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

BLOCKED, READY, RUNNING, RETRY_WAITING, DONE, CLOSED = "blocked", "ready", "running", "retry_waiting", "done", "closed"
LEGAL = {
    BLOCKED: {READY, CLOSED},
    READY: {RUNNING, CLOSED},
    RUNNING: {DONE, RETRY_WAITING, READY, CLOSED},  # by way of `error` and `retry_waiting` where an attempt is lost
    RETRY_WAITING: {READY, CLOSED},
    DONE: {READY, BLOCKED},  # the next iteration
    CLOSED: set(),
}
HANDED, WAITS, PUBLISHED = "handed", "waits", "published"
"""Of a ready attempt: its maker is about to publish it; it waits in the outbox; a message went out."""
A, B, J = range(3)
LIMIT = 2  # rounds


class Task(NamedTuple):
    status: str = BLOCKED
    iteration: int = 1
    number: int = 0  # of its newest attempt: the fencing token
    wire: str = WAITS
    reserved: int = 0  # the token under which a worker may go ahead with it, while it is still blocked


class Body(NamedTuple):
    """What a worker holds: a message it has taken, or a claimed attempt whose body runs; then it may go ahead with the
    join, under the token `ahead`.
    """

    task: int
    number: int
    iteration: int
    runs: bool
    ahead: int = 0
    is_ahead: bool = False


class State(NamedTuple):
    run: str  # running, stopping, stopped, succeeded
    tasks: tuple[Task, ...]
    results: tuple[tuple[int, int], ...]  # (task, iteration) for every result that counts
    broker: tuple[tuple[int, int], ...]  # (task, number); in no order, so that any may come next
    workers: tuple[Body | None, ...]
    wiped: bool  # the broker has lost its memory and the engine has not noticed
    faults: int  # that may still happen
    may_stop: bool

    @property
    def is_over(self) -> bool:
        return self.run in ("stopped", "succeeded")


class Broken(Exception):
    """A promise was broken: `str` says which."""


@dataclass(frozen=True, slots=True)
class Design:
    """The guards. All of them are what the product has."""

    outbox: bool = True
    conditional_claim: bool = True
    fenced_finish: bool = True
    leases: bool = True
    used_up: bool = True  # a token that was reserved is never given again


def first(faults: int) -> State:
    """The run has been started: its first attempts are committed, nothing is published."""
    waiting = Task(READY, number=1, wire=HANDED)
    return State("running", (waiting, waiting, Task()), (), (), (None, None), False, faults, True)


# -- the run, as the ledger keeps it --------------------------------------------------------------------------------


def moved(state: State, task: int, to: str, **changes: object) -> State:
    """engine.core.fold.Fold.move and the attempts of engine.runs.ledger.Unit.keep, in one transaction."""
    before = state.tasks[task]
    if to not in LEGAL[before.status]:
        raise Broken(f"illegal move: task {task} from {before.status} to {to}")
    after = before._replace(status=to, **changes)  # type: ignore[arg-type]
    if to == READY:
        after = after._replace(number=before.number + 1, wire=HANDED)
    return state._replace(tasks=(*state.tasks[:task], after, *state.tasks[task + 1 :]))


def advanced(state: State, task: int) -> State:
    """engine.core.machine.advance after a success: the join, the loop, the end."""
    tasks = state.tasks
    if state.run == "stopping":
        return ended_if_still(state)
    if task == J:
        if tasks[J].iteration == LIMIT:
            return state._replace(run="succeeded")
        state = moved(state, J, BLOCKED, iteration=tasks[J].iteration + 1)
        return moved(state, A, READY, iteration=tasks[A].iteration + 1)
    if tasks[A].status == tasks[B].status == DONE:
        return moved(state, J, READY)
    return state


def ended_if_still(state: State) -> State:
    """engine.core.machine._conclude: a stopped run is over when no body runs in its name."""
    if any(t.status == RUNNING for t in state.tasks):
        return state
    if state.tasks[J].reserved:
        raise Broken("still reserved: the run ends, but a worker may go ahead with it")
    return state._replace(run="stopped")


# -- steps that are meant to happen ---------------------------------------------------------------------------------


def publish(state: State, task: int) -> State:
    """engine.workers.publisher.Publisher for what was just committed, Engine._relay for the outbox, with the mark."""
    sent = tuple(sorted((*state.broker, (task, state.tasks[task].number))))
    return marked(state._replace(broker=sent), task, PUBLISHED)


def marked(state: State, task: int, wire: str) -> State:
    after = state.tasks[task]._replace(wire=wire)
    return state._replace(tasks=(*state.tasks[:task], after, *state.tasks[task + 1 :]))


def forget_published(state: State) -> State:
    """engine.workers.engine.Engine._watch_epoch: a new broker; everything unclaimed has to go out again."""
    for task, row in enumerate(state.tasks):
        if row.status == READY and row.wire == PUBLISHED:
            state = marked(state, task, WAITS)
    return state._replace(wiped=False)


def may_publish(state: State, row: Task, design: Design) -> bool:
    """Its maker publishes what it just made; everything else comes out of the outbox."""
    return row.wire == HANDED or (design.outbox and (row.wire == WAITS or may_resend(state)))


def may_resend(state: State) -> bool:
    """engine.workers.engine.Engine._resend: only while the queue is shorter than what should be in it."""
    return len(state.broker) < sum(row.status == READY and row.wire == PUBLISHED for row in state.tasks)


def hold(state: State, worker: int, body: Body | None) -> State:
    """Workers are alike: which is which does not matter."""
    others = [*state.workers[:worker], *state.workers[worker + 1 :], body]
    return state._replace(workers=tuple(sorted(others, key=lambda one: one or Body(-1, 0, 0, False))))


def receive(state: State, worker: int, message: tuple[int, int]) -> State:
    """Celery hands a message to a child. It is acknowledged at once (`task_acks_late=False`), so it is gone."""
    left = list(state.broker)
    left.remove(message)
    return hold(state._replace(broker=tuple(left)), worker, Body(*message, 0, False))


def pull(state: State, worker: int, task: int) -> State:
    """engine.runs.leases.pull: a worker that is done looks at the outbox itself; no message brings it there."""
    return hold(state, worker, Body(task, state.tasks[task].number, 0, False))


def claim(state: State, worker: int, design: Design) -> State:
    """engine.runs.leases.claim: READY → RUNNING if the attempt is still dispatched and the run still runs."""
    body = state.workers[worker]
    assert body is not None
    row = state.tasks[body.task]
    is_mine = row.status == READY and row.number == body.number and state.run == "running"
    if design.conditional_claim and not is_mine:
        return hold(state, worker, None)
    check_alone(state, body.task, body.number)
    return hold(moved(state, body.task, RUNNING), worker, body._replace(runs=True, iteration=row.iteration))


def reserving(after: State, task: int) -> Iterator[State]:
    """engine.runs.attempts.reserve: where nothing else moves, a claim of what the join waits for also reserves the join."""
    others = [row.status for place, row in enumerate(after.tasks) if place not in (task, J)]
    row = after.tasks[J]
    if task == J or others != [DONE] or row.status != BLOCKED:
        return
    token, number = row.number + 1, after.tasks[task].number
    place = next(
        i for i, body in enumerate(after.workers) if body is not None and body[:2] == (task, number) and body.runs
    )
    body = after.workers[place]
    assert body is not None
    reserved = after._replace(tasks=(*after.tasks[:J], row._replace(reserved=token)))
    yield hold(reserved, place, body._replace(ahead=token))


def go_ahead(state: State, worker: int) -> State:
    """engine.runs.stretch.Stretch.following: the worker begins the join's body, in memory; nobody is asked."""
    body = state.workers[worker]
    assert body is not None
    check_alone(state, J, body.ahead)
    return hold(state, worker, body._replace(is_ahead=True))


def check_alone(state: State, task: int, token: int) -> None:
    """No other body runs under the token."""
    for body in state.workers:
        if body is not None and (
            (body.runs and body[:2] == (task, token)) or (body.is_ahead and (J, body.ahead) == (task, token))
        ):
            raise Broken(f"one token, two bodies: attempt {token} of task {task}")


def handed_back(state: State, design: Design) -> State:
    """engine.runs.attempts.hand_back: what a worker might have gone ahead with is no longer its; the token is used up."""
    row = state.tasks[J]
    if not row.reserved:
        return state
    number = row.number + 1 if design.used_up else row.number
    return state._replace(tasks=(*state.tasks[:J], row._replace(reserved=0, number=number)))


def finish(state: State, worker: int, design: Design) -> State:
    """engine.runs.stretch.keep: a result counts if its attempt is still claimed by this worker, what was done ahead if
    nobody has changed the run since.
    """
    body = state.workers[worker]
    assert body is not None
    row = state.tasks[body.task]
    is_mine = row.status == RUNNING and row.number == body.number
    state = hold(state, worker, None)
    if design.fenced_finish and not is_mine:
        return state  # kept as a late result, nothing more
    if body.is_ahead and is_mine and state.run == "running":
        return advanced(counted(advanced(counted(state, body.task), body.task), J), J)
    if is_mine:
        state = handed_back(state, design)
    result = (body.task, body.iteration)
    if result in state.results:
        raise Broken(f"two results count: task {body.task}, iteration {body.iteration}")
    state = state._replace(results=tuple(sorted((*state.results, result))))
    if row.status != RUNNING:
        return state  # the core ignores news that no longer apply
    return advanced(moved(state, body.task, DONE), body.task)


def counted(state: State, task: int) -> State:
    """A success that counts. What was ready and reserved begins with its end."""
    row = state.tasks[task]
    if row.status == READY:
        if row.number != row.reserved:
            raise Broken(f"another token: task {task} was done ahead under {row.reserved}, it is at {row.number}")
        state = marked(moved(state, task, RUNNING, reserved=0), task, WAITS)
    result = (task, row.iteration)
    if result in state.results:
        raise Broken(f"two results count: task {task}, iteration {row.iteration}")
    return moved(state._replace(results=tuple(sorted((*state.results, result)))), task, DONE)


def carry_on(after: State) -> Iterator[State]:
    """engine.runs.attempts.take: the transaction of a finish may also claim an attempt for the same worker, one it
    made or one that waits, whose message somebody else may hold.
    """
    if after.run != "running":
        return
    place = after.workers.index(None)
    for task, row in enumerate(after.tasks):
        if row.status == READY:
            check_alone(after, task, row.number)
            taken = hold(moved(after, task, RUNNING), place, Body(task, row.number, row.iteration, True))
            yield taken
            yield from reserving(taken, task)


def reap(state: State, task: int, design: Design) -> State:
    """engine.runs.leases.reap: the lease is over; error → retry_waiting → ready, or the end of a stopped run."""
    state = handed_back(state, design)
    if state.run == "stopping":
        return ended_if_still(moved(state, task, CLOSED))
    return moved(state, task, READY)


def stop(state: State) -> State:
    """engine.runs.control.stop_run: what does not run is closed in the same transaction."""
    state = state._replace(run="stopping", may_stop=False)
    for task, row in enumerate(state.tasks):
        if row.status in (BLOCKED, READY, RETRY_WAITING):
            state = moved(state, task, CLOSED)
    return ended_if_still(state)


def fail(state: State, worker: int, design: Design) -> State:
    """engine.runs.stretch.keep with a failure that may be retried; its timer is in the same transaction."""
    body = state.workers[worker]
    assert body is not None
    row, state = state.tasks[body.task], hold(state, worker, None)
    if row.status != RUNNING or row.number != body.number:
        return state
    state = handed_back(state, design)
    if state.run == "stopping":
        return ended_if_still(moved(state, body.task, CLOSED))
    return moved(state, body.task, RETRY_WAITING)


def steps(state: State, design: Design) -> Iterator[State]:
    """Everything that may happen next, faults last."""
    for task, row in enumerate(state.tasks):
        if row.status == READY and may_publish(state, row, design):
            yield publish(state, task)
        elif row.status == RETRY_WAITING:  # engine.runs.sweeps.fire
            yield moved(state, task, READY)
        elif row.status == RUNNING and design.leases and not _is_held(state, task):
            yield reap(state, task, design)
    for worker, body in enumerate(state.workers):
        if body is None:
            for message in dict.fromkeys(state.broker):
                yield receive(state, worker, message)
            for task, row in enumerate(state.tasks):
                if design.outbox and row.status == READY and row.wire == WAITS:
                    yield pull(state, worker, task)
            break  # a second idle worker could do nothing else
    for worker, body in enumerate(state.workers):
        if body is not None and not body.runs:
            after = claim(state, worker, design)
            yield after
            if after.tasks[body.task].status == RUNNING != state.tasks[body.task].status:
                yield from reserving(after, body.task)
        elif body is not None:
            if body.ahead and not body.is_ahead:
                yield go_ahead(state, worker)
            yield (after := finish(state, worker, design))
            if after.results != state.results:
                yield from carry_on(after)
    if state.wiped and design.outbox:
        yield forget_published(state)
    if state.may_stop and state.run == "running":
        yield stop(state)
    if state.faults:
        yield from faults(state._replace(faults=state.faults - 1), design)


def _is_held(state: State, task: int) -> bool:
    """Whether a living worker renews the lease (engine.workers.instance.beat)."""
    number = state.tasks[task].number
    return any(body is not None and body.runs and body[:2] == (task, number) for body in state.workers)


def faults(state: State, design: Design) -> Iterator[State]:
    for task, row in enumerate(state.tasks):
        if row.status == READY and row.wire == HANDED:
            yield marked(state, task, WAITS)  # its maker died between commit and publish
        if row.status == READY and row.wire != PUBLISHED and design.outbox:
            yield marked(publish(state, task), task, WAITS)  # the engine died between publish and mark
        if row.status == RUNNING and design.leases and _is_held(state, task):
            yield reap(state, task, design)  # its worker is frozen: it goes on later, as a zombie
    for message in dict.fromkeys(state.broker):
        left = list(state.broker)
        left.remove(message)
        yield state._replace(broker=tuple(left))  # lost
        yield state._replace(broker=tuple(sorted((*state.broker, message))))  # delivered twice
    if state.broker:
        yield state._replace(broker=(), wiped=True)
    for worker, body in enumerate(state.workers):
        if body is not None:
            yield hold(state, worker, None)  # killed, with whatever it held
            if body.runs:
                yield fail(state, worker, design)


# -- the explorer ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Explored:
    """What was found. `broken`: promises with the first state that led to each; `stuck`: a state without a way
    to the end of its run that needs neither a fault nor a person who stops it.
    """

    states: int = 0
    transitions: int = 0
    endings: set[str] = field(default_factory=set)
    broken: dict[str, State] = field(default_factory=dict)
    stuck: State | None = None


def explore(design: Design, faults: int, *, until: str | None = None) -> Explored:
    """Visit every reachable state, or those up to the first that breaks the promise `until`; then go backwards
    from the ends to see which states miss them.
    """
    gc.disable()  # millions of tuples without a cycle: looking for cycles takes longer than all the rest
    try:
        return _explored(design, faults, until)
    finally:
        gc.enable()


def _explored(design: Design, faults: int, until: str | None) -> Explored:
    found = Explored()
    known = {(start := first(faults)): 0}
    order = [start]
    sources, targets = array("I"), array("I")
    for place, state in enumerate(order):  # grows while it is read
        if until in found.broken:
            break
        if state.is_over:
            found.endings.add(state.run)
        following = steps(state, design)
        while True:
            try:
                after = next(following)
            except StopIteration:
                break
            except Broken as broken:
                # The step that breaks a promise ends its generator; what else might follow is seen from other states.
                found.broken.setdefault(str(broken).partition(":")[0], state)
                break
            index = known.setdefault(after, len(order))
            if index == len(order):
                order.append(after)
            if after.faults < state.faults or (state.run == "running" and after.run.startswith("stop")):
                continue  # the way to the end must need neither a fault nor a person who stops the run
            sources.append(place)
            targets.append(index)
    found.states, found.transitions = len(order), len(sources)
    found.stuck = _stuck(order, sources, targets)
    return found


def _stuck(order: list[State], sources: array[int], targets: array[int]) -> State | None:
    before: list[list[int]] = [[] for _ in order]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    todo = [place for place, state in enumerate(order) if state.is_over]
    reaches = bytearray(len(order))
    for place in todo:
        reaches[place] = 1
    while todo:
        for place in before[todo.pop()]:
            if not reaches[place]:
                reaches[place] = 1
                todo.append(place)
    return next((state for place, state in enumerate(order) if not reaches[place]), None)
