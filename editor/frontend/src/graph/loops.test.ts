import { describe, expect, test } from 'vitest';
import { type Document, type Graph, readDocument } from './document';
import { connect, tidyNodes } from './edits';
import { EMPTY_HISTORY, perform } from './history';
import { forwardArcs, tidy } from './layout';
import { analyse, boundReason, closesCycle, cycleOf } from './loops';
import { findProblems, mergeProblems, targetOf } from './problems';
import { search } from './search';

type Options = {
  tasks?: Record<string, object>;
  edges?: Record<string, object>;
  defaults?: object;
  groups?: object[];
};

/** `graph('a>b b>c c>a')`, with fields of tasks and edges by name. */
function graph(drawn: string, options: Options = {}): Graph {
  const edges = drawn.split(' ').filter((part) => part.includes('>'));
  const groups = (options.groups ?? []) as { id: string }[];
  const names = [...new Set(drawn.split(/[ >]/).filter(Boolean))].filter(
    (id) => !groups.some((group) => group.id === id),
  );
  return readDocument({
    schema: 'graflow/1',
    name: 'test',
    defaults: options.defaults ?? {},
    tasks: names.map((id) => ({ id, ...(id === 'x' ? {} : { uses: 'demo.step' }), ...options.tasks?.[id] })),
    edges: edges.map((edge) => {
      const [source, target] = edge.split('>');
      return { source, target, ...options.edges?.[edge] };
    }),
    groups,
  } as Document);
}

const loopsOf = (of: Graph) => [...analyse(of).loops.values()];
const codes = (of: Graph) => findProblems(of, analyse(of)).map((problem) => problem.code);

