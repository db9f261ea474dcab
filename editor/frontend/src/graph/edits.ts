/* What a person does, as commands: each is one undo step made of exact changes.

   Builders look at the graph and never alter it. One that has nothing to do gives a command without changes. */

import type { Change } from './changes';
import {
  type Fields,
  type Graph,
  type GraphEdge,
  type GraphGroup,
  type GraphNode,
  kindOf,
  labelOf,
  newEdge,
  newGroup,
  type Point,
  placeOf,
  withFields,
} from './document';
import type { Command } from './history';
import { NODE_HEIGHT, NODE_WIDTH, tidy } from './layout';
import { closesCycle } from './loops';
import { renameIn } from './references';

/** What the palette offers: a kind, and for kind `task` the registered function. */
export type Template = { readonly kind: string; readonly uses?: string | undefined; readonly label: string };

export type Added = { readonly command: Command; readonly id: string };
export type Connected =
  | { readonly command: Command; readonly edge: GraphEdge; readonly isLoop: boolean }
  | { readonly refusal: string };

const GAP = 96;
const STARTING_FIELDS: Record<string, Fields> = {
  approval: { prompt: 'Do you approve this?' },
  text: { prompt: 'What should it say?' },
  choice: { prompt: 'Which one?', options: ['Yes', 'No'] },
  delay: { seconds: 60 },
  map: { items: [] },
  http: { method: 'GET' },
  form: {
    prompt: 'Please fill this in.',
    schema: {
      type: 'object',
      properties: { answer: { type: 'string', title: 'Answer' } },
      required: ['answer'],
    },
  },
  transform: { value: { $: '' } },
};

export function addNode(graph: Graph, template: Template, at: Point, from?: string): Added {
  const item = newNode(graph, template);
  const changes: Change[] = [
    { type: 'node/added', index: graph.nodes.length, item },
    { type: 'place/added', index: graph.places.length, item: { id: item.id, fields: rounded(at) } },
  ];
  if (from !== undefined) {
    const edge = newEdge({ source: from, target: item.id });
    changes.push({ type: 'edge/added', index: graph.edges.length, item: edge });
  }
  return { command: { label: `Add ${labelOf(item)}`, changes }, id: item.id };
}

/** Put a new step into an edge: one edge becomes two, its condition stays on the first. */
export function spliceNode(graph: Graph, template: Template, edgeId: string): Added | undefined {
  const edge = edgeById(graph, edgeId);
  const source = edge && endPlace(graph, edge.source);
  const target = edge && endPlace(graph, edge.target);
  if (!edge || !source || !target) return undefined;
  const at = { x: (source.x + target.x) / 2, y: (source.y + target.y) / 2 };
  const { command, id } = addNode(graph, template, at);
  const first = withFields(edge, { ...edge.fields, target: id });
  const second = newEdge({ source: id, target: edge.target });
  const moved =
    target.x - source.x < NODE_WIDTH + GAP * 2 ? makeRoom(graph, edge.source, edge.target, id, at) : [];
  const changes: Change[] = [
    ...command.changes,
    { type: 'edge/replaced', id: edge.id, item: first },
    { type: 'edge/added', index: graph.edges.length, item: second },
    ...moved,
  ];
  return { command: { label: command.label, changes }, id };
}

/** Draw an edge, or say why not. A wire that closes a cycle becomes a loop edge. */
export function connect(graph: Graph, source: string, target: string, fields: Fields = {}): Connected {
  const [from, to] = [itemById(graph, source), itemById(graph, target)];
  if (!from || !to) return { refusal: 'Both ends of an edge must be steps of this workflow.' };
  const [start, end] = [labelOf(from), labelOf(to)];
  const inside = (group: GraphGroup | undefined, id: string) => group?.members.includes(id);
  if (inside(groupById(graph, source), target) || inside(groupById(graph, target), source))
    return { refusal: `${start} and ${end} are a group and its own member; the group already waits for it.` };
  const isLoop = closesCycle(graph, source, target);
  const owner = graph.groups.find((group) => group.members.includes(target));
  if (isLoop && owner && source !== target && !owner.members.includes(source))
    return {
      refusal: `A loop may not lead into the middle of the group ${labelOf(owner)}. Draw it to the whole group.`,
    };
  const drawn: Fields = { source, target, ...(isLoop ? loopFields(graph, source) : {}), ...fields };
  const on = drawn.on ?? 'success';
  const same = graph.edges.find(
    (edge) =>
      edge.source === source &&
      edge.target === target &&
      (edge.fields.on ?? 'success') === on &&
      !edge.fields.when,
  );
  if (same) return { refusal: `${start} already leads to ${end}${on === 'success' ? '' : ` on ${on}`}.` };
  const edge = newEdge(drawn);
  const label = isLoop ? `Loop from ${start} back to ${end}` : `Connect ${start} to ${end}`;
  return {
    command: { label, changes: [{ type: 'edge/added', index: graph.edges.length, item: edge }] },
    edge,
    isLoop,
  };
}

