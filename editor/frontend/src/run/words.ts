/* Sentences for events and loops. */

import { list, text } from '../live/parse';
import type { RunEvent, TaskView } from '../live/types';
import { OUTCOME_WORDS, runWords, statusWords } from '../ui/status';
import { clockTime } from '../ui/time';

const MOVES: Record<string, string> = {
  blocked: 'waits for its inputs',
  ready: 'is ready',
  running: 'started',
  planned: 'worked; its loop may go on',
  feedback_required: 'waits for a person',
  rejected: 'was rejected',
  success: 'succeeded',
  error: 'failed',
  retry_waiting: 'waits to try again',
  skipped: 'was skipped',
  completed: 'is done',
};

const ENDS: Record<string, string> = {
  success: 'is done',
  error: 'ended after an error',
  rejected: 'ended with a rejection',
  skipped: 'ended without running',
  cancelled: 'was cancelled',
};

const DECISIONS: Record<string, string> = {
  approve: 'approved',
  answer: 'answered',
  reject: 'rejected',
  skip: 'skipped',
  expire: 'let expire',
};

const LOOP_ENDS: Record<string, string> = {
  converged: 'it converged',
  cycle_limit: 'it reached its limit',
  condition: 'its condition no longer held, so the run took the exit',
  error: 'a task in it failed',
  skipped: 'it was skipped',
  stopped: 'the run was stopped',
  failed: 'a task in it failed',
};

/** Reasons the engine gives as a code. All others are sentences of a person or of a failure. */
const REASONS: Record<string, string> = {
  asked: 'somebody stopped it',
  stalled: 'nothing could go on',
  step_limit: 'it took more steps than a run may take',
  deadline: 'its time was up',
  feedback_drift: 'the code now asks something else than what was answered',
  cycle_limit: 'it reached its limit',
  converged: 'it converged',
};

/** A reason as words: codes are put into words, sentences stay as they are, letter for letter. */
export function reasonWords(reason: string): string {
  const known = REASONS[reason] ?? LOOP_ENDS[reason];
  return known ?? (/^[a-z]+(_[a-z]+)*$/.test(reason) ? reason.replaceAll('_', ' ') : reason);
}

export interface Failure {
  /** The task whose failure ended the run; null where the reason names none. */
  readonly taskId: string | null;
  readonly words: string;
}

/** The engine names the task that failed inside its sentence; pages show its label and link to it. */
export function failureOf(reason: string): Failure {
  const found = /^Task (['"])(.+?)\1 failed: ([\s\S]+)$/.exec(reason);
  return found
    ? { taskId: found[2] as string, words: found[3] as string }
    : { taskId: null, words: reasonWords(reason) };
}

const KINDS: Record<string, string> = {
  text: 'text question',
  map: 'for each item',
  http: 'HTTP request',
  notify: 'notification',
};

export function kindWords(kind: string): string {
  return KINDS[kind] ?? kind;
}

/** The iteration over the whole run; inside an outer loop also the pass that the limit counts. */
export function roundWords(iteration: number, round: number, limit: number): string {
  if (!limit) return `iteration ${iteration}`;
  return iteration === round
    ? `iteration ${round} of ${limit}`
    : `iteration ${iteration}, pass ${round} of ${limit}`;
}

/** How a task stands. A delay holds no worker: it waits, whatever its status is called. */
export function stateWords(task: TaskView, kind: string): string {
  if (task.status === 'running' && kind === 'delay') return 'Waiting';
  if (task.status === 'running' && kind === 'workflow') return 'Waiting for its run';
  return statusWords(task.status, task.outcome);
}

/** The same for where there is little room: how a task ended instead of that it did. */
export function shortStateWords(task: TaskView, kind: string): string {
  if (task.status !== 'completed' || !task.outcome || task.outcome === 'success')
    return stateWords(task, kind);
  const words = OUTCOME_WORDS[task.outcome];
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

export function loopEndWords(reason: string): string {
  return LOOP_ENDS[reason] ?? reason.replaceAll('_', ' ');
}

/** What happened, as the end of a sentence that begins with the task's label. */
export function eventWords(event: RunEvent, nameOf: (id: string) => string = (id) => id): string {
  const reason = text(event.data.reason);
  switch (event.type) {
    case 'run_status':
      return runSentence(event.to ?? '', reason, nameOf);
    case 'task_created':
      return text(event.data.parent)
        ? `was added by “${nameOf(String(event.data.parent))}”`
        : 'begins another iteration';
    case 'task_status':
      return statusSentence(event);
    case 'loop_taken':
      return `The loop goes round: pass ${String(event.data.passes ?? '')}`;
    case 'loop_ended':
      return `The loop ended: ${loopEndWords(reason ?? '')}`;
    case 'iteration_refused':
      return `asked for another iteration beyond its limit of ${String(event.data.limit ?? '')}`;
    case 'delay_started':
      return typeof event.data.due === 'number'
        ? `waits until ${clockTime(new Date(event.data.due * 1000).toISOString())}`
        : 'waits';
    case 'workflow_started':
      return `starts a run of the workflow ${String(event.data.workflow ?? '')}`;
    case 'notified':
      return noticeSentence(event);
    case 'convergence_unknown':
      return `could not be compared with the pass before: ${String(event.data.error ?? '')}`;
    case 'feedback_requested':
      return `asks: ${text(event.data.prompt) ?? 'for an answer'}`;
    case 'feedback_answered':
      return answerSentence(event);
    default:
      return event.type.replaceAll('_', ' ');
  }
}

/** True for events that speak of the run or a loop and not of one task. */
export function speaksForItself(event: RunEvent): boolean {
  return event.taskId === null || event.type === 'loop_taken' || event.type === 'loop_ended';
}

function runSentence(status: string, reason: string | null, nameOf: (id: string) => string): string {
  const failure = reason === null ? null : failureOf(reason);
  // The event before it tells what went wrong; saying it again would only look like a second failure.
  if (status === 'failed' && failure?.taskId)
    return `The run failed, because “${nameOf(failure.taskId)}” failed`;
  const words = `The run is now: ${runWords(status).toLowerCase()}`;
  return failure ? `${words} (${failure.words})` : words;
}

function noticeSentence(event: RunEvent): string {
  const to = list(event.data.to).map(String);
  const hook = text(event.data.webhook);
  return `tells ${[...to, ...(hook ? [`the webhook ${hook}`] : [])].join(', ')}`;
}

function statusSentence(event: RunEvent): string {
  if (event.to === 'completed') return ENDS[String(event.data.outcome)] ?? 'is done';
  const error = text(event.data.error);
  const words = MOVES[event.to ?? ''] ?? String(event.to);
  return event.to === 'error' && error ? `${words}: ${error.split('\n')[0]}` : words;
}

function answerSentence(event: RunEvent): string {
  const who = text(event.data.actor) ?? 'Somebody';
  const decision = DECISIONS[String(event.data.decision)] ?? String(event.data.decision ?? 'answered');
  const reason = text(event.data.reason);
  return `was ${decision} by ${who === 'system' ? 'its deadline' : who}${reason ? `: ${reason}` : ''}`;
}
