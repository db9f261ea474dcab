/* Where everything of a run stands: nodes, groups, edges and loop lanes, from the definition's layout.

   Pure. Tasks made while running are placed below their parent; what stands is never moved. */

import { edgeName, edgeOn, type Graph, type GraphEdge, type Point, placeOf } from '../graph/document';
import { GROUP_HEAD, GROUP_PADDING, NODE_HEIGHT, NODE_WIDTH } from '../graph/layout';

const LANE = 46;
const CHILD_GAP = 26;

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface DrawnGroup extends Box {
  readonly id: string;
  readonly label: string;
}

export interface DrawnEdge {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly isLoop: boolean;
  /** `success` is not written on the edge, everything else is. */
  readonly on: string;
  readonly path: string;
  readonly middle: Point;
}

export interface Drawing {
  readonly nodes: ReadonlyMap<string, Box>;
  readonly groups: readonly DrawnGroup[];
  readonly edges: readonly DrawnEdge[];
  readonly bounds: Box;
}

export interface MadeTask {
  readonly id: string;
  readonly parent: string;
}

export function draw(
  graph: Graph,
  places: ReadonlyMap<string, Point>,
  loopEdges: ReadonlySet<string>,
  made: readonly MadeTask[],
): Drawing {
  const nodes = new Map<string, Box>();
  for (const node of graph.nodes) {
    const at = places.get(node.id) ??
      placeOf(graph, node.id) ?? { x: 0, y: nodes.size * (NODE_HEIGHT + CHILD_GAP) };
    nodes.set(node.id, { ...at, width: NODE_WIDTH, height: NODE_HEIGHT });
  }
  const groups = graph.groups.flatMap((group) => {
    const members = group.members.flatMap((id) => nodes.get(id) ?? []);
    if (members.length === 0) return [];
    const inner = around(members);
    const label = typeof group.fields.label === 'string' ? group.fields.label : group.id;
    return [{ ...grow(inner, GROUP_PADDING, GROUP_HEAD - GROUP_PADDING), id: group.id, label }];
  });
  placeMade(nodes, made);
  const boxes = new Map<string, Box>([...nodes, ...groups.map((group) => [group.id, group] as const)]);
  const floor = Math.max(...[...boxes.values()].map(bottom), 0);
  let lanes = 0;
  const edges = graph.edges.flatMap((edge) => {
    const source = boxes.get(edge.source);
    const target = boxes.get(edge.target);
    if (!source || !target) return [];
    const isLoop = loopEdges.has(edge.id);
    if (isLoop) lanes += 1;
    return [drawnEdge(edge, source, target, isLoop, boxes, lanes)];
  });
  const parents = made.flatMap((task) => {
    const source = boxes.get(task.parent);
    const target = boxes.get(task.id);
    return source && target ? [childEdge(task, source, target)] : [];
  });
  const all = [...boxes.values()];
  if (lanes) all.push({ x: all[0]?.x ?? 0, y: floor, width: 1, height: 24 + lanes * LANE });
  return { nodes, groups, edges: [...edges, ...parents], bounds: around(all) };
}

function drawnEdge(
  edge: GraphEdge,
  source: Box,
  target: Box,
  isLoop: boolean,
  boxes: ReadonlyMap<string, Box>,
  lane: number,
): DrawnEdge {
  const drawn = isLoop ? loopPath(source, target, boxes, lane) : forwardPath(source, target);
  return { id: edgeName(edge), source: edge.source, target: edge.target, isLoop, on: edgeOn(edge), ...drawn };
}

function forwardPath(source: Box, target: Box): { path: string; middle: Point } {
  const from = { x: right(source), y: centreY(source) };
  const to = { x: target.x - 6, y: centreY(target) };
  const reach = Math.max(36, Math.abs(to.x - from.x) / 2);
  const path = `M${from.x} ${from.y} C${from.x + reach} ${from.y} ${to.x - reach} ${to.y} ${to.x} ${to.y}`;
  return { path, middle: { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 } };
}

/** Back to the head in a lane of its own, below everything it passes. */
function loopPath(
  source: Box,
  target: Box,
  boxes: ReadonlyMap<string, Box>,
  lane: number,
): { path: string; middle: Point } {
  const itself = source === target;
  const from = { x: centreX(source) + (itself ? 88 : 0), y: bottom(source) };
  const to = { x: centreX(target) - (itself ? 88 : 0), y: bottom(target) + 6 };
  const [left, far] = from.x < to.x ? [from.x, to.x] : [to.x, from.x];
  const passed = [...boxes.values()].filter((box) => right(box) > left - 20 && box.x < far + 20);
  const y = Math.max(...passed.map(bottom)) + 18 + lane * (LANE / 2);
  const bend = Math.min(14, Math.abs(from.x - to.x) / 2);
  const side = from.x > to.x ? -1 : 1;
  const path =
    `M${from.x} ${from.y} L${from.x} ${y - bend} Q${from.x} ${y} ${from.x + side * bend} ${y} ` +
    `L${to.x - side * bend} ${y} Q${to.x} ${y} ${to.x} ${y - bend} L${to.x} ${to.y}`;
  return { path, middle: { x: (from.x + to.x) / 2, y } };
}

function childEdge(task: MadeTask, source: Box, target: Box): DrawnEdge {
  const from = { x: source.x + 20, y: bottom(source) };
  const to = { x: target.x - 6, y: centreY(target) };
  const path = `M${from.x} ${from.y} L${from.x} ${to.y - 10} Q${from.x} ${to.y} ${from.x + 10} ${to.y} L${to.x} ${to.y}`;
  const id = `${task.parent}->${task.id}`;
  return { id, source: task.parent, target: task.id, isLoop: false, on: 'made', path, middle: from };
}

/** Below the parent, one under the other, in the first place that is free. */
function placeMade(nodes: Map<string, Box>, made: readonly MadeTask[]): void {
  for (const task of made) {
    const parent = nodes.get(task.parent);
    if (!parent || nodes.has(task.id)) continue;
    let place = { ...parent, x: parent.x + 40, y: bottom(parent) + CHILD_GAP };
    for (let tries = 0; tries < 5_000; tries += 1) {
      const blocking = [...nodes.values()].find((other) => overlaps(place, other));
      if (!blocking) break;
      place = { ...place, y: bottom(blocking) + CHILD_GAP };
    }
    nodes.set(task.id, place);
  }
}

function overlaps(a: Box, b: Box): boolean {
  return a.x < right(b) && b.x < right(a) && a.y < bottom(b) && b.y < bottom(a);
}

function around(boxes: readonly Box[]): Box {
  if (boxes.length === 0) return { x: 0, y: 0, width: NODE_WIDTH, height: NODE_HEIGHT };
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  return { x, y, width: Math.max(...boxes.map(right)) - x, height: Math.max(...boxes.map(bottom)) - y };
}

function grow(box: Box, by: number, above: number): Box {
  return {
    x: box.x - by,
    y: box.y - by - above,
    width: box.width + 2 * by,
    height: box.height + 2 * by + above,
  };
}

const right = (box: Box): number => box.x + box.width;
const bottom = (box: Box): number => box.y + box.height;
const centreX = (box: Box): number => box.x + box.width / 2;
const centreY = (box: Box): number => box.y + box.height / 2;
