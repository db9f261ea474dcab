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
import { codeBounds } from '../live/bounds';
import { type Json, list, record } from '../live/parse';
import type { TaskView } from '../live/types';

export interface PlannedRun {
  readonly graph: Graph;
  readonly analysis: Analysis;
  readonly places: ReadonlyMap<string, Point>;
  readonly loopEdges: ReadonlySet<string>;
  /** Labels of the definition's tasks; tasks made while running have none. */
  readonly labels: ReadonlyMap<string, string>;
  /** How often heads of loops may run, and tasks that only loop over themselves; 0 without a limit. */
  readonly limits: ReadonlyMap<string, number>;
  readonly kinds: ReadonlyMap<string, string>;
  readonly nodes: ReadonlyMap<string, Fields>;
  headsOf: (target: string) => readonly string[];
}

export function planRun(run: Json): PlannedRun {
  const graph = readDocument(definitionOf(run));
  const tasks = list(run.tasks).map(record);
  const analysis = analyse(graph, codeBounds(tasks));
  const placed = new Map(graph.nodes.flatMap((node) => pair(node.id, placeOf(graph, node.id))));
  // A definition from Python may have no layout, or only half of one: then all of it is laid out.
  const places = placed.size === graph.nodes.length ? placed : tidy(graph);
  const limits = new Map<string, number>();
  for (const loop of analysis.loops.values()) {
    for (const head of loop.heads) limits.set(head, loop.bound.limit);
  }
  const looping = new Set([...analysis.loops.values()].flatMap((loop) => [...loop.body]));
  for (const task of tasks) {
    // A task outside of all loops may still ask for another iteration of itself.
    if (typeof task.max_cycle === 'number' && !looping.has(String(task.id)))
      limits.set(String(task.id), task.max_cycle);
  }
  return {
    graph,
    analysis,
    places,
    loopEdges: new Set(analysis.loops.keys()),
    labels: new Map(graph.nodes.map((node) => [node.id, labelOf(node)])),
    limits,
    kinds: new Map(graph.nodes.map((node) => [node.id, text(node.fields.kind) || 'task'])),
    nodes: new Map(graph.nodes.map((node) => [node.id, node.fields])),
    headsOf: (target) => graph.groups.find((group) => group.id === target)?.members ?? [target],
  };
}

/** What a task is called on the page. Those a map step made have ids nobody can read. */
export function taskName(plan: PlannedRun, task: TaskView): string {
  const drawn = plan.labels.get(task.id);
  if (drawn !== undefined || task.parent === null || task.item === null) return drawn ?? task.id;
  if (plan.kinds.get(task.parent) !== 'map') return task.id;
  return `${plan.labels.get(task.parent) ?? task.parent} #${task.item}`;
}

function definitionOf(run: Json): Fields {
  return isFields(run.definition) ? run.definition : { tasks: [], edges: [], groups: [], layout: {} };
}

function pair<T>(id: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[id, value]];
}
