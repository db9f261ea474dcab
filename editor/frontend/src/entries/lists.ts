/* Lists of runs stay true without a reload: statuses change in place, newer runs are offered. */

import { type Item, parseItem } from '../inbox/model';
import { list, record } from '../live/parse';
import { isFinal } from '../live/types';
import { getJson } from '../ui/http';
import { agoWords, secondsBetween, spanWords } from '../ui/time';

const POLL_MS = 2_000;
const IDLE_POLL_MS = 10_000;
const ROWS = 50;

function shownRows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>('[data-run-id]')];
}

/** The chip of a status, cloned from the set the server rendered (scripts may not parse HTML). */
function chip(status: string): Node | null {
  const set = document.querySelector<HTMLTemplateElement>('template[data-status-set]');
  return set?.content.querySelector(`[data-status="${CSS.escape(status)}"]`)?.cloneNode(true) ?? null;
}

function update(row: HTMLElement, run: Record<string, unknown>): void {
  const status = String(run.status ?? '');
  if (!status || row.dataset.runStatus === status) return;
  row.dataset.runStatus = status;
  const fresh = chip(status);
  if (fresh) row.querySelector('.status')?.replaceWith(fresh);
  const running = row.querySelector<HTMLElement>('[data-since]');
  if (running && typeof run.started_at === 'string' && typeof run.ended_at === 'string') {
    running.textContent = spanWords(secondsBetween(run.started_at, run.ended_at));
    delete running.dataset.since;
  }
}

function offerNewer(): void {
  const bar = document.querySelector<HTMLElement>('[data-newer-runs]');
  if (bar) bar.hidden = false;
}

function isLaterPage(): boolean {
  return new URLSearchParams(window.location.search).has('cursor');
}

function query(): string {
  const page = new URLSearchParams(window.location.search);
  const scope = document.querySelector<HTMLElement>('[data-live-lists]')?.dataset.workflow;
  const asked = new URLSearchParams({ limit: String(ROWS) });
  for (const key of ['q', 'status', 'workflow']) {
    const value = page.get(key);
    if (value && value !== 'active') asked.set(key, value);
  }
  if (scope) asked.set('workflow', scope);
  return asked.toString();
}

async function refresh(): Promise<void> {
  const runs = list((await getJson(`runs/?${query()}`)).results).map(record);
  const rows = shownRows();
  const byId = new Map(runs.map((run) => [String(run.id), run]));
  for (const row of rows) {
    const run = byId.get(row.dataset.runId ?? '');
    if (run) update(row, run);
  }
  const known = new Set(rows.map((row) => row.dataset.runId));
  const newest = runs[0];
  if (newest && !known.has(String(newest.id)) && !isLaterPage() && !seen.has(String(newest.id))) offerNewer();
}

const seen = new Set(
  (document.querySelector<HTMLElement>('[data-live-lists]')?.dataset.newestRun ?? '')
    .split(' ')
    .filter(Boolean),
);

/** The requests that need this person, when the page shows them. */
async function refreshRequests(panel: HTMLElement): Promise<void> {
  const row = document.querySelector<HTMLTemplateElement>('template[data-request-row]');
  const rows = panel.querySelector('[data-request-rows]');
  const empty = panel.querySelector<HTMLElement>('[data-request-empty]');
  if (!row || !rows || !empty) return;
  const items = list((await getJson('feedback/?state=open&assigned=me&limit=5')).results).map(parseItem);
  empty.hidden = items.length > 0;
  rows.replaceChildren(...items.map((item) => requestRow(row, item)));
}

function requestRow(template: HTMLTemplateElement, item: Item): Node {
  const row = template.content.cloneNode(true) as DocumentFragment;
  const put = (name: string, words: string): void => {
    const target = row.querySelector(`[data-put="${name}"]`);
    if (target) target.textContent = words;
  };
  row.querySelector('a')?.setAttribute('href', `/inbox/${item.id}/`);
  put('prompt', item.prompt);
  const iteration = item.iteration > 1 ? ` · iteration ${item.iteration}` : '';
  put('where', `${item.workflowName} › ${item.label}${iteration}`);
  const time = row.querySelector('time');
  if (time) time.dateTime = item.createdAt;
  put('when', agoWords(new Date(item.createdAt)));
  return row;
}

function followRequests(): void {
  const panel = document.querySelector<HTMLElement>('[data-requests]');
  if (!panel) return;
  window.addEventListener('graflow:inbox', () => void refreshRequests(panel).catch(() => undefined));
}

async function follow(): Promise<void> {
  const active = shownRows().some((row) => !isFinal(row.dataset.runStatus ?? ''));
  if (!document.hidden) await refresh().catch(() => undefined);
  window.setTimeout(() => void follow(), active ? POLL_MS : IDLE_POLL_MS);
}

followRequests();
if (document.querySelector('[data-live-lists]')) window.setTimeout(() => void follow(), POLL_MS);
