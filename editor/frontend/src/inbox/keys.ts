/* Single-letter keys: never while somebody types, never under a dialog, and off when switched off. */

const SWITCH = 'graflow.keys';

export function keysAreOn(): boolean {
  try {
    return window.localStorage.getItem(SWITCH) !== 'off';
  } catch {
    return true; // storage may be forbidden; the keys work then, they are only not remembered as off
  }
}

export function switchKeys(on: boolean): void {
  try {
    window.localStorage.setItem(SWITCH, on ? 'on' : 'off');
  } catch {
    // Nothing to remember it in: the switch holds until the page is left.
  }
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.matches('input, textarea, select');
}

/** The key a shortcut may react to, or null. */
export function shortcut(event: KeyboardEvent): string | null {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (isTyping(event.target) || document.querySelector('dialog[open]') || !keysAreOn()) return null;
  // Enter on a focused control belongs to that control.
  if (event.key === 'Enter' && (event.target as HTMLElement).matches('a, button, summary')) return null;
  return event.key;
}