/** Lead an existing edge elsewhere; its conditions stay. */
export function reconnect(graph: Graph, edgeId: string, source: string, target: string): Connected {
  const edge = edgeById(graph, edgeId);
  if (!edge) return { refusal: 'This edge is gone.' };
  if (edge.source === source && edge.target === target)
    return { command: { label: 'Reconnect', changes: [] }, edge, isLoop: edge.fields.loop === true };
  const without = { ...graph, edges: graph.edges.filter((other) => other.id !== edgeId) };
  const { loop: _, source: _s, target: _t, ...kept } = edge.fields;
  const drawn = connect(without, source, target, kept);
  if ('refusal' in drawn) return drawn;
  const item = { ...drawn.edge, id: edge.id };
  return {
    ...drawn,
    edge: item,
    command: { label: 'Reconnect', changes: [{ type: 'edge/replaced', id: edgeId, item }] },
  };
}

export function moveNodes(graph: Graph, places: ReadonlyMap<string, Point>, label = 'Move'): Command {
  return { label, changes: placeChanges(graph, places) };
}

export function tidyNodes(graph: Graph, only?: ReadonlySet<string>): Command {
  const places = tidy(graph, only);
  if (only && only.size > 0) {
    // A tidied part stays where it was: its upper left corner does not move.
    const old = corner([...places.keys()].map((id) => placeOf(graph, id)));
    const fresh = corner([...places.values()]);
    for (const [id, at] of places) places.set(id, { x: at.x + old.x - fresh.x, y: at.y + old.y - fresh.y });
  }
  return { label: 'Tidy', changes: placeChanges(graph, places) };
}

/** Set keys of a step; a value of undefined removes the key. */
export function changeNode(graph: Graph, id: string, values: Fields, merge?: string): Command {
  const node = nodeById(graph, id);
  if (!node) return { label: 'Change', changes: [] };
  const fields = patched(node.fields, values);
  return {
    label: `Change ${labelOf(node)}`,
    changes: same(fields, node.fields)
      ? []
      : [{ type: 'node/replaced', id, item: { id: String(fields.id), fields } }],
    ...(merge ? { merge: `node:${id}:${merge}` } : {}),
  };
}

export function changeEdge(graph: Graph, id: string, values: Fields, merge?: string): Command {
  const edge = edgeById(graph, id);
  if (!edge) return { label: 'Change edge', changes: [] };
  const fields = patched(edge.fields, values);
  return {
    label: 'Change edge',
    changes: same(fields, edge.fields) ? [] : [{ type: 'edge/replaced', id, item: withFields(edge, fields) }],
    ...(merge ? { merge: `edge:${id}:${merge}` } : {}),
  };
}

export function changeGroup(graph: Graph, id: string, values: Fields, merge?: string): Command {
  const group = groupById(graph, id);
  if (!group) return { label: 'Change group', changes: [] };
  const fields = patched(group.fields, values);
  return {
    label: `Change ${labelOf(group)}`,
    changes: same(fields, group.fields) ? [] : [{ type: 'group/replaced', id, item: newGroup(fields) }],
    ...(merge ? { merge: `group:${id}:${merge}` } : {}),
  };
}

export function changeSetting(graph: Graph, key: string, value: unknown, merge?: string): Command {
  const label = `Change ${key}`;
  const known = graph.settings.some((item) => item.id === key);
  const rest = merge ? { merge: `setting:${merge}` } : {};
  if (!known && value === undefined) return { label, changes: [] };
  if (!known) {
    // Before the lists, where a reader of the document looks for it.
    const lists = graph.settings.findIndex((item) => item.id === 'tasks');
    const index = lists < 0 ? graph.settings.length : lists;
    return { label, changes: [{ type: 'setting/added', index, item: { id: key, value } }], ...rest };
  }
  if (value === undefined) return { label, changes: [{ type: 'setting/removed', id: key }], ...rest };
  return { label, changes: [{ type: 'setting/replaced', id: key, item: { id: key, value } }], ...rest };
}

