/* Sentences for events and loops. */

import { text } from '../live/parse';
import type { RunEvent } from '../live/types';
import { runWords } from '../ui/status';

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

export function loopEndWords(reason: string): string {
  return LOOP_ENDS[reason] ?? reason.replaceAll('_', ' ');
}

/** What happened, as the end of a sentence that begins with the task's label. */
export function eventWords(event: RunEvent): string {
  const reason = text(event.data.reason);
  switch (event.type) {
    case 'run_status':
      return `The run is now: ${runWords(event.to ?? '').toLowerCase()}${reason ? ` (${reason.replaceAll('_', ' ')})` : ''}`;
    case 'task_created':
      return text(event.data.parent)
        ? `was added by ${String(event.data.parent)}`
        : 'begins another iteration';
    case 'task_status':
      return statusSentence(event);
    case 'loop_taken':
      return `The loop goes round: pass ${String(event.data.passes ?? '')}`;
    case 'loop_ended':
      return `The loop ended: ${loopEndWords(reason ?? '')}`;
    case 'iteration_refused':
      return `asked for another iteration beyond its limit of ${String(event.data.limit ?? '')}`;
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
