/* The run page: title and controls, live graph, and beside it what happened or one task. */

import { useCallback, useEffect, useState } from 'react';
import type { Feed } from '../live/feed';
import { type Json, record, text, whole } from '../live/parse';
import { isFinal } from '../live/types';
import { RunStatusChip, runWords } from '../ui/status';
import { fullTime, secondsBetween, spanWords } from '../ui/time';
import { Controls } from './Controls';
import { EventList } from './EventList';
import { Graph } from './Graph';
import type { PlannedRun } from './plan';
import { type RunStore, useRun } from './store';
import { TaskPanel } from './TaskPanel';
import { Timeline } from './Timeline';
import { failureOf } from './words';

type Tab = 'events' | 'timeline';

interface RunPageProps {
  run: Json;
  can: Json;
  store: RunStore;
  plan: PlannedRun;
  feed: Feed;
}

export function RunPage({ run, can, store, plan, feed }: RunPageProps) {
  const runId = String(run.id);
  const [selected, select] = useSelectedTask();
  const [tab, setTab] = useState<Tab>('events');
  const rights = { control: can.control === true, run: can.run === true };
  const workflow = {
    id: String(run.workflow),
    version: whole(run.version, 1),
    inputs: run.inputs,
    mode: text(run.mode) ?? 'live',
  };
  return (
    <>
      <Head run={run} store={store} plan={plan} onSelect={select}>
        <Controls store={store} runId={runId} workflow={workflow} can={rights} onDone={feed.refresh} />
      </Head>
      <LinkNotice store={store} />
      <div className="run-body">
        <Graph store={store} plan={plan} selected={selected} onSelect={select} />
        <aside className="run-side" aria-label="Details">
          {selected ? (
            <TaskPanel
              store={store}
              plan={plan}
              runId={runId}
              taskId={selected}
              canControl={rights.control}
              onSelect={select}
              onClose={() => select(null)}
            />
          ) : (
            <>
              <div className="tabs" role="tablist" aria-label="What happened">
                <TabButton id="events" tab={tab} onOpen={setTab} label="Events" />
                <TabButton id="timeline" tab={tab} onOpen={setTab} label="Timeline" />
              </div>
              <div className="tab-body" role="tabpanel" aria-labelledby={`tab-${tab}`} id="run-tab">
                {tab === 'events' ? (
                  <EventList store={store} plan={plan} onSelect={select} />
                ) : (
                  <Timeline store={store} plan={plan} onSelect={select} />
                )}
              </div>
            </>
          )}
        </aside>
      </div>
    </>
  );
}

function TabButton(props: { id: Tab; tab: Tab; label: string; onOpen: (tab: Tab) => void }) {
  const { id, tab, label, onOpen } = props;
  const move = (event: React.KeyboardEvent): void => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const other: Tab = id === 'events' ? 'timeline' : 'events';
    onOpen(other);
    document.getElementById(`tab-${other}`)?.focus();
  };
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${id}`}
      aria-selected={tab === id}
      aria-controls="run-tab"
      tabIndex={tab === id ? 0 : -1}
      onClick={() => onOpen(id)}
      onKeyDown={move}
    >
      {label}
    </button>
  );
}

interface HeadProps {
  run: Json;
  store: RunStore;
  plan: PlannedRun;
  onSelect: (id: string) => void;
  children: React.ReactNode;
}

function Head({ run, store, plan, onSelect, children }: HeadProps) {
  const status = useRun(store, (now) => now.state.status);
  const reason = useRun(store, (now) => now.state.reason);
  const endedAt = useRun(store, (now) => now.state.endedAt);
  const started = text(run.started_at) ?? text(run.created_at);
  return (
    <div className="run-head">
      <div className="run-title">
        <nav className="crumbs" aria-label="Breadcrumb">
          <a href="/runs/">Runs</a>
          <span aria-hidden="true">›</span>
          <a href={`/workflows/${String(run.workflow)}/`}>{String(run.workflow_name ?? '')}</a>
          <span aria-hidden="true">›</span>
          <span>version {whole(run.version, 1)}</span>
          {text(run.parent) ? (
            <>
              <span aria-hidden="true">›</span>
              <a
                href={`/runs/${String(run.parent)}/?task=${encodeURIComponent(text(run.parent_task) ?? '')}`}
              >
                started by another run
              </a>
            </>
          ) : null}
        </nav>
        <h1 className="truncate">{String(run.workflow_name ?? 'Run')}</h1>
      </div>
      <div className="run-facts">
        <span className="run-state" data-testid="run-status" data-status={status}>
          <RunStatusChip status={status} />
        </span>
        {started ? (
          <span className="muted small numeric" title={`Started ${fullTime(started)}`}>
            <Elapsed from={started} to={endedAt} running={!isFinal(status)} />
          </span>
        ) : null}
        {reason && isFinal(status) ? <Reason reason={reason} plan={plan} onSelect={onSelect} /> : null}
      </div>
      {children}
      <p className="visually-hidden" role="status">
        The run is now: {runWords(status).toLowerCase()}
      </p>
    </div>
  );
}

/** Why the run ended as it did, with the way to the task that is to blame. */
function Reason({
  reason,
  plan,
  onSelect,
}: {
  reason: string;
  plan: PlannedRun;
  onSelect: (id: string) => void;
}) {
  const { taskId, words } = failureOf(reason);
  return (
    <span className="muted small run-reason" title={words}>
      {taskId === null ? null : (
        <>
          <button type="button" className="link-button" onClick={() => onSelect(taskId)}>
            {plan.labels.get(taskId) ?? taskId}
          </button>
          :{' '}
        </>
      )}
      {words}
    </span>
  );
}

function Elapsed({ from, to, running }: { from: string; to: string | null; running: boolean }) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(() => tick((count) => count + 1), 1000);
    return () => window.clearInterval(timer);
  }, [running]);
  return <>{spanWords(secondsBetween(from, to))}</>;
}

/** Says so when news come late, instead of showing an old state as if it were live. */
function LinkNotice({ store }: { store: RunStore }) {
  const link = useRun(store, (now) => now.link);
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (link === 'open') return;
    const timer = window.setTimeout(() => setLate(true), 3_000);
    return () => window.clearTimeout(timer);
  }, [link]);
  if (link === 'refused') {
    return (
      <p className="link-notice" role="status">
        Live updates were refused. Your sign-in may have ended: reload the page to sign in again.
      </p>
    );
  }
  return late ? (
    <p className="link-notice" role="status">
      The live connection is gone. Trying to come back; the state is asked for every two seconds meanwhile.
    </p>
  ) : null;
}

/** The open task lives in the address, so that a link shows the same. */
function useSelectedTask(): [string | null, (id: string | null) => void] {
  const [selected, setSelected] = useState(
    () => record(Object.fromEntries(new URLSearchParams(window.location.search))).task,
  );
  const select = useCallback((id: string | null) => {
    const url = new URL(window.location.href);
    if (id) url.searchParams.set('task', id);
    else url.searchParams.delete('task');
    window.history.replaceState(null, '', url);
    setSelected(id ?? undefined);
  }, []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) select(null);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [select]);
  return [text(selected), select];
}
