/* The islands' way to the REST interface: what is refused is thrown, with the server's own words. */

import { type ApiProblem, newKey, OFFLINE, type Result, request } from '../api/http';
import { type Json, record } from '../live/parse';

export { newKey };

export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  /** What the server knows beside its words, such as who won a conflict. */
  readonly more: Json;
  /** What is wrong by field path. */
  readonly fields: ReadonlyMap<string, string>;

  constructor(problem: ApiProblem) {
    super(problem.detail || problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.more = problem.more;
    this.fields = new Map(problem.errors.map((error) => [error.path ?? '', error.message]));
  }
}

/** The server could not be reached: nothing was sent, or nobody knows whether it arrived. */
export class Unreachable extends Error {}

/** `path` is relative to /api/v1/. */
export async function getJson(path: string): Promise<Json> {
  return opened(await request<unknown>('GET', path));
}

/** A POST that creates or decides; sent again with the same key it does nothing twice. */
export async function postJson(path: string, body: unknown, key: string = newKey()): Promise<Json> {
  return opened(await request<unknown>('POST', path, { body, idempotencyKey: key }));
}

/** The first data of the page, as the server wrote it into it. */
export function pageData(): Json {
  const element = document.getElementById('page-data');
  return record(JSON.parse(element?.textContent ?? '{}'));
}

function opened(result: Result<unknown>): Json {
  if (result.ok) return record(result.value);
  if (result.problem.status === OFFLINE) throw new Unreachable('The server cannot be reached right now.');
  throw new Refused(result.problem);
}
