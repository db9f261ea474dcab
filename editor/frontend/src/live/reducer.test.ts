import { describe, expect, test } from 'vitest';
import { parseEvent, parseRun } from './parse';
import { applyEvents, Gap, loopsOf } from './reducer';

const run = parseRun({ status: 'running', seq: 2, tasks: [{ id: 'draft' }, { id: 'review' }] });

function event(seq: number, type: string, rest: Record<string, unknown> = {}) {
  return parseEvent({
    seq,
    type,
    task_id: 'draft',
    iteration: 1,
    attempt: 1,
    at: 1_700_000_000 + seq,
    ...rest,
  });
}

describe('applying events', () => {
  test('a status change moves the task and names it as changed', () => {
    const { state, changed } = applyEvents(run, [event(3, 'task_status', { from: 'ready', to: 'running' })]);
    expect(state.tasks.get('draft')?.status).toBe('running');
    expect(state.seq).toBe(3);
    expect([...changed]).toEqual(['draft']);
  });

  test('events that were applied before change nothing', () => {
    const once = applyEvents(run, [event(3, 'task_status', { to: 'running' })]).state;
    const again = applyEvents(once, [event(3, 'task_status', { to: 'error' })]);
    expect(again.state).toBe(once);
    expect(again.changed.size).toBe(0);
  });

  test('a gap is refused', () => {
    expect(() => applyEvents(run, [event(5, 'task_status', { to: 'running' })])).toThrow(Gap);
  });

  test('a completed task keeps its outcome', () => {
    const done = event(3, 'task_status', {
      to: 'completed',
      data: { outcome: 'rejected', reason: 'too long' },
    });
    const task = applyEvents(run, [done]).state.tasks.get('draft');
    expect(task).toMatchObject({ status: 'completed', outcome: 'rejected', reason: 'too long' });
  });

  test('a new life in a loop starts clean, one iteration on', () => {
    const { state } = applyEvents(run, [
      event(3, 'task_status', { to: 'completed', data: { outcome: 'error', error: 'boom' } }),
      event(4, 'task_created', { to: 'blocked', iteration: 2 }),
    ]);
    expect(state.tasks.get('draft')).toMatchObject({
      status: 'blocked',
      iteration: 2,
      outcome: null,
      error: null,
    });
  });

  test('a task made while running appears with its parent', () => {
    const made = event(3, 'task_created', {
      task_id: 'part_1',
      to: 'blocked',
      data: { parent: 'draft', uses: 'demo.part' },
    });
    const { state } = applyEvents(run, [made]);
    expect(state.tasks.get('part_1')).toMatchObject({ parent: 'draft', uses: 'demo.part' });
  });

  test('the run ends with a reason', () => {
    const { state } = applyEvents(run, [
      event(3, 'run_status', { task_id: null, to: 'stopped', data: { reason: 'asked' } }),
    ]);
    expect(state).toMatchObject({ status: 'stopped', reason: 'asked' });
    expect(state.endedAt).not.toBeNull();
  });
});

test('what a step makes is numbered in the order of its making, anew in each iteration', () => {
  const make = (seq: number, id: string) =>
    event(seq, 'task_created', { task_id: id, to: 'blocked', data: { parent: 'draft' } });
  const items = (state: typeof run) => [...state.tasks.values()].map((task) => [task.id, task.item]);
  const first = applyEvents(run, [make(3, 'x'), make(4, 'y')]).state;
  expect(items(first).slice(2)).toEqual([
    ['x', 1],
    ['y', 2],
  ]);
  const again = event(5, 'task_created', { to: 'blocked', iteration: 2 });
  expect(items(applyEvents(first, [again, make(6, 'z')]).state).at(-1)).toEqual(['z', 1]);
});

test('an inner loop that an outer one enters again counts from the start', () => {
  const loops = loopsOf([
    event(3, 'loop_taken', { data: { loop: 0, source: 'review', passes: 2 } }),
    event(4, 'loop_ended', { data: { loop: 0, reason: 'condition', passes: 2 } }),
    event(5, 'loop_taken', { task_id: 'plan', data: { loop: 1, source: 'review', passes: 1 } }),
    event(6, 'task_created', { to: 'blocked', iteration: 4 }),
  ]);
  expect(loops.get(0)).toMatchObject({ passes: 0, endedBecause: null });
  expect(loops.get(1)).toMatchObject({ head: 'plan', passes: 1 });
});

test('a loop counts its passes and says why it ended', () => {
  const loops = loopsOf([
    event(3, 'loop_taken', { data: { loop: 0, source: 'review', passes: 1 } }),
    event(4, 'loop_taken', { data: { loop: 0, source: 'review', passes: 2 } }),
    event(5, 'loop_ended', { data: { loop: 0, reason: 'converged' } }),
  ]);
  expect(loops.get(0)).toEqual({ source: 'review', head: 'draft', passes: 2, endedBecause: 'converged' });
});
