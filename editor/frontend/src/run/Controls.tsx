/* Stop, pause, resume, retry: each says what it will do before it does it. */

import { CircleStop, Pause, Play, RotateCcw } from 'lucide-react';
import { useState } from 'react';
import { text } from '../live/parse';
import { isFinal } from '../live/types';
import { Confirm } from '../ui/Confirm';
import { newKey, postJson } from '../ui/http';
import { type RunStore, useRun } from './store';

type Action = 'stop' | 'pause' | 'resume' | 'retry' | 'again';

interface ControlsProps {
  store: RunStore;
  runId: string;
  workflow: { id: string; version: number; inputs: unknown; mode: string };
  can: { control: boolean; run: boolean };
  onDone: () => void;
}

export function Controls({ store, runId, workflow, can, onDone }: ControlsProps) {
  const status = useRun(store, (run) => run.state.status);
  const [asked, setAsked] = useState<{ action: Action; key: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const carryOut = async (action: Action, key: string): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      const path = action === 'again' ? 'runs/' : `runs/${runId}/${action}/`;
      const answer = await postJson(path, bodyOf(action, workflow), key);
      const id = text(answer.id);
      if (id && id !== runId) window.location.assign(`/runs/${id}/`);
      else onDone();
      setAsked(null);
    } catch (error) {
      setAsked(null);
      setProblem(error instanceof Error ? error.message : 'That did not work.');
    } finally {
      setBusy(false);
    }
  };
  const ask = (action: Action) => () => setAsked({ action, key: newKey() });
  const now = (action: Action) => () => void carryOut(action, newKey());
  const over = isFinal(status);
  const failed = status === 'failed' || status === 'rejected' || status === 'stopped';

  return (
    <div className="run-controls">
      {problem ? (
        <p className="field-error" role="alert">
          {problem}
        </p>
      ) : null}
      {can.control && !over && status !== 'paused' && status !== 'stopping' ? (
        <button type="button" className="button" disabled={busy} onClick={now('pause')}>
          <Pause className="icon" aria-hidden="true" />
          Pause
        </button>
      ) : null}
      {can.control && status === 'paused' ? (
        <button type="button" className="button button--primary" disabled={busy} onClick={now('resume')}>
          <Play className="icon" aria-hidden="true" />
          Resume
        </button>
      ) : null}
      {can.control && !over ? (
        <button
          type="button"
          className="button"
          disabled={busy || status === 'stopping'}
          onClick={ask('stop')}
        >
          <CircleStop className="icon" aria-hidden="true" />
          Stop
        </button>
      ) : null}
      {can.control && failed ? (
        <button type="button" className="button button--primary" disabled={busy} onClick={ask('retry')}>
          <RotateCcw className="icon" aria-hidden="true" />
          Retry
        </button>
      ) : null}
      {can.run && over ? (
        <button type="button" className="button" disabled={busy} onClick={ask('again')}>
          <Play className="icon" aria-hidden="true" />
          Run again
        </button>
      ) : null}
      {asked ? (
        <Confirm
          title={QUESTIONS[asked.action].title}
          action={QUESTIONS[asked.action].button}
          tone={asked.action === 'stop' ? 'danger' : 'primary'}
          busy={busy}
          onConfirm={() => void carryOut(asked.action, asked.key)}
          onCancel={() => setAsked(null)}
        >
          <p>{QUESTIONS[asked.action].effect}</p>
        </Confirm>
      ) : null}
    </div>
  );
}

interface RetryFromProps {
  store: RunStore;
  runId: string;
  taskId: string;
  label: string;
}

/** A run that is over can be done again from any of its steps. */
export function RetryFrom({ store, runId, taskId, label }: RetryFromProps) {
  const status = useRun(store, (run) => run.state.status);
  const [key, setKey] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  if (!isFinal(status)) return null;
  const carryOut = async (): Promise<void> => {
    setBusy(true);
    try {
      const answer = await postJson(`runs/${runId}/retry/`, { from: taskId }, key ?? newKey());
      window.location.assign(`/runs/${text(answer.id)}/`);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : 'That did not work.');
      setBusy(false);
    }
    setKey(null);
  };
  return (
    <div>
      <button type="button" className="button" disabled={busy} onClick={() => setKey(newKey())}>
        <RotateCcw className="icon" aria-hidden="true" />
        Retry from here
      </button>
      {problem ? (
        <p className="field-error" role="alert">
          {problem}
        </p>
      ) : null}
      {key ? (
        <Confirm
          title={`Retry from “${label}”?`}
          action="Retry"
          tone="primary"
          busy={busy}
          onConfirm={() => void carryOut()}
          onCancel={() => setKey(null)}
        >
          <p>A new run does this step and what follows it again. What came before keeps its results.</p>
        </Confirm>
      ) : null}
    </div>
  );
}

const QUESTIONS: Record<Action, { title: string; effect: string; button: string }> = {
  stop: {
    title: 'Stop this run?',
    effect:
      'No further task starts, open requests are closed, and the run ends as stopped. Results so far stay.',
    button: 'Stop the run',
  },
  pause: {
    title: 'Pause this run?',
    effect: 'Tasks that run finish; no further one starts.',
    button: 'Pause',
  },
  resume: { title: 'Resume this run?', effect: 'It goes on where it was.', button: 'Resume' },
  retry: {
    title: 'Retry what failed?',
    effect:
      'A new run does again what failed and all that follows. Everything else keeps its results, answers too.',
    button: 'Retry',
  },
  again: {
    title: 'Run again from the start?',
    effect: 'A new run of the same version starts with the same inputs. This one stays as it is.',
    button: 'Run again',
  },
};

function bodyOf(action: Action, workflow: ControlsProps['workflow']): unknown {
  if (action === 'retry') return { from: 'failed' };
  if (action === 'again') {
    return { workflow: workflow.id, version: workflow.version, inputs: workflow.inputs, mode: workflow.mode };
  }
  return {};
}
