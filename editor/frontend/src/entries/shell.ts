/* Every page: theme, menus, live badge of the inbox, times that stay true. No framework, on purpose. */

import '../ui/tokens.css';
import '../ui/base.css';
import '../ui/parts.css';
import '../ui/shell.css';
import '../ui/frames.css';
import '../ui/pages.css';
import { record, whole } from '../live/parse';
import { openSocket } from '../live/socket';
import { goKeys } from '../ui/keys';
import { themeSwitch } from '../ui/theme';
import { agoWords, secondsBetween, spanWords } from '../ui/time';

const CLOCK_MS = 1_000;
const AGO_EVERY = 15;

function menus(): void {
  const open = (): HTMLDetailsElement[] => [
    ...document.querySelectorAll<HTMLDetailsElement>('[data-menu][open]'),
  ];
  document.addEventListener('click', (event) => {
    for (const menu of open()) if (!menu.contains(event.target as Node)) menu.open = false;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    for (const menu of open()) {
      menu.open = false;
      menu.querySelector('summary')?.focus();
    }
  });
}

function showCount(count: number): void {
  const badge = document.querySelector<HTMLElement>('[data-testid="inbox-count"]');
  if (!badge) return;
  badge.textContent = String(count);
  badge.dataset.count = String(count);
  const spoken = document.querySelector('[data-inbox-spoken]');
  if (spoken) spoken.textContent = count ? ' open requests' : '';
}

/** The badge, and the same news for an island that wants it: one socket per page is enough. */
function inboxNews(): void {
  if (!document.querySelector('[data-testid="inbox-count"]')) return;
  openSocket({
    path: () => '/ws/inbox/',
    onFrame: (frame) => {
      if (frame.type !== 'inbox') return;
      showCount(whole(frame.count));
      window.dispatchEvent(new CustomEvent('graflow:inbox', { detail: record(frame) }));
    },
    onState: (state) => window.dispatchEvent(new CustomEvent('graflow:inbox-link', { detail: state })),
  });
}

function clocks(): void {
  let ticks = 0;
  window.setInterval(() => {
    if (document.hidden) return;
    for (const span of document.querySelectorAll<HTMLElement>('[data-since]')) {
      span.textContent = spanWords(secondsBetween(span.dataset.since ?? '', null));
    }
    ticks += 1;
    if (ticks % AGO_EVERY) return;
    for (const time of document.querySelectorAll<HTMLTimeElement>('time[data-ago]')) {
      time.textContent = agoWords(new Date(time.dateTime));
    }
  }, CLOCK_MS);
}

/** g then h, w, r, i or m. Not in the editor, whose letters are its own. */
function goThere(): void {
  if (document.body.classList.contains('shell--rail')) return;
  const placeOf = goKeys();
  const go = (event: KeyboardEvent): void => {
    const place = placeOf(event);
    const link = place ? document.querySelector<HTMLElement>(`.shell-nav a[href="${place}"]`) : null;
    if (!link) return;
    // The same letter means something else on the page: "r" alone rejects.
    event.preventDefault();
    event.stopImmediatePropagation();
    link.click();
  };
  window.addEventListener('keydown', go, { capture: true });
}

function selectOnFocus(): void {
  for (const input of document.querySelectorAll<HTMLInputElement>('[data-select]')) {
    input.addEventListener('focus', () => input.select());
  }
}

themeSwitch(document);
menus();
inboxNews();
clocks();
goThere();
selectOnFocus();
