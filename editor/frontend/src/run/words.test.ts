import { expect, test } from 'vitest';
import { newTask, parseEvent } from '../live/parse';
import { eventWords, failureOf, reasonWords, roundWords, shortStateWords, stateWords } from './words';

const SAID = `Task 'sum_it_up' failed: Expression 'a_b / 0': INVALID_ARGUMENT: divide by zero`;

test('a failure names its task and keeps its text letter for letter', () => {
  expect(failureOf(SAID)).toEqual({
    taskId: 'sum_it_up',
    words: `Expression 'a_b / 0': INVALID_ARGUMENT: divide by zero`,
  });
  expect(failureOf('the snake_case of a person stays')).toEqual({
    taskId: null,
    words: 'the snake_case of a person stays',
  });
});

test('codes become words', () => {
  expect(reasonWords('cycle_limit')).toBe('it reached its limit');
  expect(reasonWords('a_new_code')).toBe('a new code');
});

test('the end of a run does not tell the failure of its task a second time', () => {
  const event = parseEvent({ seq: 9, type: 'run_status', to: 'failed', data: { reason: SAID } });
  expect(eventWords(event, () => 'Sum it up')).toBe('The run failed, because “Sum it up” failed');
});

test('a delay waits and does not run', () => {
  expect(stateWords({ ...newTask('d'), status: 'running' }, 'delay')).toBe('Waiting');
  expect(stateWords({ ...newTask('d'), status: 'running' }, 'task')).toBe('Running');
});

test('a box in the graph says how its task ended', () => {
  const ended = { ...newTask('d'), status: 'completed' } as const;
  expect(shortStateWords({ ...ended, outcome: 'error' }, 'task')).toBe('Failed');
  expect(shortStateWords({ ...ended, outcome: 'success' }, 'task')).toBe('Completed');
  expect(stateWords({ ...ended, outcome: 'error' }, 'task')).toBe('Completed, failed');
});

test('inside an outer loop the pass that counts against the limit is told beside the iteration', () => {
  expect(roundWords(2, 2, 5)).toBe('iteration 2 of 5');
  expect(roundWords(3, 1, 2)).toBe('iteration 3, pass 1 of 2');
  expect(roundWords(3, 3, 0)).toBe('iteration 3');
});
