/* From events to bars: when each task worked, waited for a person or waited to retry. Pure. */

import type { RunEvent } from '../live/types';

export type SpanKind = 'running' | 'feedback_required' | 'retry_waiting';

export interface Span {
  readonly taskId: string;
  readonly kind: SpanKind;
  readonly iteration: number;
  readonly attempt: number;
  readonly from: number;
  /** null while it lasts. */
  readonly to: number | null;
  readonly failed: boolean;
}

const KINDS: ReadonlySet<string> = new Set(['running', 'feedback_required', 'retry_waiting']);

export function spansOf(events: readonly RunEvent[]): ReadonlyMap<string, readonly Span[]> {
  const rows = new Map<string, Span[]>();
  for (const event of events) {
    if (event.taskId === null || event.to === null || !event.type.startsWith('task_')) continue;
    const row = rows.get(event.taskId) ?? [];
    const at = Date.parse(event.at);
    const last = row.at(-1);
    if (last && last.to === null) row[row.length - 1] = { ...last, to: at, failed: event.to === 'error' };
    if (KINDS.has(event.to)) {
      const { taskId, iteration, attempt } = event;
      row.push({ taskId, kind: event.to as SpanKind, iteration, attempt, from: at, to: null, failed: false });
    }
    if (row.length) rows.set(event.taskId, row);
  }
  return rows;
}
