import { expect, test } from 'vitest';
import { readDocument } from '../graph/document';
import { analyse } from '../graph/loops';
import { leading, neighbour, sceneOf } from './scene';

const graph = readDocument({
  schema: 'graflow/1',
  name: 'test',
  tasks: ['a', 'b', 'c', 'd'].map((id) => ({ id })),
  edges: [
    { source: 'a', target: 'g' },
    { source: 'g', target: 'd' },
    { source: 'd', target: 'g', loop: true },
    { source: 'd', target: 'a', loop: true },
  ],
  groups: [{ id: 'g', members: ['b', 'c'] }],
  layout: { a: { x: 0, y: 50 }, b: { x: 320, y: 0 }, c: { x: 320, y: 100 }, d: { x: 640, y: 50 } },
});
const scene = sceneOf(graph, analyse(graph), new Map());
const [first, , inner, outer] = graph.edges;

test('the frame of a group holds its members', () => {
  const frame = scene.boxes.get('g');
  expect(frame && frame.x < 320 && frame.y < 0 && frame.y + frame.height > 164).toBe(true);
});

test('an edge to a group arrives level with the middle of its members', () => {
  expect(scene.ways.get(first?.id ?? '')?.tip.y).toBe(82);
});

test('loops run in lanes of their own below their bodies, the inner one closer', () => {
  const lane = (id: string | undefined) => scene.ways.get(id ?? '')?.middle.y ?? 0;
  const frame = scene.boxes.get('g');
  expect(lane(inner?.id)).toBeGreaterThan((frame?.y ?? 0) + (frame?.height ?? 0));
  expect(lane(outer?.id)).toBeGreaterThan(lane(inner?.id) + 20);
});

test('a dragged step takes its edges along before the graph knows', () => {
  const dragged = sceneOf(graph, analyse(graph), new Map([['a', { x: -100, y: 50 }]]));
  expect(dragged.ways.get(first?.id ?? '')?.path).toContain('M 124 82');
});

test('arrows go to the step ahead, those in line first', () => {
  const steps = new Map([...scene.boxes].filter(([id]) => id !== 'g'));
  expect(neighbour(steps, 'b', 'ArrowDown')).toBe('c');
  expect(neighbour(steps, 'c', 'ArrowRight')).toBe('d');
  expect(neighbour(steps, 'a', 'ArrowLeft')).toBeUndefined();
});

test('what leads a wide graph is what lies within its first part', () => {
  expect(leading(scene.boxes, 600)).toEqual(['a', 'b', 'c', 'g']);
  expect(leading(scene.boxes, 5_000)).toHaveLength(5);
  expect(leading(new Map(), 600)).toEqual([]);
});
