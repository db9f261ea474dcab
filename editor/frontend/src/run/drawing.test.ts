import { expect, test } from 'vitest';
import { readDocument } from '../graph/document';
import { draw } from './drawing';

const graph = readDocument({
  tasks: [{ id: 'a' }, { id: 'b' }],
  edges: [
    { source: 'a', target: 'b' },
    { source: 'b', target: 'a', loop: true },
  ],
  layout: { a: { x: 0, y: 0 }, b: { x: 300, y: 0 } },
});
const loops = new Set(graph.edges.slice(1).map((edge) => edge.id));
const noPlaces = new Map();

test('nodes stand where the author put them', () => {
  const { nodes } = draw(graph, noPlaces, loops, []);
  expect(nodes.get('b')).toMatchObject({ x: 300, y: 0 });
});

test('a loop runs below the nodes it passes', () => {
  const { edges, nodes } = draw(graph, noPlaces, loops, []);
  const loop = edges.find((edge) => edge.isLoop);
  const lowest = Math.max(...[...nodes.values()].map((box) => box.y + box.height));
  expect(loop?.middle.y).toBeGreaterThan(lowest);
});

test('tasks made while running appear below their parent and move nothing', () => {
  const before = draw(graph, noPlaces, loops, []);
  const made = [
    { id: 'a_1', parent: 'a' },
    { id: 'a_2', parent: 'a' },
  ];
  const after = draw(graph, noPlaces, loops, made);
  expect(after.nodes.get('a')).toEqual(before.nodes.get('a'));
  expect(after.nodes.get('b')).toEqual(before.nodes.get('b'));
  const [first, second] = [after.nodes.get('a_1'), after.nodes.get('a_2')];
  expect(second?.y).toBeGreaterThan((first?.y ?? 0) + (first?.height ?? 0));
});