/** Give a step or group another id, and every edge, group, place and expression that names it. */
export function rename(graph: Graph, id: string, to: string): Connected | { readonly command: Command } {
  const isTaken = [...graph.nodes, ...graph.groups].some((item) => item.id === to);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(to))
    return { refusal: 'An id has letters, digits and _ only, and does not begin with a digit.' };
  if (isTaken) return { refusal: `The id “${to}” is already used.` };
  const changes: Change[] = [];
  for (const node of graph.nodes) {
    const fields = { ...(renameIn(node.fields, id, to) as Fields), id: node.id === id ? to : node.id };
    if (!same(fields, node.fields))
      changes.push({ type: 'node/replaced', id: node.id, item: { id: fields.id, fields } });
  }
  for (const edge of graph.edges) {
    const ends = {
      source: edge.source === id ? to : edge.source,
      target: edge.target === id ? to : edge.target,
    };
    const fields = { ...(renameIn(edge.fields, id, to) as Fields), ...ends };
    if (!same(fields, edge.fields))
      changes.push({ type: 'edge/replaced', id: edge.id, item: withFields(edge, fields) });
  }
  for (const group of graph.groups) {
    const fields = renamedGroup(group, id, to);
    if (!same(fields, group.fields))
      changes.push({ type: 'group/replaced', id: group.id, item: newGroup(fields) });
  }
  const place = graph.places.find((item) => item.id === id);
  if (place) changes.push({ type: 'place/replaced', id, item: { ...place, id: to } });
  return { command: { label: `Rename ${id} to ${to}`, changes } };
}

/** Remove steps, groups and edges, and what cannot stand without them. */
export function remove(graph: Graph, ids: ReadonlySet<string>): Command {
  const nodes = graph.nodes.filter((node) => ids.has(node.id));
  const gone = new Set(nodes.map((node) => node.id));
  const changes: Change[] = [];
  const emptied = new Set<string>();
  for (const group of graph.groups) {
    const members = group.members.filter((member) => !gone.has(member));
    if (ids.has(group.id) || members.length === 0) emptied.add(group.id);
    else if (members.length < group.members.length)
      changes.push({ type: 'group/replaced', id: group.id, item: newGroup(withoutMembers(group, members)) });
  }
  const edges = graph.edges.filter(
    (edge) => ids.has(edge.id) || [edge.source, edge.target].some((end) => gone.has(end) || emptied.has(end)),
  );
  for (const edge of edges) changes.push({ type: 'edge/removed', id: edge.id });
  for (const id of emptied) changes.push({ type: 'group/removed', id });
  for (const node of nodes) changes.push({ type: 'node/removed', id: node.id });
  for (const place of graph.places) {
    if (gone.has(place.id) || emptied.has(place.id)) changes.push({ type: 'place/removed', id: place.id });
  }
  const [only] = nodes;
  const name = only && nodes.length === 1 ? labelOf(only) : nodes.length > 1 ? `${nodes.length} steps` : '';
  const label =
    name || (emptied.size > 0 ? 'the group' : edges.length > 1 ? `${edges.length} edges` : 'the edge');
  return { label: `Delete ${label}`, changes };
}

/** Make the steps a parallel group. Edges that all members share become edges of the group. */
export function groupNodes(graph: Graph, members: readonly string[]): Added | { readonly refusal: string } {
  const wanted = graph.nodes.filter((node) => members.includes(node.id)).map((node) => node.id);
  if (wanted.length < 2) return { refusal: 'Select at least two steps to put side by side.' };
  const owner = graph.groups.find((group) => group.members.some((member) => wanted.includes(member)));
  if (owner) return { refusal: `A step can be in one group only, and one of these is in ${labelOf(owner)}.` };
  const within = graph.edges.find((edge) => wanted.includes(edge.source) && wanted.includes(edge.target));
  if (within) return { refusal: 'Steps of a group run side by side: remove the edges between them first.' };
  const id = freeId(graph, 'group');
  const changes: Change[] = [];
  for (const [own, other] of [
    ['target', 'source'],
    ['source', 'target'],
  ] as const) {
    for (const shared of sharedEdges(graph, wanted, own, other)) {
      const [first, ...rest] = shared;
      if (!first) continue;
      const fields = { ...first.fields, [own]: id };
      changes.push({ type: 'edge/replaced', id: first.id, item: withFields(first, fields) });
      for (const edge of rest) changes.push({ type: 'edge/removed', id: edge.id });
    }
  }
  const group = newGroup({ id, members: wanted, policy: 'strict' });
  changes.push({ type: 'group/added', index: graph.groups.length, item: group });
  return { command: { label: 'Group the steps', changes }, id };
}

