import { expect, test } from 'vitest';
import { childName, dueOf, dueWords, recipientWords } from './StepFacts';

const started = (due: number) => ({ type: 'delay_started', data: { due } });

test('a delay is over when its newest start says', () => {
  const events = [started(1_000), { type: 'task_status', data: {} }, started(2_000)];
  expect(dueOf({ events })).toEqual(new Date(2_000_000));
  expect(dueOf({ events: [] })).toBeNull();
  expect(dueOf(null)).toBeNull();
});

test('a delay over midnight tells the day as well', () => {
  const due = new Date(2026, 10, 26, 9, 30);
  expect(dueWords(due, new Date(2026, 10, 26, 8, 0))).toBe('09:30:00');
  expect(dueWords(due, new Date(2026, 10, 25, 23, 0))).toMatch(/26/);
});

test('a group is told as a group of people', () => {
  expect(recipientWords('group:editors')).toBe('everybody in editors');
  expect(recipientWords('ada@example.org')).toBe('ada@example.org');
});

test('the runs a step has started are told apart', () => {
  expect(childName({ iteration: 1, attempt: 1 })).toBe('Open that of iteration 1');
  expect(childName({ iteration: 2, attempt: 3 })).toBe('Open that of iteration 2, attempt 3');
});
