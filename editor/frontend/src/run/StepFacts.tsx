/* What a step of a kind of its own is doing: how long it waits, what it made, whom it calls or tells. */

import { useEffect, useState } from 'react';
import { isExpression } from '../graph/document';
import { type Json, list, record, text } from '../live/parse';
import { RunStatusChip, TaskIcon } from '../ui/status';
import { clockTime, fullTime, secondsBetween, spanWords } from '../ui/time';
import { type PlannedRun, taskName } from './plan';
import { type RunStore, useRun, useTask } from './store';
import { stateWords } from './words';

interface StepFactsProps {
  store: RunStore;
  plan: PlannedRun;
  taskId: string;
  /** The task as the server knows it; null until it has come. */
  detail: Json | null;
  onSelect: (id: string) => void;
}

const SHOWN = 200;

export function StepFacts(props: StepFactsProps) {
  const kind = props.plan.kinds.get(props.taskId);
  if (kind === 'delay') return <Delay {...props} />;
  if (kind === 'map') return <Items {...props} />;
  if (kind === 'http') return <Call {...props} />;
  if (kind === 'workflow') return <ChildRun {...props} />;
  return kind === 'notify' ? <Notice {...props} /> : null;
}

/** When a delay is over, as its newest start says; null before it began. */
export function dueOf(detail: Json | null): Date | null {
  const due = list(detail?.events)
    .map(record)
    .filter((event) => event.type === 'delay_started')
    .map((event) => record(event.data).due)
    .findLast((found) => typeof found === 'number');
  return due === undefined ? null : new Date(due * 1000);
}

function Delay({ store, taskId, detail }: StepFactsProps) {
  const task = useTask(store, taskId);
  const due = dueOf(detail);
  const isWaiting = task.status === 'running' && due !== null;
  const now = useNow(isWaiting);
  if (isWaiting) {
    const left = (due.getTime() - now) / 1000;
    return (
      <div className="step-facts">
        <p>
          Waits until{' '}
          <time dateTime={due.toISOString()} title={fullTime(due.toISOString())}>
            {dueWords(due, new Date(now))}
          </time>
          {left > 0 ? <span className="muted"> · {spanWords(left)} left</span> : null}
        </p>
        <p className="muted small">No worker is held meanwhile.</p>
      </div>
    );
  }
  if (task.status !== 'completed' || !task.startedAt || !task.endedAt) return null;
  return (
    <div className="step-facts">
      <p>Waited {spanWords(secondsBetween(task.startedAt, task.endedAt))}.</p>
    </div>
  );
}

/** A clock time for today, with the date for another day. */
export function dueWords(due: Date, now: Date): string {
  const at = due.toISOString();
  return due.toDateString() === now.toDateString() ? clockTime(at) : fullTime(at);
}

function Items({ store, plan, taskId, onSelect }: StepFactsProps) {
  const task = useTask(store, taskId);
  const tasks = useRun(store, (run) => run.state.tasks);
  const made = [...tasks.values()].filter((one) => one.parent === taskId);
  if (made.length === 0) return null;
  const items = made.toSorted((a, b) => (a.item ?? 0) - (b.item ?? 0));
  const done = items.filter((one) => one.status === 'completed').length;
  return (
    <div className="step-facts">
      <p>
        {done} of {items.length} {items.length === 1 ? 'item' : 'items'} done
        {task.iteration > 1 ? <span className="muted"> · over all iterations</span> : null}
      </p>
      <progress max={items.length} value={done} aria-label="Items done" />
      <ul className="step-children">
        {items.slice(0, SHOWN).map((one) => (
          <li key={one.id}>
            <a
              href={`?task=${encodeURIComponent(one.id)}`}
              onClick={(event) => {
                event.preventDefault();
                onSelect(one.id);
              }}
            >
              {taskName(plan, one)}
            </a>
            <span className="status small" data-status={one.status}>
              <TaskIcon status={one.status} />
              {stateWords(one, 'task')}
            </span>
          </li>
        ))}
      </ul>
      {items.length > SHOWN ? <p className="muted small">And {items.length - SHOWN} more.</p> : null}
    </div>
  );
}

/** The newest attempt's inputs are what was really sent; before the first one only the definition is known. */
function Call({ plan, taskId, detail }: StepFactsProps) {
  const node = record(plan.nodes.get(taskId));
  const attempt = record(list(detail?.attempts).at(-1));
  const sent = { ...node, ...record(attempt.inputs) };
  const answer = record(attempt.result ?? detail?.result);
  const status = answer.status ?? answer.status_code;
  return (
    <dl className="step-facts facts">
      <dt>Calls</dt>
      <dd>
        <strong>{text(sent.method) ?? 'GET'}</strong> <Said value={sent.url} />
      </dd>
      {status === undefined ? null : (
        <>
          <dt>Answer</dt>
          <dd className="numeric">{String(status)}</dd>
        </>
      )}
    </dl>
  );
}

function ChildRun({ plan, taskId, detail }: StepFactsProps) {
  const node = record(plan.nodes.get(taskId));
  const children = list(detail?.children).map(record);
  return (
    <dl className="step-facts facts">
      <dt>Workflow</dt>
      <dd>
        {String(node.workflow ?? '')}
        {typeof node.version === 'number' ? `, version ${node.version}` : ''}
      </dd>
      <dt>{children.length > 1 ? 'Its runs' : 'Its run'}</dt>
      <dd>
        {children.length === 0 ? <span className="muted">not started yet</span> : null}
        <ul>
          {children.map((child) => (
            <li key={String(child.run)} className="row">
              <a href={`/runs/${String(child.run)}/`}>
                {children.length === 1 ? 'Open it' : childName(child)}
              </a>
              <RunStatusChip status={String(child.status)} />
            </li>
          ))}
        </ul>
      </dd>
    </dl>
  );
}

/** Runs have no names: a task that ran several tells them apart by its iteration and attempt. */
export function childName(child: Json): string {
  const parts = [`iteration ${String(child.iteration ?? 1)}`];
  if (Number(child.attempt ?? 1) > 1) parts.push(`attempt ${String(child.attempt)}`);
  return `Open that of ${parts.join(', ')}`;
}

function Notice({ plan, taskId }: StepFactsProps) {
  const node = record(plan.nodes.get(taskId));
  const to = list(node.to).map(String);
  return (
    <dl className="step-facts facts">
      {to.length > 0 ? (
        <>
          <dt>Tells</dt>
          <dd>{to.map(recipientWords).join(', ')}</dd>
        </>
      ) : null}
      {text(node.webhook) ? (
        <>
          <dt>Webhook</dt>
          <dd>{String(node.webhook)}</dd>
        </>
      ) : null}
      {node.subject === undefined ? null : (
        <>
          <dt>Subject</dt>
          <dd>
            <Said value={node.subject} />
          </dd>
        </>
      )}
    </dl>
  );
}

export function recipientWords(name: string): string {
  return name.startsWith('group:') ? `everybody in ${name.slice('group:'.length)}` : name;
}

/** A value of the definition: an expression is shown as one, since only the run knows what it gave. */
function Said({ value }: { value: unknown }) {
  if (isExpression(value)) return <code title="Computed when the step starts">{value.$}</code>;
  return <span className="step-said">{String(value ?? '')}</span>;
}

function useNow(ticking: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, [ticking]);
  return now;
}
