import { expect, test } from 'vitest';
import { delayMs } from './socket';

test('waits grow with each failure and stay below the ceiling', () => {
  const longest = () => 1;
  expect(delayMs(1, longest)).toBe(500);
  expect(delayMs(3, longest)).toBe(1_700);
  expect(delayMs(50, longest)).toBe(15_100);
});

test('waits are spread out, so that clients do not come back together', () => {
  expect(delayMs(6, () => 0)).toBe(100);
});
