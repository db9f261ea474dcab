/* What the run page needs from the definition of the run's version. Made once: a run keeps its version. */

import {
  type Fields,
  type Graph,
  isFields,
  labelOf,
  type Point,
  placeOf,
  readDocument,
  text,
} from '../graph/document';
import { tidy } from '../graph/layout';
import { type Analysis, analyse } from '../graph/loops';
import { type Json, list, record, text as words } from '../live/parse';

export interface PlannedRun {
  readonly graph: Graph;
  readonly analysis: Analysis;
  readonly places: ReadonlyMap<string, Point>;
  readonly loopEdges: ReadonlySet<string>;
  /** Labels of the definition's tasks; tasks made while running have none. */
  readonly labels: ReadonlyMap<string, string>;
  /** For heads of loops: how often they may run, 0 without a limit. */
  readonly limits: ReadonlyMap<string, number>;
  readonly kinds: ReadonlyMap<string, string>;
  headsOf: (target: string) => readonly string[];
}

export function planRun(run: Json): PlannedRun {
  const graph = readDocument(definitionOf(run));
  const analysis = analyse(graph);
  const placed = new Map(graph.nodes.flatMap((node) => pair(node.id, placeOf(graph, node.id))));
  // A definition from Python may have no layout, or only half of one: then all of it is laid out.
  const places = placed.size === graph.nodes.length ? placed : tidy(graph);
  const limits = new Map<string, number>();
  for (const loop of analysis.loops.values()) {
    for (const head of loop.heads) limits.set(head, loop.bound.limit);
  }
  for (const task of list(run.tasks).map(record)) {
    const id = words(task.id);
    if (id && typeof task.max_cycle === 'number' && limits.has(id)) limits.set(id, task.max_cycle);
  }
  return {
    graph,
    analysis,
    places,
    loopEdges: new Set(analysis.loops.keys()),
    labels: new Map(graph.nodes.map((node) => [node.id, labelOf(node)])),
    limits,
    kinds: new Map(graph.nodes.map((node) => [node.id, text(node.fields.kind) || 'task'])),
    headsOf: (target) => graph.groups.find((group) => group.id === target)?.members ?? [target],
  };
}

function definitionOf(run: Json): Fields {
  return isFields(run.definition) ? run.definition : { tasks: [], edges: [], groups: [], layout: {} };
}

function pair<T>(id: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[id, value]];
}
