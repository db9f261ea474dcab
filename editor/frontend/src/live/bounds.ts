/* How often tasks of a run may run and have run, as the server tells it with a run's tasks. */

import type { CodeBound } from '../graph/loops';
import { type Json, whole } from './parse';

/** Limits that the code of registered tasks sets, as the server tells them with a run's tasks. */
export function codeBounds(tasks: readonly Json[]): CodeBound {
  const known = new Map<string, number>();
  for (const { uses, max_cycle: limit, max_cycle_from: from } of tasks) {
    if (from === 'code' && typeof uses === 'string' && typeof limit === 'number') known.set(uses, limit);
  }
  return (uses) => known.get(uses);
}

/** How often each task has run since its loop was entered; `asking` waits for an answer, which ends its execution. */
export function roundsOf(tasks: readonly Json[], asking: string): ReadonlyMap<string, number> {
  return new Map(
    tasks.map((task) => [String(task.id), whole(task.cycle_count) + (task.id === asking ? 1 : 0)] as const),
  );
}
