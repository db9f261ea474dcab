import { expect, test } from 'vitest';
import { endWords, parseItem } from './model';

test('a request that is over says how it ended, also when nobody decided it', () => {
  expect(endWords(parseItem({ id: 'a', state: 'open' }))).toBeNull();
  expect(endWords(parseItem({ id: 'a', state: 'withdrawn' }))).toBe('Withdrawn');
  const decided = { id: 'a', state: 'rejected', decision: { decision: 'reject', by: 'ann' } };
  expect(endWords(parseItem(decided))).toBe('Rejected');
});
