import { expect, test } from 'vitest';
import { offset } from './view';

const ROOM = 600;
const LENGTH = 2_000;
const onScreen = (x: number, at: number) => offset(ROOM, 0, LENGTH, at) + x * 0.8;

test('what goes on stands in the middle', () => {
  expect(onScreen(1_000, 1_000)).toBe(ROOM / 2);
});

test('at the ends no empty space is shown', () => {
  expect(onScreen(0, 50)).toBe(36);
  expect(onScreen(LENGTH, 1_950)).toBe(ROOM - 36);
});

test('an axis that fits is centred', () => {
  const begin = offset(ROOM, 100, 200, 150);
  expect(begin + 200 * 0.8).toBe(ROOM / 2);
});
