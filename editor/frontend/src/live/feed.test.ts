import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Feed, type FeedChange, followRun } from './feed';
import { parseEvent, parseRun } from './parse';
import type { RunEvent, RunState } from './types';

class FakeSocket {
  static readonly OPEN = 1;
  static readonly CLOSED = 3;
  static all: FakeSocket[] = [];
  readyState = FakeSocket.OPEN;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {}
  say(frame: unknown): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  drop(code = 1006): void {
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.({ code });
  }
}

const raw = (seq: number, to: string) => ({
  seq,
  type: 'task_status',
  task_id: 'a',
  to,
  iteration: 1,
  attempt: 1,
  at: seq,
});
const frame = (...events: ReturnType<typeof raw>[]) => ({ type: 'events', run: 'r', events });

let feed: Feed;
let changes: FeedChange[];
let stored: RunEvent[];
let snapshot: RunState;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
  FakeSocket.all = [];
  changes = [];
  stored = [];
  snapshot = parseRun({ status: 'running', seq: 2, tasks: [{ id: 'a' }] });
  const source = {
    snapshot: async () => snapshot,
    eventsAfter: async (after: number) => stored.filter((event) => event.seq > after),
  };
  feed = followRun(
    'r',
    snapshot,
    source,
    (change) => changes.push(change),
    () => undefined,
  );
});

afterEach(() => {
  feed.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const socket = (): FakeSocket => FakeSocket.all.at(-1) as FakeSocket;
const status = () => changes.at(-1)?.state.tasks.get('a')?.status;

test('it asks for what follows the snapshot', () => {
  expect(socket().url).toContain('/ws/runs/r/?after=2');
});

test('a burst of frames is told once, with the latest state', async () => {
  socket().say(frame(raw(3, 'ready')));
  socket().say(frame(raw(4, 'running')));
  await vi.advanceTimersByTimeAsync(200);
  expect(changes).toHaveLength(1);
  expect(status()).toBe('running');
});

test('what was applied is acknowledged', async () => {
  socket().say(frame(raw(3, 'ready')));
  await vi.advanceTimersByTimeAsync(300);
  expect(socket().sent).toContainEqual({ ack: 3 });
});

test('after a gap it asks again from where it stands and shows nothing wrong meanwhile', async () => {
  socket().say(frame(raw(5, 'error')));
  await vi.advanceTimersByTimeAsync(100);
  expect(changes).toHaveLength(0);
  expect(socket().sent).toContainEqual({ after: 2 });
});

test('a reload replaces the state and goes on from its seq', async () => {
  snapshot = parseRun({ status: 'running', seq: 40, tasks: [{ id: 'a', status: 'completed' }] });
  socket().say({ type: 'reload' });
  await vi.advanceTimersByTimeAsync(100);
  expect(status()).toBe('completed');
  expect(socket().sent).toContainEqual({ after: 40 });
});

test('while the socket is away the events are fetched, and it comes back with the last seq', async () => {
  socket().drop();
  stored = [raw(3, 'ready'), raw(4, 'running')].map(parseEvent);
  await vi.advanceTimersByTimeAsync(2_500);
  expect(status()).toBe('running');
  expect(FakeSocket.all.length).toBeGreaterThan(1);
  socket().drop();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(socket().url).toContain('after=4');
});

test('a refused socket is not tried again', async () => {
  socket().drop(4404);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all).toHaveLength(1);
});
