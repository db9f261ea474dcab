/* One task: every iteration and attempt, what went in, what came out, what went wrong, who decided. */

import { X } from 'lucide-react';
import { useEffect, useState } from 'react';
import { type Json, list, record, taskStatus, text, outcome as toOutcome, whole } from '../live/parse';
import { getJson } from '../ui/http';
import { JsonView } from '../ui/JsonView';
import { TaskStatusChip } from '../ui/status';
import { agoWords, fullTime, secondsBetween, spanWords } from '../ui/time';
import { RetryFrom } from './Controls';
import { type PlannedRun, taskName } from './plan';
import { StepFacts } from './StepFacts';
import { type RunStore, useRun, useTask } from './store';
import { kindWords, reasonWords, roundWords, stateWords } from './words';

const SETTLE_MS = 150;
/** A child run tells nothing to its parent until it ends: its start and status have to be asked for. */
const CHILD_MS = 2_000;

const DECIDED: Record<string, string> = {
  approve: 'Approved',
  answer: 'Answered',
  reject: 'Rejected',
  skip: 'Skipped',
  expire: 'Expired',
};

interface TaskPanelProps {
  store: RunStore;
  plan: PlannedRun;
  runId: string;
  taskId: string;
  canControl: boolean;
  onSelect: (id: string) => void;
  onClose: () => void;
}

export function TaskPanel({ store, plan, runId, taskId, canControl, onSelect, onClose }: TaskPanelProps) {
  const task = useTask(store, taskId);
  const kind = plan.kinds.get(taskId) ?? 'task';
  const isPolled = kind === 'workflow' && task.status === 'running';
  const { detail, problem } = useDetail(runId, taskId, task, isPolled ? CHILD_MS : 0);
  const label = taskName(plan, task);
  const limit = plan.limits.get(taskId);
  const loop = useRun(store, (run) => [...run.state.loops.values()].find(({ head }) => head === taskId));
  const isHead = [...plan.analysis.loops.values()].some(({ heads }) => heads.includes(taskId));
  const round = loop ? loop.passes + 1 : task.iteration;
  return (
    <section className="task-panel" aria-labelledby="task-title" data-testid="task-panel">
      <header className="task-panel-head">
        <div>
          <h2 id="task-title">{label}</h2>
          <p className="muted small">
            {kind === 'task' ? (text(detail?.uses) ?? taskId) : `${kindWords(kind)} · ${taskId}`}
          </p>
        </div>
        <button
          type="button"
          className="button button--quiet button--icon"
          aria-label="Close the task"
          onClick={onClose}
        >
          <X className="icon" aria-hidden="true" />
        </button>
      </header>
      <div className="task-panel-facts">
        <TaskStatusChip status={task.status} outcome={task.outcome} words={stateWords(task, kind)} />
        {round > 1 || isHead ? (
          <span className="chip">{roundWords(task.iteration, round, limit ?? 0)}</span>
        ) : null}
        {task.attempt > 1 ? <span className="chip">attempt {task.attempt}</span> : null}
        {task.reason ? <span className="chip chip--text">{reasonWords(task.reason)}</span> : null}
        {canControl && plan.kinds.has(taskId) ? (
          <RetryFrom key={taskId} store={store} runId={runId} taskId={taskId} label={label} />
        ) : null}
      </div>
      {problem ? <p className="notice notice--error">{problem}</p> : null}
      <StepFacts store={store} plan={plan} taskId={taskId} detail={detail} onSelect={onSelect} />
      {detail ? (
        <Iterations detail={detail} current={task.iteration} />
      ) : problem ? null : (
        <p className="panel-empty muted">Loading…</p>
      )}
    </section>
  );
}

