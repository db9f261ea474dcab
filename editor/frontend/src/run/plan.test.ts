import { expect, test } from 'vitest';
import { newTask } from '../live/parse';
import { planRun, taskName } from './plan';

const definition = {
  tasks: [
    { id: 'draft', uses: 'own.write' },
    { id: 'each', kind: 'map', label: 'Check each', uses: 'own.check', items: [] },
    { id: 'poll', uses: 'own.poll' },
  ],
  edges: [
    { source: 'draft', target: 'each' },
    { source: 'each', target: 'draft', loop: true },
  ],
};
const tasks = [
  { id: 'draft', uses: 'own.write', max_cycle: 3, max_cycle_from: 'code' },
  { id: 'each', uses: 'own.check', max_cycle: 10, max_cycle_from: 'engine' },
  { id: 'poll', uses: 'own.poll', max_cycle: 7, max_cycle_from: 'workflow' },
  { id: 'each_1a2b3c4d', uses: 'own.check', max_cycle: null, max_cycle_from: null, parent: 'each' },
];
const plan = planRun({ definition, tasks });

test('the limit of a loop is the one the engine goes by, also when only code sets it', () => {
  expect(plan.limits.get('draft')).toBe(3);
  expect([...plan.analysis.loops.values()][0]?.bound).toEqual({ limit: 3, from: 'code', head: 'draft' });
});

test('a task outside of all loops may still iterate itself, up to its limit', () => {
  expect(plan.limits.get('poll')).toBe(7);
  expect(plan.limits.has('each')).toBe(false);
});

test('what a map step made is called by its place, other made tasks by the id their author gave', () => {
  expect(taskName(plan, { ...newTask('each_1a2b3c4d'), parent: 'each', item: 2 })).toBe('Check each #2');
  expect(taskName(plan, { ...newTask('fetch_page_7'), parent: 'draft', item: 1 })).toBe('fetch_page_7');
  expect(taskName(plan, newTask('each'))).toBe('Check each');
});