/** Take a group apart; its edges become edges of every member. */
export function ungroup(graph: Graph, id: string): Command {
  const group = groupById(graph, id);
  if (!group) return { label: 'Ungroup', changes: [] };
  const changes: Change[] = [];
  let index = graph.edges.length;
  for (const edge of graph.edges.filter((item) => item.source === id || item.target === id)) {
    const own = edge.source === id ? 'source' : 'target';
    const [first, ...rest] = group.members;
    changes.push({
      type: 'edge/replaced',
      id: edge.id,
      item: withFields(edge, { ...edge.fields, [own]: first }),
    });
    for (const member of rest) {
      changes.push({ type: 'edge/added', index, item: newEdge({ ...edge.fields, [own]: member }) });
      index += 1;
    }
  }
  changes.push({ type: 'group/removed', id });
  if (graph.places.some((place) => place.id === id)) changes.push({ type: 'place/removed', id });
  return { label: `Ungroup ${labelOf(group)}`, changes };
}

export function nodeById(graph: Graph, id: string): GraphNode | undefined {
  return graph.nodes.find((node) => node.id === id);
}

export function edgeById(graph: Graph, id: string): GraphEdge | undefined {
  return graph.edges.find((edge) => edge.id === id);
}

export function groupById(graph: Graph, id: string): GraphGroup | undefined {
  return graph.groups.find((group) => group.id === id);
}

export function itemById(graph: Graph, id: string): GraphNode | GraphGroup | undefined {
  return nodeById(graph, id) ?? groupById(graph, id);
}

/** An id nobody uses, made from words: "Write draft" gives `write_draft`, then `write_draft_2`. */
export function freeId(graph: Graph, words: string, also: ReadonlySet<string> = new Set()): string {
  const taken = new Set([...graph.nodes, ...graph.groups].map((item) => item.id));
  const plain =
    words
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '_')
      .replace(/^_+|_+$/g, '') || 'step';
  const base = /^[0-9]/.test(plain) ? `step_${plain}` : plain;
  if (!taken.has(base) && !also.has(base) && !RESERVED.has(base)) return base;
  for (let count = 2; ; count += 1) {
    const id = `${base}_${count}`;
    if (!taken.has(id) && !also.has(id)) return id;
  }
}

/** Names that mean something in expressions, so no step should take them. */
const RESERVED = new Set(['inputs', 'channels', 'iteration', 'result', 'true', 'false', 'null', 'in']);

/** A free spot to the right of `from`, below what already follows it there. */
export function spotAfter(graph: Graph, from: string | undefined, otherwise: Point): Point {
  const start = from === undefined ? undefined : endPlace(graph, from);
  let at = start ? { x: start.x + NODE_WIDTH + GAP, y: start.y } : otherwise;
  const taken = graph.nodes.map((node) => placeOf(graph, node.id)).filter((place) => place !== undefined);
  const covers = (place: Point) =>
    Math.abs(place.x - at.x) < NODE_WIDTH + 16 && Math.abs(place.y - at.y) < NODE_HEIGHT + 16;
  while (taken.some(covers)) at = { x: at.x, y: at.y + NODE_HEIGHT + 40 };
  return at;
}

export function placeChanges(graph: Graph, places: ReadonlyMap<string, Point>): Change[] {
  const changes: Change[] = [];
  let index = graph.places.length;
  for (const [id, at] of places) {
    const old = graph.places.find((place) => place.id === id);
    const kept = typeof old?.fields === 'object' && old.fields !== null ? (old.fields as Fields) : {};
    const fields = { ...kept, ...rounded(at) };
    if (!old) {
      changes.push({ type: 'place/added', index, item: { id, fields } });
      index += 1;
    } else if (!same(fields, kept)) changes.push({ type: 'place/replaced', id, item: { id, fields } });
  }
  return changes;
}

