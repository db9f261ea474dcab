import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { changeNode } from '../graph/edits';
import { keepDraft } from './draft';
import { createEditor } from './editor';

const DOCUMENT = {
  schema: 'graflow/1',
  name: 'Test',
  tasks: [{ id: 'a', uses: 'demo.a' }],
  edges: [],
  layout: { a: { x: 0, y: 0 } },
};

/** A server with one draft: it refuses saves that are not based on its revision. */
function serve(document: object = DOCUMENT) {
  const server = { document, revision: 1, saves: 0, isDown: false };
  vi.stubGlobal('fetch', async (address: string, options: RequestInit) => {
    if (server.isDown) throw new TypeError('failed');
    const answer = (status: number, body: object) => new Response(JSON.stringify(body), { status });
    if (address.endsWith('validate/')) return answer(200, { problems: [] });
    if (options.method === 'PATCH') {
      const base = Number((options.headers as Record<string, string>)['If-Match']);
      if (base !== server.revision) return answer(412, { code: 'stale_draft', detail: 'stale' });
      server.document = (JSON.parse(String(options.body)) as { document: object }).document;
      server.revision += 1;
      server.saves += 1;
    }
    return answer(200, { id: 'w', document: server.document, draft_revision: server.revision });
  });
  return server;
}

function open(server: ReturnType<typeof serve>) {
  const workflow = {
    id: 'w',
    name: 'T',
    slug: 't',
    document: server.document,
    draft_revision: server.revision,
    latest_version: null,
  };
  const editor = createEditor({ workflow: workflow as never, can: { edit: true, publish: true, run: true } });
  const draft = keepDraft(editor);
  const close = draft.start();
  const label = (text: string) =>
    editor.run(changeNode(editor.store.getState().graph, 'a', { label: text }, 'label'));
  const shown = () => editor.store.getState().graph.nodes[0]?.fields.label;
  return { editor, draft, close, label, shown, state: () => editor.store.getState().saving.state };
}

const labelOn = (server: { document: object }) =>
  (server.document as typeof DOCUMENT & { tasks: { label?: string }[] }).tasks[0]?.label;

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('an edit is on the server within two seconds, even while typing goes on', async () => {
  const server = serve();
  const page = open(server);
  for (let typed = 0; typed < 12; typed += 1) {
    page.label(`Draft ${typed}`);
    await vi.advanceTimersByTimeAsync(200);
  }
  expect(server.saves).toBeGreaterThan(0);
  await vi.advanceTimersByTimeAsync(2_000);
  expect([labelOn(server), page.state()]).toEqual(['Draft 11', 'saved']);
  page.close();
});

test('an edit that was undone needs no save', async () => {
  const server = serve();
  const page = open(server);
  page.label('Draft');
  page.editor.undo();
  await vi.advanceTimersByTimeAsync(3_000);
  expect([server.saves, page.state()]).toEqual([0, 'saved']);
  page.close();
});

test('work survives a crash before the first save', async () => {
  const server = serve();
  open(server).label('Not yet sent');
  vi.clearAllTimers();
  const again = open(server);
  expect(again.shown()).toBe('Not yet sent');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(labelOn(server)).toBe('Not yet sent');
  again.close();
});

test('a server that is away gets the work when it is back', async () => {
  const server = serve();
  const page = open(server);
  server.isDown = true;
  page.label('Kept');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(page.state()).toBe('offline');
  server.isDown = false;
  await vi.advanceTimersByTimeAsync(8_000);
  expect([labelOn(server), page.state()]).toEqual(['Kept', 'saved']);
  page.close();
});

test('a newer draft of somebody else is not overwritten unasked; mine may win when asked', async () => {
  const server = serve();
  const [mine, theirs] = [open(server), open(server)];
  theirs.label('Theirs');
  await vi.advanceTimersByTimeAsync(2_000);
  mine.label('Mine');
  await vi.advanceTimersByTimeAsync(2_000);
  expect([labelOn(server), mine.state()]).toEqual(['Theirs', 'conflict']);
  const dialog = mine.editor.store.getState().dialog;
  if (dialog?.type !== 'conflict') throw new Error('no dialog was opened');
  mine.draft.overwrite(dialog.theirs);
  await vi.advanceTimersByTimeAsync(2_000);
  expect([labelOn(server), mine.state()]).toEqual(['Mine', 'saved']);
  mine.close();
  theirs.close();
});

test('taking theirs shows their draft and goes on from it', async () => {
  const server = serve();
  const [mine, theirs] = [open(server), open(server)];
  theirs.label('Theirs');
  await vi.advanceTimersByTimeAsync(2_000);
  mine.label('Mine');
  await vi.advanceTimersByTimeAsync(2_000);
  const dialog = mine.editor.store.getState().dialog;
  if (dialog?.type !== 'conflict') throw new Error('no dialog was opened');
  mine.draft.take(dialog.theirs);
  expect(mine.shown()).toBe('Theirs');
  mine.label('After theirs');
  await vi.advanceTimersByTimeAsync(2_000);
  expect([labelOn(server), mine.state()]).toEqual(['After theirs', 'saved']);
  mine.close();
  theirs.close();
});

test('local work based on an older draft is offered, not sent', async () => {
  const server = serve();
  open(server).label('Old work');
  vi.clearAllTimers();
  server.revision = 5;
  server.document = { ...DOCUMENT, tasks: [{ id: 'a', uses: 'demo.a', label: 'Newer' }] };
  const again = open(server);
  await vi.advanceTimersByTimeAsync(3_000);
  expect([again.state(), labelOn(server)]).toEqual(['conflict', 'Newer']);
  again.close();
});
