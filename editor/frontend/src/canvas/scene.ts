/* Where everything of the drawing is: boxes of steps and groups, and the way of every edge.

   Pure geometry, from the graph and the places shown right now (a drag shows places that are not in the graph). */

import { type Graph, type GraphEdge, type Point, placeOf } from '../graph/document';
import { GROUP_HEAD, GROUP_PADDING, NODE_HEIGHT, NODE_WIDTH } from '../graph/layout';
import type { Analysis } from '../graph/loops';

export type Box = {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** How far below the upper side edges come and go: a group's head does not count. */
  readonly port: number;
};

export type Way = {
  readonly path: string;
  /** Where a label or badge sits. */
  readonly middle: Point;
  /** The arrow head, and its direction in degrees: 0 points right. */
  readonly tip: Point;
  readonly turn: number;
};

export type Scene = { readonly boxes: ReadonlyMap<string, Box>; readonly ways: ReadonlyMap<string, Way> };

const LANE_FIRST = 40;
const LANE_STEP = 30;
const CORNER = 14;
const TIP = 7;
/** How far from the middle a step's loop to itself leaves and arrives. */
const OWN = 92;

export function sceneOf(graph: Graph, analysis: Analysis, moved: ReadonlyMap<string, Point>): Scene {
  const boxes = new Map<string, Box>();
  for (const node of graph.nodes) {
    const at = moved.get(node.id) ?? placeOf(graph, node.id) ?? { x: 0, y: 0 };
    boxes.set(node.id, { ...at, width: NODE_WIDTH, height: NODE_HEIGHT, port: NODE_HEIGHT / 2 });
  }
  for (const group of graph.groups) {
    const inner = group.members.map((id) => boxes.get(id)).filter((box) => box !== undefined);
    if (inner.length > 0) boxes.set(group.id, around(inner));
  }
  const ways = new Map<string, Way>();
  const loops: GraphEdge[] = [];
  for (const edge of graph.edges) {
    const source = boxes.get(edge.source);
    const target = boxes.get(edge.target);
    if (!source || !target) continue;
    if (analysis.loops.has(edge.id)) loops.push(edge);
    else ways.set(edge.id, forwardWay(source, target));
  }
  for (const [id, way] of loopWays(loops, analysis, boxes)) ways.set(id, way);
  return { boxes, ways };
}

export function around(inner: readonly Box[]): Box {
  const left = Math.min(...inner.map((box) => box.x)) - GROUP_PADDING;
  const top = Math.min(...inner.map((box) => box.y)) - GROUP_HEAD;
  const right = Math.max(...inner.map((box) => box.x + box.width)) + GROUP_PADDING;
  const bottom = Math.max(...inner.map((box) => box.y + box.height)) + GROUP_PADDING;
  const port = (bottom - GROUP_PADDING + top + GROUP_HEAD) / 2 - top;
  return { x: left, y: top, width: right - left, height: bottom - top, port };
}

export function forwardWay(source: Box, target: Box): Way {
  const from = { x: source.x + source.width, y: source.y + source.port };
  const tip = { x: target.x - 2, y: target.y + target.port };
  const to = { x: tip.x - TIP, y: tip.y };
  const distance = to.x - from.x;
  const reach = distance > 0 ? Math.max(24, distance / 2) : Math.min(180, 48 - distance / 3);
  const path = `M ${from.x} ${from.y} C ${from.x + reach} ${from.y}, ${to.x - reach} ${to.y}, ${to.x} ${to.y}`;
  return { path, middle: { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }, tip, turn: 0 };
}

