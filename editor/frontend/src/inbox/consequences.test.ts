import { expect, test } from 'vitest';
import { readDocument } from '../graph/document';
import { analyse } from '../graph/loops';
import { codeBounds, roundsOf } from '../live/bounds';
import { consequence, limitAround } from './consequences';
import type { Decision } from './model';

const graph = readDocument({
  tasks: [
    { id: 'draft', kind: 'task', label: 'Write draft', max_cycle: 3 },
    { id: 'review', kind: 'approval' },
    { id: 'publish', kind: 'task', label: 'Publish' },
  ],
  edges: [
    { source: 'draft', target: 'review' },
    { source: 'review', target: 'publish' },
    { source: 'review', target: 'draft', on: 'rejected', loop: true },
  ],
});

const told = (decision: Decision, iteration: number) =>
  consequence(graph, analyse(graph), 'review', decision, new Map([['draft', iteration]]));

test('approving names what follows', () => {
  expect(told('approve', 1).words).toBe('continues with “Publish”');
});

test('everything that follows is told in one go, conditions apart', () => {
  const fan = readDocument({
    tasks: [{ id: 'ask', kind: 'approval' }, ...['a', 'b', 'c', 'd'].map((id) => ({ id, uses: 'do' }))],
    edges: [
      ...['a', 'b', 'c'].map((target) => ({ source: 'ask', target })),
      { source: 'ask', target: 'd', when: 'result' },
    ],
  });
  expect(consequence(fan, analyse(fan), 'ask', 'approve', new Map()).words).toBe(
    'continues with “a”, “b” and “c”, continues with “d” if its condition holds then',
  );
});

test('rejecting names where the loop goes back to, and which round that is', () => {
  expect(told('reject', 1)).toEqual({
    words: 'goes back to “Write draft”, iteration 2 of 3',
    isLastRound: false,
  });
});

test('in the last round rejecting is announced as the end', () => {
  expect(told('reject', 3)).toEqual({
    words: 'all 3 iterations are used: the run ends as rejected',
    isLastRound: true,
  });
});

test('skipping releases what follows', () => {
  expect(told('skip', 1).words).toBe('continues with “Publish”');
});

test('the limit is the one in force, also where only the code of the task sets it', () => {
  const drawn = readDocument({
    tasks: [
      { id: 'draft', uses: 'own.write' },
      { id: 'review', kind: 'approval' },
    ],
    edges: [
      { source: 'draft', target: 'review' },
      { source: 'review', target: 'draft', on: 'rejected', loop: true },
    ],
  });
  const tasks = [
    { id: 'draft', uses: 'own.write', max_cycle: 2, max_cycle_from: 'code', cycle_count: 2 },
    { id: 'review', max_cycle: 10, max_cycle_from: 'engine', cycle_count: 1 },
  ];
  const analysis = analyse(drawn, codeBounds(tasks));
  const rounds = roundsOf(tasks, 'review');
  expect(limitAround(analysis, 'review')).toBe(2);
  expect(rounds.get('review')).toBe(2);
  expect(consequence(drawn, analysis, 'review', 'reject', rounds).isLastRound).toBe(true);
});
