import { expect, test } from 'vitest';
import { agoWords, spanWords } from './time';

const now = new Date('2030-01-01T12:00:00Z');
const before = (seconds: number) => new Date(now.getTime() - seconds * 1000);

test.each([
  [5, 'just now'],
  [60, '1 minute ago'],
  [7_300, '2 hours ago'],
  [90_000, '1 day ago'],
  [-90, 'in 1 minute'],
])('%i seconds ago reads "%s"', (seconds, words) => {
  expect(agoWords(before(seconds), now)).toBe(words);
});

test.each([
  [0.34, '340 ms'],
  [4.25, '4.3 s'],
  [200, '3 min 20 s'],
  [7_500, '2 h 5 min'],
])('%f seconds are "%s"', (seconds, words) => {
  expect(spanWords(seconds)).toBe(words);
});
