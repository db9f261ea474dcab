import { afterEach, expect, test, vi } from 'vitest';
import { send } from './answering';
import { parseItem } from './model';

const item = parseItem({ id: 'one', payload_hash: 'abc', state: 'open', kind: 'approval' });
const calls: { key: string; body: Record<string, unknown> }[] = [];

function answerWith(status: number, body: unknown): void {
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    calls.push({ key: headers['Idempotency-Key'] ?? '', body: JSON.parse(String(init.body)) });
    if (status === 0) throw new TypeError('no network');
    return new Response(JSON.stringify(body), { status });
  });
}

afterEach(() => {
  calls.length = 0;
  vi.unstubAllGlobals();
});

test('a decision binds to what was seen', async () => {
  answerWith(200, { id: 'one', state: 'answered', decision: { decision: 'approve', by: 'ann' } });
  const outcome = await send(item, { decision: 'approve' });
  expect(outcome.kind).toBe('taken');
  expect(calls[0]?.body).toMatchObject({ decision: 'approve', payload_hash: 'abc' });
});

test('sending again after a lost connection uses the same key', async () => {
  answerWith(0, null);
  expect((await send(item, { decision: 'reject', reason: 'no' })).kind).toBe('unsent');
  answerWith(200, { id: 'one' });
  await send(item, { decision: 'reject', reason: 'no' });
  expect(calls[0]?.key).toBe(calls[1]?.key);
});

test.each([
  [
    409,
    { code: 'already_decided', winner: 'rita', decision: 'approve' },
    'over',
    'rita was quicker and approved this',
  ],
  [409, { code: 'payload_changed' }, 'changed', 'The content changed'],
  [410, { code: 'feedback_closed' }, 'over', 'The run closed this request'],
  [403, { code: 'forbidden', detail: 'You may not.' }, 'refused', 'You may not.'],
  [500, {}, 'unsent', 'send it again'],
])('status %i %j is told as "%s"', async (status, body, kind, words) => {
  answerWith(status, body);
  const outcome = await send(item, { decision: 'approve' });
  expect(outcome.kind).toBe(kind);
  expect('words' in outcome ? outcome.words : '').toContain(words);
});

test('errors of a form are told at their fields', async () => {
  answerWith(422, { detail: 'does not fit', errors: [{ path: 'value.n', message: 'is too small' }] });
  const outcome = await send(item, { decision: 'answer', value: {} });
  expect(outcome.kind === 'invalid' && outcome.fields.get('value.n')).toBe('is too small');
});
