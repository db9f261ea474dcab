/* Steps as text: copied here, pasted into this or another workflow, or into a mail. */

import type { Change } from './changes';
import { type Fields, type Graph, isFields, newEdge, newGroup, type Point, pointOf, text } from './document';
import { freeId } from './edits';
import type { Command } from './history';
import { renameIn } from './references';

const FORMAT = 'graflow-steps/1';

/** The steps with the edges and groups that lie within them; undefined when nothing is selected. */
export function copyText(graph: Graph, ids: ReadonlySet<string>): string | undefined {
  const groups = graph.groups.filter((group) => group.members.every((member) => ids.has(member)));
  const nodes = graph.nodes.filter((node) => ids.has(node.id));
  if (nodes.length === 0) return undefined;
  const held = new Set([...nodes, ...groups].map((item) => item.id));
  const document = {
    schema: FORMAT,
    tasks: nodes.map((node) => node.fields),
    edges: graph.edges
      .filter((edge) => held.has(edge.source) && held.has(edge.target))
      .map((edge) => edge.fields),
    groups: groups.map((group) => group.fields),
    layout: Object.fromEntries(
      graph.places.filter((place) => held.has(place.id)).map((place) => [place.id, place.fields]),
    ),
  };
  return JSON.stringify(document, null, 2);
}

export type Pasted = { readonly command: Command; readonly ids: readonly string[] };

/** Paste copied steps, or those of a whole definition, under new ids; undefined when the text holds none. */
export function paste(graph: Graph, clip: string, at: (corner: Point) => Point): Pasted | undefined {
  const document = parse(clip);
  if (!document) return undefined;
  const renamed = new Map<string, string>();
  const used = new Set<string>();
  for (const fields of [...document.tasks, ...document.groups]) {
    const id = freeId(graph, text(fields.id) || 'step', used);
    used.add(id);
    renamed.set(text(fields.id), id);
  }
  const named = (id: unknown) => renamed.get(text(id)) ?? text(id);
  const within = (fields: Fields) =>
    [...renamed].reduce(
      (value, [from, to]) => (from === to ? value : (renameIn(value, from, to) as Fields)),
      fields,
    );
  const places = document.tasks.map((fields) => pointOf(document.layout[text(fields.id)]) ?? { x: 0, y: 0 });
  const corner = {
    x: Math.min(...places.map((place) => place.x)),
    y: Math.min(...places.map((place) => place.y)),
  };
  const goal = at(corner);
  const changes: Change[] = [];
  document.tasks.forEach((fields, index) => {
    const id = named(fields.id);
    const place = places[index] ?? corner;
    const spot = { x: Math.round(place.x - corner.x + goal.x), y: Math.round(place.y - corner.y + goal.y) };
    changes.push(
      {
        type: 'node/added',
        index: graph.nodes.length + index,
        item: { id, fields: { ...within(fields), id } },
      },
      { type: 'place/added', index: graph.places.length + index, item: { id, fields: spot } },
    );
  });
  document.edges.forEach((fields, index) => {
    const item = newEdge({ ...within(fields), source: named(fields.source), target: named(fields.target) });
    changes.push({ type: 'edge/added', index: graph.edges.length + index, item });
  });
  document.groups.forEach((fields, index) => {
    const members = Array.isArray(fields.members) ? fields.members.map(named) : [];
    const item = newGroup({ ...fields, id: named(fields.id), members });
    changes.push({ type: 'group/added', index: graph.groups.length + index, item });
  });
  const ids = document.tasks.map((fields) => named(fields.id));
  return { command: { label: `Paste ${ids.length === 1 ? 'a step' : `${ids.length} steps`}`, changes }, ids };
}

type Clip = { tasks: Fields[]; edges: Fields[]; groups: Fields[]; layout: Fields };

function parse(clip: string): Clip | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(clip);
  } catch {
    return undefined;
  }
  if (!isFields(raw) || !Array.isArray(raw.tasks)) return undefined;
  const tasks = raw.tasks.filter(isFields).filter((fields) => text(fields.id) !== '');
  const ids = new Set(tasks.map((fields) => text(fields.id)));
  const groups = listOf(raw.groups).filter((group) =>
    listIds(group.members).every((member) => ids.has(member)),
  );
  for (const group of groups) ids.add(text(group.id));
  const edges = listOf(raw.edges).filter((edge) => ids.has(text(edge.source)) && ids.has(text(edge.target)));
  return tasks.length > 0
    ? { tasks, edges, groups, layout: isFields(raw.layout) ? raw.layout : {} }
    : undefined;
}

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function listIds(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
