/* The calls of the REST interface by name, with the shapes of their answers. */

import { newKey, query, type Result, request } from './http';

export type JsonObject = Readonly<Record<string, unknown>>;
export type JsonSchema = JsonObject;

export type Workflow = {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  readonly document: JsonObject;
  readonly draft_revision: number;
  readonly latest_version: number | null;
  readonly updated_at?: string;
  readonly updated_by?: string;
};

export type Version = {
  readonly workflow: string;
  readonly number: number;
  readonly note: string;
  readonly document: JsonObject;
  readonly published_at: string;
  readonly published_by: string;
};

export type DefinitionProblem = { readonly code: string; readonly message: string; readonly path: string };

export type CatalogueTask = {
  readonly name: string;
  readonly doc: string;
  readonly module: string;
  readonly parameters: JsonSchema;
  readonly defaults: JsonObject;
};

export type CatalogueKind = { readonly kind: string; readonly label: string; readonly doc: string };
export type Catalogue = {
  readonly results: readonly CatalogueTask[];
  readonly kinds: readonly CatalogueKind[];
};

export type RunSummary = {
  readonly id: string;
  readonly workflow: string;
  readonly version: number;
  readonly status: string;
  readonly seq: number;
};

export type Listed<T> = { readonly results: readonly T[]; readonly next: string | null };

export type Decision = 'approve' | 'reject' | 'skip' | 'answer';
export type Answer = {
  readonly decision: Decision;
  readonly value?: unknown;
  readonly data?: unknown;
  readonly reason?: string;
  readonly payload_hash?: string;
};

const at = (id: string) => encodeURIComponent(id);

export const workflows = {
  list: (limit = 200): Promise<Result<Listed<Workflow>>> => request('GET', `workflows/${query({ limit })}`),
  get: (id: string): Promise<Result<Workflow>> => request('GET', `workflows/${at(id)}/`),
  saveDraft: (
    id: string,
    draft: { readonly document: JsonObject; readonly name?: string | undefined },
    baseRevision: number,
    keepalive = false,
  ): Promise<Result<Workflow>> =>
    request('PATCH', `workflows/${at(id)}/`, { body: draft, ifMatch: baseRevision, keepalive }),
  validate: (
    document: JsonObject,
    signal?: AbortSignal,
  ): Promise<Result<{ readonly problems: readonly DefinitionProblem[] }>> =>
    request('POST', 'workflows/validate/', { body: { document }, signal }),
  publish: (id: string, note: string, baseRevision: number, key = newKey()): Promise<Result<Version>> =>
    request('POST', `workflows/${at(id)}/versions/`, {
      body: { note, base_revision: baseRevision },
      ifMatch: baseRevision,
      idempotencyKey: key,
    }),
  version: (id: string, number: number): Promise<Result<Version>> =>
    request('GET', `workflows/${at(id)}/versions/${number}/`),
  versions: (id: string, limit = 50): Promise<Result<Listed<Version>>> =>
    request('GET', `workflows/${at(id)}/versions/${query({ limit })}`),
};

export const tasks = {
  catalogue: (): Promise<Result<Catalogue>> => request('GET', 'tasks/'),
};

export const runs = {
  start: (
    start: { readonly workflow: string; readonly version?: number; readonly inputs: JsonObject },
    key = newKey(),
  ): Promise<Result<RunSummary>> => request('POST', 'runs/', { body: start, idempotencyKey: key }),
  get: (id: string): Promise<Result<JsonObject>> => request('GET', `runs/${at(id)}/`),
  events: (
    id: string,
    after: number,
    limit = 500,
  ): Promise<Result<{ readonly results: readonly JsonObject[]; readonly last_seq: number }>> =>
    request('GET', `runs/${at(id)}/events/${query({ after, limit })}`),
  task: (id: string, taskId: string): Promise<Result<JsonObject>> =>
    request('GET', `runs/${at(id)}/tasks/${at(taskId)}/`),
  stop: (id: string, reason?: string): Promise<Result<JsonObject>> =>
    request('POST', `runs/${at(id)}/stop/`, { body: reason ? { reason } : {} }),
  pause: (id: string): Promise<Result<JsonObject>> => request('POST', `runs/${at(id)}/pause/`),
  resume: (id: string): Promise<Result<JsonObject>> => request('POST', `runs/${at(id)}/resume/`),
  retry: (id: string, from = 'failed', key = newKey()): Promise<Result<JsonObject>> =>
    request('POST', `runs/${at(id)}/retry/`, { body: { from }, idempotencyKey: key }),
};

export const feedback = {
  list: (
    filter: Readonly<Record<string, string | number | undefined>> = {},
  ): Promise<Result<Listed<JsonObject>>> => request('GET', `feedback/${query(filter)}`),
  get: (id: string): Promise<Result<JsonObject>> => request('GET', `feedback/${at(id)}/`),
  answer: (id: string, answer: Answer, key = newKey()): Promise<Result<JsonObject>> =>
    request('POST', `feedback/${at(id)}/answer/`, { body: answer, idempotencyKey: key }),
};
