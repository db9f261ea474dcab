import { describe, expect, test } from 'vitest';
import type { Workflow } from '../api/client';
import { createEditor } from './editor';

const CAN = { edit: true, publish: true, run: true };

function workflow(document: object = {}): Workflow {
  const base = { schema: 'graflow/1', name: 'Test', tasks: [], edges: [], groups: [], layout: {} };
  return {
    id: 'w',
    name: 'Test',
    slug: 'test',
    document: { ...base, ...document },
    draft_revision: 1,
    latest_version: null,
  };
}

const LINE = {
  tasks: [
    { id: 'a', uses: 'demo.a' },
    { id: 'b', kind: 'approval' },
  ],
  edges: [{ source: 'a', target: 'b' }],
  layout: { a: { x: 0, y: 0 }, b: { x: 320, y: 0 } },
};

describe('the editor', () => {
  test('adds a step after the selected one, joined to it, as one undo step', () => {
    const editor = createEditor({ workflow: workflow(LINE), can: CAN });
    const before = editor.text();
    const id = editor.add({ kind: 'text', label: 'Why' }, { from: 'b' });
    const { graph, selection } = editor.store.getState();
    expect([id, [...selection], graph.edges.at(-1)?.source]).toEqual(['why', ['why'], 'b']);
    editor.undo();
    expect(editor.text()).toBe(before);
  });

  test('a wire drawn backwards asks for its bound and exit', () => {
    const editor = createEditor({ workflow: workflow(LINE), can: CAN });
    const edge = editor.connect('b', 'a');
    expect(editor.store.getState().dialog).toEqual({ type: 'loop', edge });
  });

  test('says why it refuses', () => {
    const editor = createEditor({ workflow: workflow(LINE), can: CAN });
    editor.connect('a', 'b');
    expect(editor.store.getState().message).toMatchObject({ text: 'a already leads to b.', tone: 'refusal' });
  });

  test('changes nothing for people who may only look', () => {
    const editor = createEditor({ workflow: workflow(LINE), can: { ...CAN, edit: false } });
    const before = editor.text();
    editor.add({ kind: 'text', label: 'Why' });
    editor.select(['a']);
    editor.removeSelected();
    expect(editor.text()).toBe(before);
    expect(editor.store.getState().message.tone).toBe('refusal');
  });

  test('lays a workflow out that came without places, and that is no change', () => {
    const editor = createEditor({ workflow: workflow({ ...LINE, layout: {} }), can: CAN });
    expect(editor.store.getState().graph.places).toHaveLength(2);
    expect(editor.store.getState().history.past).toEqual([]);
  });

  test('keeps what the server found at its step while the step moves in the list', () => {
    const editor = createEditor({ workflow: workflow(LINE), can: CAN });
    editor.setServerProblems([
      { code: 'bad_expression', message: 'no', path: 'tasks[1].data', severity: 'error' },
    ]);
    editor.select(['a']);
    editor.removeSelected();
    const found = editor.store.getState().problems.find((problem) => problem.code === 'bad_expression');
    expect(found?.target).toEqual({ kind: 'node', id: 'b', field: 'data' });
  });
});
