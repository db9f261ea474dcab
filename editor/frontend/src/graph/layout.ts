/* Tidy layout that knows about cycles: loop edges do not count, so every forward edge points to the right. */

import type { Graph, Point } from './document';
import { analyse } from './loops';

export const NODE_WIDTH = 224;
export const NODE_HEIGHT = 64;
export const GROUP_PADDING = 20;
export const GROUP_HEAD = 32;
const COLUMN = NODE_WIDTH + 96;
const ROW = NODE_HEIGHT + 40;
const GROUP_GAP = 36;
const SWEEPS = 8;

type Column = string[];

/** A place for every step. With `only`, the others keep theirs and the tidied ones keep their common corner. */
export function tidy(graph: Graph, only?: ReadonlySet<string>): Map<string, Point> {
  const { loops } = analyse(graph);
  const arcs = forwardArcs(graph, new Set(loops.keys()));
  const layers = layersOf(graph, arcs);
  const columns = orderColumns(graph, columnsOf(graph, layers), arcs);
  const places = placeColumns(graph, columns, arcs);
  if (!only || only.size === 0) return places;
  return new Map([...places].filter(([id]) => only.has(id)));
}

/** Steps by column from the left; a test and the outline read it. */
export function layersOf(graph: Graph, arcs: readonly (readonly [string, string])[]): Map<string, number> {
  const layers = new Map(graph.nodes.map((node) => [node.id, 0]));
  const out = new Map<string, string[]>();
  const waiting = new Map(graph.nodes.map((node) => [node.id, 0]));
  for (const [source, target] of arcs) {
    out.set(source, [...(out.get(source) ?? []), target]);
    waiting.set(target, (waiting.get(target) ?? 0) + 1);
  }
  const queue = graph.nodes.map((node) => node.id).filter((id) => waiting.get(id) === 0);
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    for (const target of out.get(id) ?? []) {
      layers.set(target, Math.max(layers.get(target) ?? 0, (layers.get(id) ?? 0) + 1));
      const left = (waiting.get(target) ?? 1) - 1;
      waiting.set(target, left);
      if (left === 0) queue.push(target);
    }
  }
  return layers;
}

/** Forward arrows between steps; an edge to or from a group counts for each of its members. */
export function forwardArcs(graph: Graph, loops: ReadonlySet<string>): [string, string][] {
  const groups = new Map(graph.groups.map((group) => [group.id, group.members]));
  const steps = new Set(graph.nodes.map((node) => node.id));
  const ends = (id: string) => (groups.get(id) ?? [id]).filter((end) => steps.has(end));
  return graph.edges
    .filter((edge) => !loops.has(edge.id))
    .flatMap((edge) =>
      ends(edge.source).flatMap((source) =>
        ends(edge.target).map((target): [string, string] => [source, target]),
      ),
    );
}

function columnsOf(graph: Graph, layers: ReadonlyMap<string, number>): Column[] {
  const columns: Column[] = [];
  for (const node of graph.nodes) {
    const layer = layers.get(node.id) ?? 0;
    while (columns.length <= layer) columns.push([]);
    columns[layer]?.push(node.id);
  }
  return columns;
}

/** Barycentre sweeps to and fro; members of a group stay side by side. */
function orderColumns(
  graph: Graph,
  columns: Column[],
  arcs: readonly (readonly [string, string])[],
): Column[] {
  const before = neighbours(arcs, 1, 0);
  const after = neighbours(arcs, 0, 1);
  const groupOf = new Map(graph.groups.flatMap((group) => group.members.map((member) => [member, group.id])));
  let current = columns;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const down = sweep % 2 === 0;
    const rank = new Map<string, number>();
    const ordered = (down ? current : current.toReversed()).map((column) => {
      const sorted = sortColumn(column, down ? before : after, rank, groupOf);
      sorted.forEach((id, index) => {
        rank.set(id, index - (sorted.length - 1) / 2);
      });
      return sorted;
    });
    current = down ? ordered : ordered.toReversed();
  }
  return current;
}

function sortColumn(
  column: Column,
  neighbour: ReadonlyMap<string, readonly string[]>,
  rank: ReadonlyMap<string, number>,
  groupOf: ReadonlyMap<string, string>,
): Column {
  const own = new Map(
    column.map((id, index) => [id, mean(neighbour.get(id), rank) ?? index - (column.length - 1) / 2]),
  );
  const block = new Map<string, number[]>();
  for (const id of column) {
    const key = groupOf.get(id) ?? `\n${id}`;
    block.set(key, [...(block.get(key) ?? []), own.get(id) ?? 0]);
  }
  const blockRank = (id: string) => average(block.get(groupOf.get(id) ?? `\n${id}`) ?? [0]);
  const place = new Map(column.map((id, index) => [id, index]));
  return column.toSorted((a, b) => {
    const byBlock = blockRank(a) - blockRank(b);
    if (byBlock !== 0) return byBlock;
    const sameBlock =
      groupOf.get(a) === groupOf.get(b) ? 0 : (groupOf.get(a) ?? a) < (groupOf.get(b) ?? b) ? -1 : 1;
    return sameBlock || (own.get(a) ?? 0) - (own.get(b) ?? 0) || (place.get(a) ?? 0) - (place.get(b) ?? 0);
  });
}

function placeColumns(
  graph: Graph,
  columns: readonly Column[],
  arcs: readonly (readonly [string, string])[],
): Map<string, Point> {
  const groupOf = new Map(graph.groups.flatMap((group) => group.members.map((member) => [member, group.id])));
  const before = neighbours(arcs, 1, 0);
  const y = new Map<string, number>();
  for (const column of columns) {
    const steps = column.map((id, index) => {
      const previous = column[index - 1];
      if (previous === undefined) return 0;
      const isBorder = groupOf.get(previous) !== groupOf.get(id);
      return ROW + (isBorder ? GROUP_GAP : 0);
    });
    const height = steps.reduce((sum, step) => sum + step, 0);
    const wanted = column.map((id) => mean(before.get(id), y)).filter((value) => value !== undefined);
    const middle = wanted.length > 0 ? average(wanted) : 0;
    let top = middle - height / 2;
    column.forEach((id, index) => {
      top += steps[index] ?? 0;
      y.set(id, top);
    });
  }
  const highest = Math.min(...y.values(), Number.POSITIVE_INFINITY);
  const places = new Map<string, Point>();
  columns.forEach((column, index) => {
    for (const id of column) places.set(id, { x: index * COLUMN, y: snap((y.get(id) ?? 0) - highest) });
  });
  return places;
}

export function snap(value: number, grid = 8): number {
  return Math.round(value / grid) * grid;
}

function neighbours(
  arcs: readonly (readonly [string, string])[],
  of: 0 | 1,
  to: 0 | 1,
): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const arc of arcs) {
    const list = found.get(arc[of]);
    if (list) list.push(arc[to]);
    else found.set(arc[of], [arc[to]]);
  }
  return found;
}

function mean(ids: readonly string[] | undefined, values: ReadonlyMap<string, number>): number | undefined {
  const known = (ids ?? []).map((id) => values.get(id)).filter((value) => value !== undefined);
  return known.length > 0 ? average(known) : undefined;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