/** The task as the server knows it; fetched again shortly after each change of the task. */
function useDetail(
  runId: string,
  taskId: string,
  task: unknown,
  againMs: number,
): { detail: Json | null; problem: string | null } {
  const [found, setFound] = useState<{ id: string; detail: Json | null; problem: string | null } | null>(
    null,
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: a changed task is the reason to ask again
  useEffect(() => {
    let stale = false;
    const ask = (): void => {
      getJson(`runs/${runId}/tasks/${encodeURIComponent(taskId)}/`)
        .then((detail) => stale || setFound({ id: taskId, detail, problem: null }))
        .catch((error: unknown) => {
          const problem = error instanceof Error ? error.message : 'The task could not be loaded.';
          if (!stale)
            setFound((now) => ({ id: taskId, detail: now?.id === taskId ? now.detail : null, problem }));
        });
    };
    const timer = window.setTimeout(ask, SETTLE_MS);
    const again = againMs > 0 ? window.setInterval(ask, againMs) : 0;
    return () => {
      stale = true;
      window.clearTimeout(timer);
      window.clearInterval(again);
    };
  }, [runId, taskId, task, againMs]);
  return found?.id === taskId ? found : { detail: null, problem: null };
}

function Iterations({ detail, current }: { detail: Json; current: number }) {
  const attempts = list(detail.attempts).map(record);
  const feedback = list(detail.feedback).map(record);
  const numbers = [...new Set([...attempts, ...feedback].map((item) => whole(item.iteration, 1)))].sort(
    (a, b) => b - a,
  );
  if (numbers.length === 0) return <Inline detail={detail} />;
  return (
    <div className="iterations">
      {numbers.map((number) => (
        <details key={number} className="iteration" open={number === current || numbers.length === 1}>
          <summary>
            <span>Iteration {number}</span>
            <span className="muted small">{summaryOf(number, attempts, feedback)}</span>
          </summary>
          {feedback
            .filter((item) => whole(item.iteration, 1) === number)
            .map((item) => (
              <Question key={String(item.id)} item={item} />
            ))}
          {attempts
            .filter((item) => whole(item.iteration, 1) === number)
            .reverse()
            .map((attempt) => (
              <Attempt key={`${String(attempt.number)}-${String(attempt.token)}`} attempt={attempt} />
            ))}
        </details>
      ))}
    </div>
  );
}

/** Steps the engine carries out in place have no attempts: what they gave, or what went wrong, is all there is. */
function Inline({ detail }: { detail: Json }) {
  const error = text(detail.error);
  const hasResult = detail.result !== null && detail.result !== undefined;
  if (!error && !hasResult) {
    const words = waitingWords(detail);
    return words ? <p className="panel-empty muted">{words}</p> : null;
  }
  return (
    <div className="attempt">
      {error ? (
        <div className="attempt-error">
          <p>{error}</p>
        </div>
      ) : null}
      {hasResult ? (
        <div className="attempt-part">
          <h3>Result</h3>
          <JsonView value={detail.result} label="Result" />
        </div>
      ) : null}
    </div>
  );
}

function waitingWords(detail: Json): string {
  const status = taskStatus(detail.status);
  if (status === 'blocked') return 'This task waits for the tasks before it.';
  if (status === 'completed' && toOutcome(detail.outcome) === 'skipped')
    return 'This task was skipped and never ran.';
  if (status === 'completed') return 'This task gave no result.';
  return status === 'ready' ? 'This task has not run yet.' : '';
}

function summaryOf(number: number, attempts: readonly Json[], feedback: readonly Json[]): string {
  const tries = attempts.filter((item) => whole(item.iteration, 1) === number).length;
  const decision = feedback
    .map((item) => (whole(item.iteration, 1) === number ? record(item.decision) : {}))
    .find((item) => item.decision);
  if (decision) return DECIDED[String(decision.decision)] ?? String(decision.decision);
  if (tries === 0) return 'waits for an answer';
  return tries === 1 ? '1 attempt' : `${tries} attempts`;
}

function Attempt({ attempt }: { attempt: Json }) {
  const started = text(attempt.started_at);
  const ended = text(attempt.ended_at);
  const error = text(attempt.error);
  const hasResult = attempt.result !== null && attempt.result !== undefined;
  return (
    <div className="attempt">
      <p className="attempt-head small">
        <strong>Attempt {whole(attempt.number, 1)}</strong>
        <span className="muted">
          {started ? (
            <time dateTime={started} title={fullTime(started)}>
              {agoWords(new Date(started))}
            </time>
          ) : (
            'not started'
          )}
          {started && ended ? ` · took ${spanWords(secondsBetween(started, ended))}` : null}
          {text(attempt.worker) ? ` · worker ${String(attempt.worker).slice(0, 8)}` : null}
        </span>
      </p>
      {error ? (
        <div className="attempt-error">
          <p>{error}</p>
          {text(attempt.traceback) ? (
            <details>
              <summary>Traceback</summary>
              <pre className="payload">{String(attempt.traceback)}</pre>
            </details>
          ) : null}
        </div>
      ) : null}
      {hasResult ? (
        <div className="attempt-part">
          <h3>Result</h3>
          <JsonView value={attempt.result} label="Result" />
        </div>
      ) : null}
      {isEmpty(attempt.inputs) ? null : (
        <details className="attempt-part" open={!hasResult}>
          <summary>
            <h3>Inputs</h3>
          </summary>
          <JsonView value={attempt.inputs} label="Inputs" />
        </details>
      )}
    </div>
  );
}

function Question({ item }: { item: Json }) {
  const decision = record(item.decision);
  const isOpen = item.state === 'open';
  return (
    <div className="attempt question">
      <p>{String(item.prompt ?? '')}</p>
      {isOpen ? (
        <a className="button button--primary" href={`/inbox/${String(item.id)}/`}>
          Answer in the inbox
        </a>
      ) : decision.decision ? (
        <p className="small">
          <strong>{DECIDED[String(decision.decision)] ?? String(decision.decision)}</strong>
          <span className="muted">
            {' '}
            by {String(decision.by ?? '')}
            {text(decision.at) ? `, ${agoWords(new Date(String(decision.at)))}` : ''}
          </span>
          {text(decision.reason) ? <q className="reason">{String(decision.reason)}</q> : null}
        </p>
      ) : (
        <p className="small muted">Closed: {String(item.state ?? '')}</p>
      )}
      {item.data !== null && item.data !== undefined ? (
        <details className="attempt-part">
          <summary>
            <h3>What was asked about</h3>
          </summary>
          <JsonView value={item.data} label="What was asked about" />
        </details>
      ) : null}
      {isEmpty(decision.value) || item.kind === 'approval' ? null : (
        <div className="attempt-part">
          <h3>Answer</h3>
          <JsonView value={decision.value} label="Answer" />
        </div>
      )}
    </div>
  );
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