describe('loops', () => {
  test('an undeclared edge that closes a cycle is found from the starts in definition order', () => {
    const [loop, ...rest] = loopsOf(graph('a>b b>c c>b c>d'));
    expect([loop?.edge.source, loop?.edge.target, loop?.declared, rest]).toEqual(['c', 'b', false, []]);
  });

  test('the body is what lies on forward paths from the target to the source', () => {
    const [loop] = loopsOf(graph('s>a a>b a>c b>d c>d d>a d>e c>f', { edges: { 'd>a': { loop: true } } }));
    expect([...(loop?.body ?? [])].sort()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a loop to a group has its members as heads', () => {
    const drawn = graph('a>g g>d d>g b c', {
      groups: [{ id: 'g', members: ['b', 'c'] }],
      edges: { 'd>g': { loop: true } },
    });
    const [loop] = loopsOf(drawn);
    expect(loop?.heads).toEqual(['b', 'c']);
    expect([...(loop?.body ?? [])].sort()).toEqual(['b', 'c', 'd', 'g']);
  });

  test('a step of the body with a limit of its own binds its loop, but not the one around it', () => {
    const inner = { a: {}, b: {}, c: { max_cycle: 2 }, d: {} };
    const { loops } = analyse(graph('a>b b>c c>d c>b d>a', { tasks: inner, defaults: { max_cycle: 7 } }));
    expect([...loops.values()].map(({ edge, bound }) => [edge.source, bound.limit, bound.head])).toEqual([
      ['c', 2, 'c'],
      ['d', 7, 'a'],
    ]);
  });

  test('the bound says where it comes from: step, code, workflow, engine', () => {
    const bound = (options: Options, code?: number) =>
      [...analyse(graph('a>b b>a', options), () => code).loops.values()][0]?.bound;
    expect(bound({ tasks: { a: { max_cycle: 4 } }, defaults: { max_cycle: 7 } }, 5)).toMatchObject({
      limit: 4,
      from: 'step',
    });
    expect(bound({ defaults: { max_cycle: 7 } }, 5)).toMatchObject({ limit: 5, from: 'code' });
    expect(bound({ defaults: { max_cycle: 7 } })).toMatchObject({ limit: 7, from: 'workflow' });
    const engine = bound({});
    expect(engine).toMatchObject({ limit: 10, from: 'engine' });
    expect(engine && boundReason(engine)).toBe("10 executions, the engine's default");
  });

  test('the cycle of a step is exactly its strongly connected component', () => {
    expect([...cycleOf(graph('a>b b>c c>b c>d d>e e>d'), 'b')].sort()).toEqual(['b', 'c']);
  });

  test('a wire closes a cycle only when its start follows its end', () => {
    const drawn = graph('a>b b>c b>a', { edges: { 'b>a': { loop: true } } });
    expect(closesCycle(drawn, 'c', 'a')).toBe(true);
    expect(closesCycle(drawn, 'a', 'c')).toBe(false);
    expect(closesCycle(drawn, 'a', 'a')).toBe(true);
  });

  test('a wire drawn backwards becomes a loop edge; from an approval it is taken on rejection', () => {
    const drawn = connect(graph('a>r', { tasks: { r: { kind: 'approval' } } }), 'r', 'a');
    expect('edge' in drawn && drawn.edge.fields).toEqual({
      source: 'r',
      target: 'a',
      on: 'rejected',
      loop: true,
    });
  });

  test('a loop into the middle of a group is refused with the way out', () => {
    const drawn = graph('a>g g>d b c', { groups: [{ id: 'g', members: ['b', 'c'] }] });
    expect(connect(drawn, 'd', 'b')).toMatchObject({ refusal: expect.stringContaining('whole group') });
  });
});

describe('problems', () => {
  test('a sound graph has none', () => {
    expect(codes(graph('a>b b>c c>a', { edges: { 'c>a': { loop: true, when: 'c < 3' } } }))).toEqual([]);
  });

  test.each([
    ['dangling edge', graph('a>b', { edges: { 'a>b': { target: 'gone' } } }), 'unknown_task'],
    ['the same edge twice', graph('a>b a>b'), 'duplicate_edge'],
    ['unreachable ring', graph('a>b c>d d>c'), 'unreachable_task'],
    ['no limit, no end', graph('a>b b>a', { tasks: { a: { max_cycle: 0 } } }), 'endless_loop'],
    ['no exit but the bound', graph('a>b b>a'), 'loop_without_exit'],
    ['marked as no loop', graph('a>b b>a', { edges: { 'b>a': { loop: false } } }), 'cycle_not_allowed'],
    ['a loop that closes nothing', graph('a>b', { edges: { 'a>b': { loop: true } } }), 'loop_not_closing'],
    ['nothing to run', graph(''), 'no_tasks'],
    ['no function', graph('x'), 'missing_key'],
  ])('%s is found', (_, drawn, code) => {
    expect(codes(drawn)).toContain(code);
  });

  const step = (fields: Record<string, unknown>) =>
    readDocument({ schema: 'graflow/1', name: 'x', tasks: [{ id: 'x', ...fields }] });

  test.each([
    [{ kind: 'http' }, 'missing_key', 'tasks[0].url'],
    [{ kind: 'http', url: 'ftp://example.org' }, 'wrong_value', 'tasks[0].url'],
    [{ kind: 'http', url: 'https://' }, 'wrong_value', 'tasks[0].url'],
    [{ kind: 'http', url: { $: ' ' } }, 'bad_expression', 'tasks[0].url'],
    [{ kind: 'http', url: 'https://example.org', expect: [200, 999] }, 'wrong_value', 'tasks[0].expect'],
    [{ kind: 'workflow' }, 'missing_key', 'tasks[0].workflow'],
    [{ kind: 'notify', to: ['ada'] }, 'missing_key', 'tasks[0].message'],
    [{ kind: 'notify', message: 'Hello', to: [] }, 'missing_key', 'tasks[0].to'],
    [{ kind: 'delay' }, 'missing_key', 'tasks[0].seconds'],
    [{ kind: 'map', uses: 'demo.x' }, 'missing_key', 'tasks[0].items'],
    [{ kind: 'form' }, 'missing_key', 'tasks[0].schema'],
  ])('%j lacks something: %s', (fields, code, path) => {
    const drawn = step(fields);
    expect(findProblems(drawn, analyse(drawn)).map((found) => [found.code, found.path])).toEqual([
      [code, path],
    ]);
  });

  test.each([
    { kind: 'http', url: 'https://example.org/a', expect: [200, 404] },
    { kind: 'http', url: { $: 'inputs.address' }, method: 'POST', body: { a: 1 } },
    { kind: 'workflow', workflow: 'draft-and-review', inputs: { topic: { $: 'draft' } } },
    { kind: 'notify', message: { $: 'draft.text' }, webhook: 'chat' },
    { kind: 'notify', message: 'Hello', to: ['group:editors'] },
  ])('%j is complete', (fields) => {
    expect(codes(step(fields))).toEqual([]);
  });

  test('a path leads to its thing and field', () => {
    const drawn = graph('a>b');
    expect(targetOf(drawn, 'tasks[1].params.topic')).toEqual({
      kind: 'node',
      id: 'b',
      field: 'params.topic',
    });
    expect(targetOf(drawn, 'edges[0].when')).toMatchObject({ kind: 'edge', field: 'when' });
    expect(targetOf(drawn, 'defaults.max_cycle')).toMatchObject({
      kind: 'workflow',
      field: 'defaults.max_cycle',
    });
  });

  test("the server's errors replace ours, our warnings stay", () => {
    const drawn = graph('a>b b>a a>b');
    const ours = findProblems(drawn, analyse(drawn));
    expect(mergeProblems(ours, []).map((problem) => problem.severity)).toEqual(['warning']);
  });

  test('a thousand steps are checked within 50 ms', () => {
    const big = bigGraph(1000);
    expect(quickest(() => findProblems(big, analyse(big)))).toBeLessThan(50);
  });
});

describe('tidy', () => {
  test('every forward edge points to the right, declared loops do not count', () => {
    const drawn = graph('a>b b>c c>d d>b d>e a>e', { edges: { 'd>b': { loop: true } } });
    const places = tidy(drawn);
    const loops = new Set(analyse(drawn).loops.keys());
    for (const [source, target] of forwardArcs(drawn, loops)) {
      expect(places.get(target)?.x).toBeGreaterThan(places.get(source)?.x ?? Number.POSITIVE_INFINITY);
    }
  });

  test('no two steps share a place', () => {
    const places = [...tidy(bigGraph(200)).values()].map((at) => `${at.x},${at.y}`);
    expect(new Set(places).size).toBe(places.length);
  });

  test('steps that are not selected do not move', () => {
    const drawn = perform(graph('a>b b>c'), EMPTY_HISTORY, tidyNodes(graph('a>b b>c'))).graph;
    const moved = tidyNodes(drawn, new Set(['b', 'c']));
    expect(moved.changes.every((change) => 'id' in change && change.id !== 'a')).toBe(true);
  });

  test('a thousand steps with loops take no more than 150 ms', () => {
    const big = bigGraph(1000);
    expect(quickest(() => tidy(big))).toBeLessThan(150);
  });
});

describe('search', () => {
  const names = ['demo.write_draft', 'demo.publish_text', 'demo.newton_step', 'mail.send'];
  const find = (query: string) => search(names, query, (name) => [name]);

  test('word beginnings come first and letters may be left out', () => {
    expect(find('wd')[0]).toBe('demo.write_draft');
    expect(find('text')[0]).toBe('demo.publish_text');
    expect(find('xyz')).toEqual([]);
    expect(find('')).toEqual(names);
  });

  test('two hundred entries take less than 16 ms', () => {
    const many = Array.from({ length: 200 }, (_, index) => `module_${index}.task_${index}`);
    const find = () => search(many, 'tsk1', (name) => [name, 'a description of what this does and why']);
    expect(quickest(find)).toBeLessThan(16);
  });
});

function bigGraph(size: number): Graph {
  const edges: string[] = [];
  const loops: Record<string, object> = {};
  for (let index = 1; index < size; index += 1) {
    edges.push(`n${Math.max(0, index - 1 - (index % 7))}>n${index}`);
    if (index % 20 === 0) {
      edges.push(`n${index}>n${Math.max(0, index - 8 - ((index - 8) % 7))}`);
      loops[edges.at(-1) ?? ''] = { loop: true, when: 'x > 1' };
    }
  }
  return graph(edges.join(' '), { edges: loops });
}

/** The quickest of five, in milliseconds: a busy machine must not decide. */
function quickest(work: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return Math.min(...times);
}