export function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Where an end is: its own place, or the middle of its group. */
export function endPlace(graph: Graph, id: string): Point | undefined {
  const group = groupById(graph, id);
  if (!group) return placeOf(graph, id);
  const places = group.members.map((member) => placeOf(graph, member)).filter((place) => place !== undefined);
  if (places.length === 0) return undefined;
  const sum = places.reduce((a, b) => ({ x: Math.max(a.x, b.x), y: a.y + b.y }), {
    x: Number.NEGATIVE_INFINITY,
    y: 0,
  });
  return { x: sum.x, y: sum.y / places.length };
}

function newNode(graph: Graph, template: Template): GraphNode {
  const words = template.kind === 'task' ? (template.uses ?? 'step').split('.').at(-1) : template.label;
  const id = freeId(graph, words ?? 'step');
  const fields: Fields = {
    id,
    kind: template.kind,
    ...(template.uses === undefined ? {} : { uses: template.uses }),
    label: template.label,
    ...(STARTING_FIELDS[template.kind] ?? {}),
  };
  return { id, fields };
}

/** Push everything that follows to the right, so that a spliced step has its own column. */
function makeRoom(graph: Graph, source: string, target: string, id: string, at: Point): Change[] {
  const from = endPlace(graph, source);
  const to = endPlace(graph, target);
  if (!from || !to || to.x <= from.x) return [];
  const shift = from.x + 2 * (NODE_WIDTH + GAP) - to.x;
  const moved = new Map<string, Point>();
  for (const node of graph.nodes) {
    const place = placeOf(graph, node.id);
    if (place && place.x >= to.x) moved.set(node.id, { x: place.x + shift, y: place.y });
  }
  const own: Change = {
    type: 'place/replaced',
    id,
    item: { id, fields: rounded({ x: from.x + NODE_WIDTH + GAP, y: at.y }) },
  };
  return [own, ...placeChanges(graph, moved)];
}

function loopFields(graph: Graph, source: string): Fields {
  // A person in front of a loop sends work back by rejecting it.
  const node = nodeById(graph, source);
  return { ...(node && kindOf(node) === 'approval' ? { on: 'rejected' } : {}), loop: true };
}

function sharedEdges(
  graph: Graph,
  members: readonly string[],
  own: 'source' | 'target',
  other: 'source' | 'target',
): GraphEdge[][] {
  const found = new Map<string, GraphEdge[]>();
  for (const edge of graph.edges.filter((item) => members.includes(item[own]))) {
    const { [own]: _, ...rest } = edge.fields;
    const key = JSON.stringify([edge[other], rest]);
    found.set(key, [...(found.get(key) ?? []), edge]);
  }
  return [...found.values()].filter(
    (edges) => new Set(edges.map((edge) => edge[own])).size === members.length,
  );
}

function renamedGroup(group: GraphGroup, id: string, to: string): Fields {
  const named = (name: unknown) => (name === id ? to : name);
  const policy = group.fields.policy as { critical?: unknown[] } | undefined;
  return {
    ...group.fields,
    id: named(group.id),
    members: group.members.map(named),
    ...(Array.isArray(policy?.critical) ? { policy: { critical: policy.critical.map(named) } } : {}),
  };
}

function withoutMembers(group: GraphGroup, members: readonly string[]): Fields {
  const policy = group.fields.policy as { critical?: unknown[]; at_least?: number } | undefined;
  if (Array.isArray(policy?.critical)) {
    const critical = policy.critical.filter((name) => members.includes(String(name)));
    return { ...group.fields, members, policy: critical.length > 0 ? { critical } : 'strict' };
  }
  if (typeof policy?.at_least === 'number')
    return { ...group.fields, members, policy: { at_least: Math.min(policy.at_least, members.length) } };
  return { ...group.fields, members };
}

function patched(fields: Fields, values: Fields): Fields {
  const result: Record<string, unknown> = { ...fields };
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) delete result[key];
    else result[key] = value;
  }
  return result;
}

function corner(places: readonly (Point | undefined)[]): Point {
  const known = places.filter((place) => place !== undefined);
  if (known.length === 0) return { x: 0, y: 0 };
  return { x: Math.min(...known.map((place) => place.x)), y: Math.min(...known.map((place) => place.y)) };
}

function rounded(at: Point): Point {
  return { x: Math.round(at.x), y: Math.round(at.y) };
}
