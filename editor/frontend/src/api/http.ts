/* Requests to the site's own REST interface. A refusal is a value, not an exception: callers must look at it.

   The only place that calls fetch. */

export type FieldError = { readonly path: string; readonly code: string; readonly message: string };

/** RFC 9457 as the server sends it; `more` holds what else it knows, such as the current revision. */
export type ApiProblem = {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  readonly more: Readonly<Record<string, unknown>>;
};

export type Result<T> =
  | { readonly ok: true; readonly value: T; readonly status: number }
  | { readonly ok: false; readonly problem: ApiProblem };

export type RequestOptions = {
  readonly body?: unknown;
  /** The draft revision the change is based on. */
  readonly ifMatch?: number | undefined;
  /** Repeating a request with the same key does its work once. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Let the request outlive the page, for the last save. */
  readonly keepalive?: boolean;
};

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

/** Status of a problem that never reached the server. */
export const OFFLINE = 0;
const BASE = '/api/v1/';

/** `path` is relative to /api/v1/. `T` is a promise about the server's answer; parse where it matters. */
export async function request<T>(
  method: Method,
  path: string,
  options: RequestOptions = {},
): Promise<Result<T>> {
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      credentials: 'same-origin',
      headers: headersOf(method, options),
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.keepalive ? { keepalive: true } : {}),
    });
  } catch (error) {
    return { ok: false, problem: unreachable(error) };
  }
  const body = await bodyOf(response);
  if (response.ok) return { ok: true, value: body as T, status: response.status };
  return { ok: false, problem: problemOf(response, body) };
}

/** A key for one intention of a person, however often its request is sent. */
export function newKey(): string {
  // randomUUID is missing on pages served over plain http from another machine.
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

export function query(values: Readonly<Record<string, string | number | undefined>>): string {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== '');
  if (pairs.length === 0) return '';
  return `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}`;
}

/** One line for a person: what was refused and why. */
export function problemText(problem: ApiProblem): string {
  return problem.detail || problem.title;
}

function headersOf(method: Method, options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = { Accept: 'application/json, application/problem+json' };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['X-CSRFToken'] = csrfToken();
  if (options.ifMatch !== undefined) headers['If-Match'] = String(options.ifMatch);
  if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey;
  return headers;
}

/** The cookie is newer than the page after signing in elsewhere, so it is asked first. */
function csrfToken(): string {
  const cookie = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  const meta = document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content;
  return decodeURIComponent(cookie ?? meta ?? '');
}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function unreachable(error: unknown): ApiProblem {
  const isAbort = error instanceof DOMException && error.name === 'AbortError';
  return {
    status: OFFLINE,
    code: isAbort ? 'aborted' : 'offline',
    title: 'No connection',
    detail: 'The server cannot be reached. Your work is kept here and sent when it answers again.',
    errors: [],
    more: {},
  };
}

function problemOf(response: Response, body: unknown): ApiProblem {
  const known = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  const { type: _, title, status: _status, detail, code, errors, ...more } = known;
  return {
    status: response.status,
    code: typeof code === 'string' ? code : 'error',
    title: typeof title === 'string' ? title : response.statusText || 'The server refused',
    detail: typeof detail === 'string' ? detail : '',
    errors: Array.isArray(errors) ? errors.filter(isFieldError) : [],
    more,
  };
}

function isFieldError(value: unknown): value is FieldError {
  return typeof value === 'object' && value !== null && 'message' in value;
}
