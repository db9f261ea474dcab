/* The eleven statuses of a task and the nine of a run: icon, word, outcome mark. Colour comes from the tokens. */

import {
  Ban,
  Check,
  CheckCheck,
  CircleCheck,
  CircleDashed,
  CircleStop,
  Hand,
  LoaderCircle,
  Lock,
  type LucideIcon,
  OctagonX,
  Pause,
  RefreshCw,
  SkipForward,
  ThumbsDown,
  Timer,
} from 'lucide-react';
import type { Outcome, TaskStatus } from '../live/types';

export const TASK_WORDS: Record<TaskStatus, string> = {
  blocked: 'Blocked',
  ready: 'Ready',
  running: 'Running',
  planned: 'Planned',
  feedback_required: 'Waiting for a person',
  rejected: 'Rejected',
  success: 'Success',
  error: 'Error',
  retry_waiting: 'Waiting to retry',
  skipped: 'Skipped',
  completed: 'Completed',
};

const TASK_ICONS: Record<TaskStatus, LucideIcon> = {
  blocked: Lock,
  ready: CircleDashed,
  running: LoaderCircle,
  planned: RefreshCw,
  feedback_required: Hand,
  rejected: ThumbsDown,
  success: Check,
  error: OctagonX,
  retry_waiting: Timer,
  skipped: SkipForward,
  completed: CheckCheck,
};

export const OUTCOME_WORDS: Record<Outcome, string> = {
  success: 'succeeded',
  error: 'failed',
  rejected: 'rejected',
  skipped: 'skipped',
  cancelled: 'cancelled',
};

const OUTCOME_ICONS: Record<Outcome, LucideIcon> = {
  success: Check,
  error: OctagonX,
  rejected: ThumbsDown,
  skipped: SkipForward,
  cancelled: Ban,
};

const RUN_WORDS: Record<string, string> = {
  pending: 'Pending',
  running: 'Running',
  waiting: 'Waiting for a person',
  paused: 'Paused',
  stopping: 'Stopping',
  succeeded: 'Succeeded',
  failed: 'Failed',
  rejected: 'Rejected',
  stopped: 'Stopped',
};

const RUN_ICONS: Record<string, LucideIcon> = {
  pending: CircleDashed,
  running: LoaderCircle,
  waiting: Hand,
  paused: Pause,
  stopping: Timer,
  succeeded: CircleCheck,
  failed: OctagonX,
  rejected: ThumbsDown,
  stopped: CircleStop,
};

export function runWords(status: string): string {
  return RUN_WORDS[status] ?? status;
}

export function TaskIcon({ status }: { status: TaskStatus }) {
  const Icon = TASK_ICONS[status];
  return <Icon className="icon" aria-hidden="true" />;
}

interface TaskStatusChipProps {
  status: TaskStatus;
  outcome: Outcome | null;
  words?: string;
}

export function TaskStatusChip({ status, outcome, words }: TaskStatusChipProps) {
  const Mark = status === 'completed' && outcome && outcome !== 'success' ? OUTCOME_ICONS[outcome] : null;
  return (
    <span className="status" data-status={status} data-outcome={outcome ?? undefined}>
      {Mark ? <Mark className="icon" aria-hidden="true" /> : <TaskIcon status={status} />}
      {words ?? statusWords(status, outcome)}
    </span>
  );
}

export function RunStatusChip({ status }: { status: string }) {
  const Icon = RUN_ICONS[status] ?? CircleDashed;
  return (
    <span className="status" data-status={status}>
      <Icon className="icon" aria-hidden="true" />
      {runWords(status)}
    </span>
  );
}

export function OutcomeMark({ outcome }: { outcome: Outcome }) {
  const Icon = OUTCOME_ICONS[outcome];
  return (
    <span className="outcome" data-outcome={outcome} title={`Outcome: ${OUTCOME_WORDS[outcome]}`}>
      <Icon className="icon" aria-hidden="true" />
    </span>
  );
}

/** "Completed, rejected": a completed task always says how. */
export function statusWords(status: TaskStatus, outcome: Outcome | null): string {
  if (status !== 'completed' || outcome === null || outcome === 'success') return TASK_WORDS[status];
  return `${TASK_WORDS[status]}, ${OUTCOME_WORDS[outcome]}`;
}
