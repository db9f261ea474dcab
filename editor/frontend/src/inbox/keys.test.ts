import { expect, test } from 'vitest';
import { shortcut } from './keys';

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
