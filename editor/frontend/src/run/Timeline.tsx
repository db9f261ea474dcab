/* When each task worked and waited. One row per task, one bar per attempt. */

import { useEffect, useMemo, useState } from 'react';
import { isFinal } from '../live/types';
import { TASK_WORDS } from '../ui/status';
import { spanWords } from '../ui/time';
import { type PlannedRun, taskName } from './plan';
import { type Span, spansOf } from './spans';
import { type RunStore, useRun } from './store';

const TICK_MS = 500;
const ROWS = 300;

export function Timeline({
  store,
  plan,
  onSelect,
}: {
  store: RunStore;
  plan: PlannedRun;
  onSelect: (id: string) => void;
}) {
  const events = useRun(store, (run) => run.events);
  const status = useRun(store, (run) => run.state.status);
  const now = useNow(!isFinal(status));
  const rows = useMemo(() => [...spansOf(events)], [events]);
  if (rows.length === 0) return <p className="panel-empty muted">Bars appear as soon as a task starts.</p>;
  const starts = rows.map(([, spans]) => spans[0]?.from ?? now);
  const ends = rows.flatMap(([, spans]) => spans.map((span) => span.to ?? now));
  const begin = Math.min(...starts);
  const whole = Math.max(1, Math.max(...ends) - begin);
  return (
    <section className="timeline" aria-label="Timeline">
      <p className="muted small timeline-scale">
        <span>Start</span>
        <span className="numeric">{spanWords(whole / 1000)}</span>
      </p>
      <ol className="timeline-rows">
        {rows.slice(0, ROWS).map(([id, spans]) => (
          <li key={id}>
            <button type="button" className="link-button truncate" onClick={() => onSelect(id)}>
              {taskName(plan, store.task(id))}
            </button>
            <span className="timeline-track">
              {spans.map((span) => (
                <Bar key={`${span.from}-${span.kind}`} span={span} begin={begin} whole={whole} now={now} />
              ))}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Bar({ span, begin, whole, now }: { span: Span; begin: number; whole: number; now: number }) {
  const to = span.to ?? now;
  const words = `${TASK_WORDS[span.kind]}, iteration ${span.iteration}, attempt ${span.attempt}: ${spanWords((to - span.from) / 1000)}`;
  return (
    <span
      className="bar"
      data-kind={span.failed ? 'error' : span.kind}
      title={words}
      style={{
        left: `${((span.from - begin) / whole) * 100}%`,
        width: `${((to - span.from) / whole) * 100}%`,
      }}
    >
      <span className="visually-hidden">{words}</span>
    </span>
  );
}

function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = window.setInterval(() => setNow(Date.now()), TICK_MS);
    return () => window.clearInterval(timer);
  }, [ticking]);
  return now;
}
