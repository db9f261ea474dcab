import { afterEach, expect, test, vi } from 'vitest';
import { runs, workflows } from './client';
import { OFFLINE, query } from './http';

afterEach(() => {
  vi.unstubAllGlobals();
  document.head.innerHTML = '';
});

function answer(status: number, body: unknown) {
  const fetched = vi.fn(
    async (_address: string, _options: RequestInit) => new Response(JSON.stringify(body), { status }),
  );
  vi.stubGlobal('fetch', fetched);
  return fetched;
}

test('a save carries the revision it is based on and the token against forged requests', async () => {
  const meta = document.createElement('meta');
  meta.name = 'csrf-token';
  meta.content = 'token';
  document.head.append(meta);
  const fetched = answer(200, { draft_revision: 8 });
  const saved = await workflows.saveDraft('w 1', { document: {} }, 7);
  const [address, options] = fetched.mock.calls[0] ?? [];
  expect(address).toBe('/api/v1/workflows/w%201/');
  expect(options?.headers).toMatchObject({ 'If-Match': '7', 'X-CSRFToken': 'token' });
  expect(saved).toMatchObject({ ok: true, value: { draft_revision: 8 } });
});

test('a refusal comes back as a value with what the server knows beside', async () => {
  answer(412, {
    type: 'about:blank',
    title: 'Precondition Failed',
    status: 412,
    detail: 'stale',
    code: 'stale_draft',
    errors: [],
    current: 9,
  });
  const saved = await workflows.saveDraft('w', { document: {} }, 7);
  expect(saved).toEqual({
    ok: false,
    problem: {
      status: 412,
      code: 'stale_draft',
      title: 'Precondition Failed',
      detail: 'stale',
      errors: [],
      more: { current: 9 },
    },
  });
});

test('a server that does not answer is a value too', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed')));
  expect(await runs.get('r')).toMatchObject({ ok: false, problem: { status: OFFLINE, code: 'offline' } });
});

test('the same intention sent twice carries the same key', async () => {
  const fetched = answer(201, {});
  await runs.start({ workflow: 'w', inputs: {} }, 'key');
  await runs.start({ workflow: 'w', inputs: {} }, 'key');
  const keys = fetched.mock.calls.map(
    ([, options]) => (options.headers as Record<string, string>)['Idempotency-Key'],
  );
  expect(keys).toEqual(['key', 'key']);
});

test('empty filters are left out of an address', () => {
  expect(query({ q: '', limit: 5, cursor: undefined })).toBe('?limit=5');
  expect(query({})).toBe('');
});
