import { expect, test } from 'vitest';
import { parseEvent } from '../live/parse';
import { spansOf } from './spans';

const move = (seq: number, to: string, attempt = 1) =>
  parseEvent({ seq, type: 'task_status', task_id: 'read', to, iteration: 1, attempt, at: seq });

test('each attempt is a bar of its own, and the wait between them another', () => {
  const spans = spansOf([
    move(1, 'running'),
    move(3, 'error'),
    move(4, 'retry_waiting'),
    move(9, 'ready'),
    move(10, 'running', 2),
  ]);
  expect(spans.get('read')?.map(({ kind, from, to, failed }) => [kind, from, to, failed])).toEqual([
    ['running', 1_000, 3_000, true],
    ['retry_waiting', 4_000, 9_000, false],
    ['running', 10_000, null, false],
  ]);
});
