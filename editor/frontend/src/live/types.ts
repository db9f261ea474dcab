/* What a run looks like in the browser. Shapes from the server become these in `parse.ts` and nowhere else. */

export const TASK_STATUSES = [
  'blocked',
  'ready',
  'running',
  'planned',
  'feedback_required',
  'rejected',
  'success',
  'error',
  'retry_waiting',
  'skipped',
  'completed',
] as const;

export type TaskStatus = (typeof TASK_STATUSES)[number];
export type Outcome = 'success' | 'error' | 'rejected' | 'skipped' | 'cancelled';

export interface TaskView {
  readonly id: string;
  readonly status: TaskStatus;
  readonly outcome: Outcome | null;
  readonly reason: string | null;
  readonly iteration: number;
  readonly attempt: number;
  readonly error: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  /** The task that made this one while running; null for tasks of the definition. */
  readonly parent: string | null;
  readonly uses: string | null;
  /** Its place, from 1, among what its parent made in one iteration. */
  readonly item: number | null;
  /** How many tasks it made in its present iteration. */
  readonly made: number;
}

export interface LoopView {
  readonly source: string | null;
  readonly head: string;
  /** How often the loop edge was taken in this entry. */
  readonly passes: number;
  readonly endedBecause: string | null;
}

export interface RunEvent {
  readonly seq: number;
  readonly type: string;
  readonly taskId: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly iteration: number;
  readonly attempt: number;
  readonly at: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface RunState {
  readonly seq: number;
  readonly status: string;
  readonly reason: string | null;
  readonly endedAt: string | null;
  readonly tasks: ReadonlyMap<string, TaskView>;
  /** By the index the plan gives to a loop. */
  readonly loops: ReadonlyMap<number, LoopView>;
}

export const FINAL_RUN_STATUSES: ReadonlySet<string> = new Set([
  'succeeded',
  'failed',
  'rejected',
  'stopped',
]);

export function isFinal(status: string): boolean {
  return FINAL_RUN_STATUSES.has(status);
}
