/* From the server's JSON to the views of `types.ts`. Unknown things become harmless defaults, never exceptions. */

import {
  type Outcome,
  type RunEvent,
  type RunState,
  TASK_STATUSES,
  type TaskStatus,
  type TaskView,
} from './types';

export type Json = Record<string, unknown>;

const OUTCOMES: ReadonlySet<string> = new Set(['success', 'error', 'rejected', 'skipped', 'cancelled']);

export function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

export function whole(value: unknown, otherwise = 0): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : otherwise;
}

export function record(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function taskStatus(value: unknown, otherwise: TaskStatus = 'blocked'): TaskStatus {
  return TASK_STATUSES.find((known) => known === value) ?? otherwise;
}

export function outcome(value: unknown): Outcome | null {
  return typeof value === 'string' && OUTCOMES.has(value) ? (value as Outcome) : null;
}

export function newTask(id: string): TaskView {
  return {
    id,
    status: 'blocked',
    outcome: null,
    reason: null,
    iteration: 1,
    attempt: 1,
    error: null,
    startedAt: null,
    endedAt: null,
    parent: null,
    uses: null,
    item: null,
    made: 0,
  };
}

export function parseTask(value: unknown): TaskView {
  const raw = record(value);
  return {
    id: String(raw.id ?? raw.task_id ?? ''),
    status: taskStatus(raw.status),
    outcome: outcome(raw.outcome),
    reason: text(raw.reason),
    iteration: whole(raw.iteration, 1),
    attempt: whole(raw.attempt, 1),
    error: text(raw.error),
    startedAt: text(raw.started_at),
    endedAt: text(raw.ended_at),
    parent: text(raw.parent),
    uses: text(raw.uses),
    item: typeof raw.item === 'number' ? raw.item : null,
    made: 0,
  };
}

/** A snapshot, as `GET runs/{id}/` and the page's first data give it. */
export function parseRun(value: unknown): RunState {
  const raw = record(value);
  // Items of a map step in their order; the order in which tasks were made is not told.
  const tasks = list(raw.tasks)
    .map(parseTask)
    .sort((a, b) => (a.item ?? 0) - (b.item ?? 0));
  return {
    seq: whole(raw.seq),
    status: text(raw.status) ?? 'pending',
    reason: text(raw.reason),
    endedAt: text(raw.ended_at),
    tasks: new Map(tasks.map((task) => [task.id, task])),
    loops: new Map(),
  };
}

export function parseEvent(value: unknown): RunEvent {
  const raw = record(value);
  return {
    seq: whole(raw.seq),
    type: String(raw.type ?? ''),
    taskId: text(raw.task_id),
    from: text(raw.from),
    to: text(raw.to),
    iteration: whole(raw.iteration),
    attempt: whole(raw.attempt),
    at: typeof raw.at === 'number' ? new Date(raw.at * 1000).toISOString() : (text(raw.at) ?? ''),
    data: record(raw.data),
  };
}
