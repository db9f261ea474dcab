/* The page of one run: first data from the page, then events by seq. */

import '../run/run.css';
import '../run/graph.css';
import '../run/history.css';
import '../run/task.css';
import { createRoot } from 'react-dom/client';
import { type Feed, followRun, type RunSource } from '../live/feed';
import { list, parseEvent, parseRun, record } from '../live/parse';
import type { RunEvent } from '../live/types';
import { planRun } from '../run/plan';
import { RunPage } from '../run/RunPage';
import { RunStore } from '../run/store';
import { getJson, pageData } from '../ui/http';

const HISTORY = 2_000;
const PAGE = 500;

function sourceOf(id: string): RunSource {
  return {
    snapshot: async () => parseRun(await getJson(`runs/${id}/`)),
    eventsAfter: async (after) => {
      const answer = await getJson(`runs/${id}/events/?after=${after}&limit=${PAGE}`);
      return list(answer.results).map(parseEvent);
    },
  };
}

/** What happened before the page was made; of a very long run only the newest part. */
async function history(source: RunSource, seq: number): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  let after = Math.max(0, seq - HISTORY);
  while (after < seq) {
    const part = await source.eventsAfter(after);
    const last = part.at(-1);
    if (!last) break;
    events.push(...part.filter((event) => event.seq <= seq));
    after = last.seq;
  }
  return events;
}

const root = document.getElementById('run-root');
const data = pageData();
const run = record(data.run);

if (root && run.id) {
  const id = String(run.id);
  const first = parseRun(run);
  const store = new RunStore(first);
  const source = sourceOf(id);
  const feed: Feed = followRun(
    id,
    first,
    source,
    (change) => store.apply(change),
    (link) => store.setLink(link),
  );
  createRoot(root).render(
    <RunPage run={run} can={record(data.can)} store={store} plan={planRun(run)} feed={feed} />,
  );
  void history(source, first.seq)
    .then((events) => store.addHistory(events))
    .catch(() => undefined);
}