/** Each loop runs back in a lane of its own below its body; inner loops lie closer. */
function loopWays(
  edges: readonly GraphEdge[],
  analysis: Analysis,
  boxes: ReadonlyMap<string, Box>,
): Map<string, Way> {
  const spans = edges
    .map((edge) => spanOf(edge, boxes))
    .sort((a, b) => a.right - a.left - (b.right - b.left));
  const ways = new Map<string, Way>();
  const lanes: { left: number; right: number; y: number }[] = [];
  const used = new Map<string, number>();
  for (const { edge, source, target, left, right } of spans) {
    const body = analysis.loops.get(edge.id)?.body ?? new Set();
    const under = [source, target, ...[...boxes].filter(([id]) => body.has(id)).map(([, box]) => box)];
    let y = Math.max(...under.map((box) => box.y + box.height)) + LANE_FIRST;
    const crosses = () =>
      lanes.find(
        (lane) => lane.left < right + 24 && lane.right > left - 24 && Math.abs(lane.y - y) < LANE_STEP,
      );
    for (let lane = crosses(); lane; lane = crosses()) y = lane.y + LANE_STEP;
    lanes.push({ left, right, y });
    const shift = (id: string) => {
      const count = used.get(id) ?? 0;
      used.set(id, count + 1);
      return count * 18;
    };
    const isOwn = edge.source === edge.target;
    const from = { x: middleX(source) + (isOwn ? OWN : shift(edge.source)), y: source.y + source.height };
    const tip = { x: middleX(target) - (isOwn ? OWN : shift(edge.target)), y: target.y + target.height + 2 };
    ways.set(edge.id, laneWay(from, tip, y));
  }
  return ways;
}

function laneWay(from: Point, tip: Point, y: number): Way {
  const to = { x: tip.x, y: tip.y + TIP };
  const side = to.x < from.x ? -1 : 1;
  const bend = Math.min(CORNER, Math.abs(to.x - from.x) / 2);
  const path = [
    `M ${from.x} ${from.y}`,
    `L ${from.x} ${y - bend}`,
    `Q ${from.x} ${y}, ${from.x + side * bend} ${y}`,
    `L ${to.x - side * bend} ${y}`,
    `Q ${to.x} ${y}, ${to.x} ${y - bend}`,
    `L ${to.x} ${to.y}`,
  ].join(' ');
  return { path, middle: { x: (from.x + to.x) / 2, y }, tip, turn: -90 };
}

function spanOf(edge: GraphEdge, boxes: ReadonlyMap<string, Box>) {
  const source = boxes.get(edge.source) as Box;
  const target = boxes.get(edge.target) as Box;
  const ends = [middleX(source), middleX(target)];
  const margin = edge.source === edge.target ? OWN : 0;
  return { edge, source, target, left: Math.min(...ends) - margin, right: Math.max(...ends) + margin };
}

function middleX(box: Box): number {
  return box.x + box.width / 2;
}

/** The steps at the left, as far as they lie within `width` of the first one. */
export function leading(boxes: ReadonlyMap<string, Box>, width: number): string[] {
  const left = Math.min(...[...boxes.values()].map((box) => box.x));
  return [...boxes].filter(([, box]) => box.x + box.width <= left + width).map(([id]) => id);
}

export type Direction = 'ArrowLeft' | 'ArrowRight' | 'ArrowUp' | 'ArrowDown';

/** The next step in a direction: near ones in line with the arrow before far or slanting ones. */
export function neighbour(
  boxes: ReadonlyMap<string, Box>,
  from: string,
  direction: Direction,
): string | undefined {
  const start = boxes.get(from);
  if (!start) return undefined;
  const sideways = direction === 'ArrowLeft' || direction === 'ArrowRight';
  const sign = direction === 'ArrowRight' || direction === 'ArrowDown' ? 1 : -1;
  let best: { id: string; cost: number } | undefined;
  for (const [id, box] of boxes) {
    if (id === from) continue;
    const dx = box.x + box.width / 2 - start.x - start.width / 2;
    const dy = box.y + box.height / 2 - start.y - start.height / 2;
    const ahead = (sideways ? dx : dy) * sign;
    if (ahead <= 1) continue;
    const cost = ahead + Math.abs(sideways ? dy : dx) * 2.5;
    if (!best || cost < best.cost) best = { id, cost };
  }
  return best?.id;
}
