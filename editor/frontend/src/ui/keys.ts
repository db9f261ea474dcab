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

const GO_MS = 1_200;
const PLACES: Record<string, string> = {
  h: '/',
  w: '/workflows/',
  r: '/runs/',
  i: '/inbox/',
  m: '/monitor/',
};

/** "g" and then a letter: the place to go to, for the second key; null while there is none. */
export function goKeys(now: () => number = Date.now): (event: KeyboardEvent) => string | null {
  let asked = Number.NEGATIVE_INFINITY;
  return (event) => {
    const key = shortcut(event);
    const place = key !== null && now() - asked < GO_MS ? PLACES[key] : undefined;
    asked = key === 'g' && place === undefined ? now() : Number.NEGATIVE_INFINITY;
    return place ?? null;
  };
}

/** The key a shortcut may react to, or null. */
export function shortcut(event: KeyboardEvent): string | null {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (isTyping(event.target) || document.querySelector('dialog[open]') || !keysAreOn()) return null;
  // Enter on a focused control belongs to that control.
  if (event.key === 'Enter' && (event.target as HTMLElement).matches('a, button, summary')) return null;
  return event.key;
}
