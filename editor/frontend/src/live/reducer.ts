/* Fold events into what the page shows. Pure: the same events give the same state, live and after the fact. */

import { newTask, outcome, taskStatus, text, whole } from './parse';
import {
  isFinal,
  type LoopView,
  type RunEvent,
  type RunState,
  type TaskStatus,
  type TaskView,
} from './types';

export interface Folded {
  readonly state: RunState;
  /** Ids of the tasks whose view changed: all that has to be painted again. */
  readonly changed: ReadonlySet<string>;
}

/** Apply events that follow `state.seq` one by one; what is old is ignored, a gap is refused. */
export function applyEvents(state: RunState, events: readonly RunEvent[]): Folded {
  const fresh = events.filter((event) => event.seq > state.seq);
  if (fresh.length === 0) return { state, changed: new Set() };
  const tasks = new Map(state.tasks);
  const loops = new Map(state.loops);
  const changed = new Set<string>();
  let { seq, status, reason, endedAt } = state;
  for (const event of fresh) {
    if (event.seq !== seq + 1) throw new Gap(seq, event.seq);
    seq = event.seq;
    if (event.type === 'run_status') {
      status = event.to ?? status;
      reason = text(event.data.reason) ?? (isFinal(status) ? reason : null);
      endedAt = isFinal(status) ? event.at : null;
    } else if (event.taskId !== null) {
      foldTask(tasks, event, changed);
      foldLoop(loops, event);
    }
  }
  return { state: { seq, status, reason, endedAt, tasks, loops }, changed };
}

/** Events are missing between what was applied and what arrived. */
export class Gap extends Error {
  constructor(
    readonly applied: number,
    readonly arrived: number,
  ) {
    super(`Event ${arrived} arrived after event ${applied}.`);
  }
}

/** Loops as a whole history tells them, for a page that starts from a snapshot. */
export function loopsOf(events: readonly RunEvent[]): ReadonlyMap<number, LoopView> {
  const loops = new Map<number, LoopView>();
  for (const event of events) foldLoop(loops, event);
  return loops;
}

function foldTask(tasks: Map<string, TaskView>, event: RunEvent, changed: Set<string>): void {
  const id = event.taskId as string;
  const before = tasks.get(id) ?? newTask(id);
  const after = taskAfter(before, event);
  if (after === before && tasks.has(id)) return;
  tasks.set(id, after);
  changed.add(id);
  const parent = tasks.get(after.parent ?? '');
  if (event.type === 'task_created' && parent && before.parent === null) {
    const made = parent.made + 1;
    tasks.set(id, { ...after, item: made });
    tasks.set(parent.id, { ...parent, made });
    changed.add(parent.id);
  }
}

function taskAfter(task: TaskView, event: RunEvent): TaskView {
  switch (event.type) {
    case 'task_created':
      return {
        ...newTask(task.id),
        status: taskStatus(event.to),
        iteration: event.iteration || 1,
        attempt: event.attempt || 1,
        parent: text(event.data.parent) ?? task.parent,
        uses: text(event.data.uses) ?? task.uses,
      };
    case 'task_status':
      return moved(task, event, taskStatus(event.to, task.status));
    case 'iteration_refused':
      return { ...task, reason: 'cycle_limit' };
    default:
      return task;
  }
}

function moved(task: TaskView, event: RunEvent, status: TaskStatus): TaskView {
  const newIteration = event.iteration > task.iteration;
  const starts = status === 'running';
  return {
    ...task,
    status,
    iteration: event.iteration || task.iteration,
    attempt: event.attempt || task.attempt,
    outcome: outcome(event.data.outcome) ?? (status === 'completed' ? task.outcome : null),
    reason: text(event.data.reason) ?? (newIteration ? null : task.reason),
    error: text(event.data.error) ?? (starts || newIteration ? null : task.error),
    startedAt: starts ? event.at : newIteration ? null : task.startedAt,
    endedAt: ENDED.has(status) ? event.at : null,
  };
}

const ENDED: ReadonlySet<TaskStatus> = new Set(['planned', 'success', 'error', 'completed']);

function foldLoop(loops: Map<number, LoopView>, event: RunEvent): void {
  if (event.taskId === null) return;
  const index = whole(event.data.loop, -1);
  const known = loops.get(index);
  // A head that begins anew without its loop being taken: an outer loop went round, and this one was entered again.
  if (event.type === 'task_created') {
    for (const [inner, loop] of loops) {
      if (loop.head === event.taskId && loop.endedBecause !== null)
        loops.set(inner, { ...loop, passes: 0, endedBecause: null });
    }
  } else if (event.type === 'loop_taken') {
    loops.set(index, {
      source: text(event.data.source) ?? known?.source ?? null,
      head: event.taskId,
      passes: whole(event.data.passes),
      endedBecause: null,
    });
  } else if (event.type === 'loop_ended') {
    loops.set(index, {
      source: known?.source ?? null,
      head: event.taskId,
      passes: whole(event.data.passes, known?.passes ?? 0),
      endedBecause: text(event.data.reason),
    });
  }
}
