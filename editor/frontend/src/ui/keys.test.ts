import { expect, test } from 'vitest';
import { goKeys, shortcut } from './keys';

function press(key: string, on: HTMLElement, init: KeyboardEventInit = {}): string | null {
  document.body.append(on);
  let heard: string | null = 'not heard';
  window.addEventListener('keydown', (event) => (heard = shortcut(event)), { once: true });
  on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, ...init }));
  on.remove();
  return heard;
}

test('a letter on the page is a shortcut', () => {
  expect(press('a', document.createElement('div'))).toBe('a');
});

test('a letter in a text field is text', () => {
  expect(press('a', document.createElement('textarea'))).toBeNull();
});

test('keys with a modifier belong to the browser', () => {
  expect(press('r', document.createElement('div'), { ctrlKey: true })).toBeNull();
});

test('g and a letter lead to a page, unless too much time lies between', () => {
  let now = 0;
  const go = goKeys(() => now);
  const press = (key: string) => go(new KeyboardEvent('keydown', { key }));
  expect([press('g'), press('i')]).toEqual([null, '/inbox/']);
  expect(press('r')).toBeNull();
  press('g');
  now = 2_000;
  expect(press('r')).toBeNull();
  expect([press('g'), press('x'), press('r')]).toEqual([null, null, null]);
});
