/* A request as the inbox shows it. */

import { type Json, list, record, text, whole } from '../live/parse';

export type Decision = 'approve' | 'reject' | 'skip' | 'answer';

export interface Decided {
  readonly decision: string;
  readonly by: string;
  readonly at: string;
  readonly reason: string | null;
  readonly value: unknown;
}

export interface Item {
  readonly id: string;
  readonly run: string;
  readonly workflow: string;
  readonly workflowName: string;
  readonly workflowVersion: number;
  readonly taskId: string;
  readonly label: string;
  readonly iteration: number;
  readonly kind: string;
  readonly prompt: string;
  readonly data: unknown;
  readonly payloadHash: string;
  readonly state: string;
  readonly options: readonly string[];
  readonly schema: Json | null;
  readonly assignees: Json;
  readonly requestedBy: string;
  readonly onTimeout: string;
  readonly createdAt: string;
  readonly dueAt: string | null;
  readonly decided: Decided | null;
}

export function parseItem(value: unknown): Item {
  const raw = record(value);
  const decision = record(raw.decision);
  return {
    id: String(raw.id ?? ''),
    run: String(raw.run ?? ''),
    workflow: String(raw.workflow ?? ''),
    workflowName: String(raw.workflow_name ?? ''),
    workflowVersion: whole(raw.workflow_version, 1),
    taskId: String(raw.task_id ?? ''),
    label: text(raw.label) ?? String(raw.task_id ?? ''),
    iteration: whole(raw.iteration, 1),
    kind: String(raw.kind ?? 'approval'),
    prompt: String(raw.prompt ?? ''),
    data: raw.data,
    payloadHash: String(raw.payload_hash ?? ''),
    state: String(raw.state ?? 'open'),
    options: list(raw.options).map(String),
    schema: raw.schema ? record(raw.schema) : null,
    assignees: record(raw.assignees),
    requestedBy: String(raw.requested_by ?? ''),
    onTimeout: String(raw.on_timeout ?? ''),
    createdAt: String(raw.created_at ?? ''),
    dueAt: text(raw.due_at),
    decided: decision.decision
      ? {
          decision: String(decision.decision),
          by: String(decision.by ?? ''),
          at: String(decision.at ?? ''),
          reason: text(decision.reason),
          value: decision.value,
        }
      : null,
  };
}

export const DECISION_WORDS: Record<string, string> = {
  approve: 'Approved',
  answer: 'Answered',
  reject: 'Rejected',
  skip: 'Skipped',
  expire: 'Expired',
};

/** How a request ended, in a word; null while it is open. Nobody decided one that was withdrawn with its run. */
export function endWords(item: Item): string | null {
  if (item.decided) return DECISION_WORDS[item.decided.decision] ?? item.decided.decision;
  return item.state === 'open' ? null : item.state.charAt(0).toUpperCase() + item.state.slice(1);
}

const KIND_WORDS: Record<string, string> = {
  approval: 'Approval',
  text: 'Text',
  choice: 'Choice',
  multi_choice: 'Several choices',
  form: 'Form',
};

export function kindWords(kind: string): string {
  return KIND_WORDS[kind] ?? kind;
}

const ON_TIMEOUT: Record<string, string> = {
  approve: 'it then counts as approved',
  reject: 'it then counts as rejected',
  skip: 'the task is then skipped',
  error: 'the task then fails',
  wait: 'it goes on waiting',
};

export function deadlineWords(item: Item): string {
  return ON_TIMEOUT[item.onTimeout] ?? '';
}

/** Who may answer, in words. */
export function eligibleWords(item: Item): string {
  const names = [
    ...list(item.assignees.users).map(String),
    ...list(item.assignees.groups).map((group) => `group ${String(group)}`),
  ];
  return names.length ? names.join(', ') : 'every reviewer';
}

/** One line of what the request is about, for the list. */
export function excerpt(value: unknown, length = 110): string {
  const line = flat(value, 0).replace(/\s+/g, ' ').trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

function flat(value: unknown, depth: number): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value.slice(0, 400);
  if (typeof value !== 'object') return String(value);
  if (depth > 2) return '…';
  const isList = Array.isArray(value);
  return Object.entries(value)
    .filter(([, inner]) => !isBlank(inner))
    .slice(0, 4)
    .map(([key, inner]) => (isList ? flat(inner, depth + 1) : `${key}: ${flat(inner, depth + 1)}`))
    .join(', ');
}

function isBlank(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** The item that follows `id`, or the one before it at the end; null when nothing is left. */
export function nextAfter(items: readonly Item[], id: string): Item | null {
  const index = items.findIndex((item) => item.id === id);
  return items[index + 1] ?? items[index - 1] ?? null;
}
