/* The definition document `graflow/1` and the graph an editor works on.

   Every list of the document becomes a list of the graph in the same order, and every raw object is kept as it
   was read: a key this module does not know survives a round trip, in its place. No React, no fetch. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Fields = Readonly<Record<string, unknown>>;
export type Document = Fields;

export type Point = { readonly x: number; readonly y: number };

/** One step. `fields` is the raw object of `tasks`, with its id. */
export type GraphNode = { readonly id: string; readonly fields: Fields };

/** One arrow. `id` is the editor's own and never written; ends name a task or a group. */
export type GraphEdge = {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly fields: Fields;
};

export type GraphGroup = {
  readonly id: string;
  readonly members: readonly string[];
  readonly fields: Fields;
};

export type Place = { readonly id: string; readonly fields: unknown };
export type Setting = { readonly id: string; readonly value: unknown };

export type Graph = {
  /** Top-level keys in their order; for the four lists only the place of the key counts. */
  readonly settings: readonly Setting[];
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly groups: readonly GraphGroup[];
  readonly places: readonly Place[];
};

export const SCHEMA = 'graflow/1';
const LISTS = ['tasks', 'edges', 'groups', 'layout'];

export function emptyDocument(name: string): Document {
  return {
    schema: SCHEMA,
    name,
    description: '',
    defaults: {},
    tasks: [],
    edges: [],
    groups: [],
    layout: {},
  };
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function readDocument(document: Document): Graph {
  return {
    settings: Object.entries(document).map(([id, value]) => ({
      id,
      value: LISTS.includes(id) ? null : value,
    })),
    nodes: objects(document.tasks).map((fields) => ({ id: text(fields.id), fields })),
    edges: objects(document.edges).map(newEdge),
    groups: objects(document.groups).map(newGroup),
    places: isFields(document.layout)
      ? Object.entries(document.layout).map(([id, fields]) => ({ id, fields }))
      : [],
  };
}

export function writeDocument(graph: Graph): Document {
  const document: Record<string, unknown> = {};
  for (const { id, value } of graph.settings) document[id] = LISTS.includes(id) ? listOf(graph, id) : value;
  for (const id of LISTS) {
    if (!(id in document) && hasContent(graph, id)) document[id] = listOf(graph, id);
  }
  return document;
}

/** The document as it is compared and stored: the same graph always gives the same bytes. */
export function documentText(graph: Graph): string {
  return JSON.stringify(writeDocument(graph));
}

let edgeCount = 0;

export function newEdge(fields: Fields): GraphEdge {
  edgeCount += 1;
  return { id: `e${edgeCount}`, source: text(fields.source), target: text(fields.target), fields };
}

export function newGroup(fields: Fields): GraphGroup {
  const members = Array.isArray(fields.members)
    ? fields.members.filter((item) => typeof item === 'string')
    : [];
  return { id: text(fields.id), members, fields };
}

export function withFields(edge: GraphEdge, fields: Fields): GraphEdge {
  return { ...edge, source: text(fields.source), target: text(fields.target), fields };
}

/** A stable name for an edge that says what it joins; unlike its id it is the same on every page. */
export function edgeName(edge: GraphEdge): string {
  const on = edgeOn(edge);
  return `${edge.source}->${edge.target}${on === 'success' ? '' : `:${on}`}`;
}

export function edgeOn(edge: GraphEdge): string {
  return text(edge.fields.on) || 'success';
}

export function kindOf(node: GraphNode): string {
  return text(node.fields.kind) || 'task';
}

export function labelOf(item: { readonly id: string; readonly fields: Fields }): string {
  return text(item.fields.label) || item.id;
}

export function setting(graph: Graph, key: string): unknown {
  return graph.settings.find((item) => item.id === key)?.value;
}

export function placeOf(graph: Graph, id: string): Point | undefined {
  return pointOf(graph.places.find((place) => place.id === id)?.fields);
}

export function pointOf(value: unknown): Point | undefined {
  if (!isFields(value) || typeof value.x !== 'number' || typeof value.y !== 'number') return undefined;
  return Number.isFinite(value.x) && Number.isFinite(value.y) ? { x: value.x, y: value.y } : undefined;
}

/** The source of an expression, whether written as text or as `{"$": …}`; undefined when it is none. */
export function expressionOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (isFields(value) && typeof value.$ === 'string' && Object.keys(value).length === 1) return value.$;
  return undefined;
}

export function isExpression(value: unknown): value is { $: string } {
  return isFields(value) && typeof value.$ === 'string' && Object.keys(value).length === 1;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function objects(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function hasContent(graph: Graph, id: string): boolean {
  if (id === 'tasks') return graph.nodes.length > 0;
  if (id === 'edges') return graph.edges.length > 0;
  return id === 'groups' ? graph.groups.length > 0 : graph.places.length > 0;
}

function listOf(graph: Graph, id: string): unknown {
  if (id === 'tasks') return graph.nodes.map((node) => node.fields);
  if (id === 'edges') return graph.edges.map((edge) => edge.fields);
  if (id === 'groups') return graph.groups.map((group) => group.fields);
  return Object.fromEntries(graph.places.map((place) => [place.id, place.fields]));
}
