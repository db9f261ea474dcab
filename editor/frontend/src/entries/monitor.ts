/* The monitor: figures of the page replaced by what the socket samples. */

import { list, record, text, whole } from '../live/parse';
import { openSocket } from '../live/socket';
import { spanWords } from '../ui/time';

const LINK_WORDS = {
  open: 'Live',
  connecting: 'Connecting…',
  waiting: 'Not live: the server cannot be reached',
  refused: 'Not live: refused',
} as const;

function show(sample: Record<string, unknown>): void {
  for (const tile of document.querySelectorAll<HTMLElement>('[data-metric]')) {
    const value = Number(sample[tile.dataset.metric ?? ''] ?? 0);
    const words = tile.dataset.as === 'seconds' ? spanWords(value) : value.toLocaleString();
    tile.textContent = tile.dataset.metric === 'uptime' && value === 0 ? 'not running' : words;
  }
  showDisk(record(sample.disk));
  showWorkers(list(sample.workers).map(record));
  showWorkflows(record(sample.by_workflow));
  showRuns(record(sample.runs));
}

function showDisk(disk: Record<string, unknown>): void {
  const problem = document.querySelector<HTMLElement>('[data-disk-problem]');
  const words = problem?.querySelector('[data-disk]');
  if (!problem || !words) return;
  words.textContent = text(disk.detail);
  problem.hidden = disk.ok !== false;
}

function showWorkers(workers: readonly Record<string, unknown>[]): void {
  const rows = workers.map((worker) => [
    cell(String(worker.name), 'mono'),
    cell(`${whole(worker.slots)} at a time`, 'numeric'),
    cell(worker.draining ? 'Draining' : 'Taking work'),
  ]);
  fill(
    '[data-workers]',
    rows,
    'No worker is running, so nothing is carried out. Start one, or restart the server.',
  );
}

function showWorkflows(byWorkflow: Record<string, unknown>): void {
  const rows = Object.entries(byWorkflow).map(([slug, raw]) => {
    const row = record(raw);
    const name = cell('');
    const link = document.createElement('a');
    link.className = 'row-link';
    link.href = `/workflows/${encodeURIComponent(slug)}/`;
    link.textContent = slug;
    name.append(link);
    return [
      name,
      cell(whole(row.tasks_executed).toLocaleString(), 'end numeric'),
      cell(whole(row.tasks_failed).toLocaleString(), 'end numeric'),
      cell(spanWords(Number(row.average_execution_time ?? 0)), 'end numeric'),
    ];
  });
  fill('[data-by-workflow]', rows, 'Nothing has been executed yet.');
}

function showRuns(runs: Record<string, unknown>): void {
  const target = document.querySelector('[data-run-counts]');
  const chips = document.querySelector<HTMLTemplateElement>('template[data-status-set]');
  if (!target || !chips || Object.keys(runs).length === 0) return;
  target.replaceChildren(
    ...Object.entries(runs).map(([status, count]) => {
      const item = document.createElement('li');
      const link = document.createElement('a');
      link.className = 'card-row';
      link.href = `/runs/?status=${encodeURIComponent(status)}`;
      const main = document.createElement('span');
      main.className = 'card-main';
      const chip = chips.content.querySelector(`[data-status="${CSS.escape(status)}"]`);
      main.append(chip?.cloneNode(true) ?? status);
      const number = document.createElement('span');
      number.className = 'numeric';
      number.textContent = whole(count).toLocaleString();
      link.append(main, number);
      item.append(link);
      return item;
    }),
  );
}

function cell(words: string, className = ''): HTMLTableCellElement {
  const element = document.createElement('td');
  element.className = className;
  element.textContent = words;
  return element;
}

function fill(selector: string, rows: readonly HTMLTableCellElement[][], empty: string): void {
  const body = document.querySelector(selector);
  if (!body) return;
  if (rows.length === 0) {
    const only = cell(empty);
    only.colSpan = 4;
    rows = [[only]];
  }
  body.replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement('tr');
      row.append(...cells);
      return row;
    }),
  );
}

openSocket({
  path: () => '/ws/monitor/',
  onFrame: (frame) => {
    if (text(frame.type) === 'metrics') show(frame);
  },
  onState: (state) => {
    const chip = document.querySelector('[data-monitor-link]');
    if (chip) chip.textContent = LINK_WORDS[state];
  },
});
