/* Talking to the REST API with the page's session. Refusals become `Refused`, with the server's own words. */

import { type Json, list, record, text } from '../live/parse';

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    /** Everything the server said: who won a conflict, which fields do not fit. */
    readonly body: Json,
  ) {
    super(detail);
  }

  /** What is wrong by field path. */
  get fields(): ReadonlyMap<string, string> {
    return new Map(
      list(this.body.errors).map((raw) => [
        String(record(raw).path ?? ''),
        String(record(raw).message ?? ''),
      ]),
    );
  }
}

/** The server could not be reached: nothing was sent, or nobody knows whether it arrived. */
export class Unreachable extends Error {}

export async function getJson(url: string): Promise<Json> {
  return call(url, { headers: { Accept: 'application/json' } });
}

/** A POST that creates or decides; sent again with the same key it does nothing twice. */
export async function postJson(url: string, body: unknown, key: string = newKey()): Promise<Json> {
  return call(url, {
    method: 'POST',
    headers: {
      Accept: 'application/json',
      'Content-Type': 'application/json',
      'X-CSRFToken': csrfToken(),
      'Idempotency-Key': key,
    },
    body: JSON.stringify(body),
  });
}

export function newKey(): string {
  // randomUUID exists in secure contexts only; a site on plain http in a local network is none.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? '';
}

export function pageData(): Json {
  const element = document.getElementById('page-data');
  return record(JSON.parse(element?.textContent ?? '{}'));
}

async function call(url: string, init: RequestInit): Promise<Json> {
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, credentials: 'same-origin' });
  } catch {
    throw new Unreachable('The server cannot be reached right now.');
  }
  const body = record(await answer.json().catch(() => ({})));
  if (answer.ok) return body;
  const detail = text(body.detail) ?? `The server answered with status ${answer.status}.`;
  throw new Refused(answer.status, text(body.code) ?? '', detail, body);
}
