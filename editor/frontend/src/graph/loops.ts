/* Where a graph goes round: loop edges, bodies, bounds and strongly connected components.

   The same reading as the engine's: declared loop edges first, then whatever a depth-first search from the starts,
   in definition order, finds closing a cycle. Never enumerates simple cycles. */

import { expressionOf, type Graph, type GraphEdge, type GraphNode, isFields, setting } from './document';

export const ENGINE_MAX_CYCLE = 10;

export type BoundSource = 'step' | 'code' | 'workflow' | 'engine';

/** How often the step `head` may run per entry into its loop; `limit` 0 means there is no limit. */
export type Bound = { readonly limit: number; readonly from: BoundSource; readonly head: string };

export type Loop = {
  readonly edge: GraphEdge;
  readonly declared: boolean;
  /** The tasks that run again first: the target, or the members of the group it names. */
  readonly heads: readonly string[];
  readonly body: ReadonlySet<string>;
  readonly bound: Bound;
};

export type Analysis = {
  readonly starts: readonly string[];
  readonly reached: ReadonlySet<string>;
  /** Loops by the id of their loop edge, in definition order. */
  readonly loops: ReadonlyMap<string, Loop>;
  /** Loop edges that do not close a cycle, though they say so. */
  readonly notClosing: ReadonlySet<string>;
  /** Edges that lead into the middle of a group around a cycle. */
  readonly intoGroup: ReadonlySet<string>;
  /** Edges marked `loop: false` that close a cycle all the same. */
  readonly refused: ReadonlySet<string>;
  /** Groups into whose middle a cycle leads without an edge of its own. */
  readonly brokenGroups: ReadonlySet<string>;
};

/** `max_cycle` as the code of a registered task declares it; undefined where it does not. */
export type CodeBound = (uses: string) => number | undefined;

type Arc = { readonly source: string; readonly target: string; readonly edge: GraphEdge | undefined };
type Links = Map<string, string[]>;

export function analyse(graph: Graph, codeBound: CodeBound = () => undefined): Analysis {
  const names = new Set([...graph.nodes, ...graph.groups].map((item) => item.id));
  const edges = graph.edges.filter((edge) => names.has(edge.source) && names.has(edge.target));
  const declared = new Set(edges.filter((edge) => edge.fields.loop === true).map((edge) => edge.id));
  const arcs = arcsOf(graph, edges);
  const forward = arcs.filter((arc) => !arc.edge || !declared.has(arc.edge.id));
  const entered = new Set(forward.map((arc) => arc.target));
  const free = graph.nodes.filter((node) => !entered.has(node.id)).map((node) => node.id);
  const starts = free.length > 0 ? free : graph.nodes.slice(0, 1).map((node) => node.id);
  const { closing, reached } = closingArcs(names, forward, starts);
  const refused = new Set<string>();
  const brokenGroups = new Set<string>();
  const loopIds = new Set(declared);
  for (const arc of closing) {
    if (!arc.edge) brokenGroups.add(arc.target);
    else if (arc.edge.fields.loop === false) refused.add(arc.edge.id);
    else loopIds.add(arc.edge.id);
  }
  const straight = arcs.filter((arc) => !arc.edge || !loopIds.has(arc.edge.id));
  const out = links(straight, 'source', 'target');
  const into = links(straight, 'target', 'source');
  const found: Omit<Loop, 'bound'>[] = [];
  const notClosing = new Set<string>();
  const intoGroup = new Set<string>();
  for (const edge of edges.filter((item) => loopIds.has(item.id))) {
    const heads = headsOf(graph, edge.target);
    const after = reachable(heads, out);
    if (!after.has(edge.source)) notClosing.add(edge.id);
    if (leadsIntoGroup(graph, edge, after, out)) intoGroup.add(edge.id);
    const before = reachable([edge.source], into);
    const body = new Set([...after].filter((id) => before.has(id)));
    for (const id of [...heads, edge.target, edge.source]) body.add(id);
    found.push({ edge, declared: declared.has(edge.id), heads, body });
  }
  const loops = new Map<string, Loop>();
  for (const loop of found) {
    const inner = found.filter((other) => isWithin(other.body, loop.body));
    const own = [...loop.body].filter((id) => !inner.some((other) => other.body.has(id)));
    loops.set(loop.edge.id, { ...loop, bound: boundOf(graph, loop.heads, own, codeBound) });
  }
  return { starts, reached, loops, notClosing, intoGroup, refused, brokenGroups };
}

/** Whether an edge from `source` to `target` would close a cycle: `source` already follows `target`. */
export function closesCycle(graph: Graph, source: string, target: string): boolean {
  const { loops } = analyse(graph);
  const straight = arcsOf(
    graph,
    graph.edges.filter((edge) => !loops.has(edge.id)),
  );
  return reachable(headsOf(graph, target), links(straight, 'source', 'target')).has(source);
}

/** All that leads to `ids`, or with `direction` 'down' all that follows, themselves included. */
export function connected(graph: Graph, ids: Iterable<string>, direction: 'up' | 'down'): Set<string> {
  const arcs = arcsOf(graph, graph.edges);
  const out = direction === 'down' ? links(arcs, 'source', 'target') : links(arcs, 'target', 'source');
  return reachable(ids, out);
}

/** The strongly connected component of `id`: all tasks of every cycle it is part of. */
export function cycleOf(graph: Graph, id: string): Set<string> {
  const down = connected(graph, [id], 'down');
  const up = connected(graph, [id], 'up');
  return new Set([...down].filter((other) => up.has(other)));
}

/** What the bound is, in words: where it comes from decides where to change it. */
export function boundReason(bound: Bound): string {
  const limit = bound.limit === 0 ? 'no limit' : `${bound.limit} executions`;
  if (bound.from === 'step') return `${limit}, set on “${bound.head}”`;
  if (bound.from === 'code') return `${limit}, set in the code of “${bound.head}”`;
  if (bound.from === 'workflow') return `${limit}, the workflow's default`;
  return `${limit}, the engine's default`;
}

export function boundText(bound: Bound): string {
  return bound.limit === 0 ? 'no limit' : `≤ ${bound.limit}`;
}

/** Whether something beside the bound can end a loop: a condition, a kind of ending, or convergence. */
export function hasExit(graph: Graph, loop: Loop): boolean {
  if (loop.edge.fields.converge !== undefined || hasCondition(loop.edge)) return true;
  if (typeof loop.edge.fields.on === 'string' && loop.edge.fields.on !== 'success') return true;
  const ends = graph.nodes.filter((node) => loop.heads.includes(node.id) || node.id === loop.edge.source);
  return ends.some((node) => node.fields.converge !== undefined) || rejects(graph, loop);
}

/** Whether the engine would call a loop without a limit endless. */
export function canEnd(graph: Graph, loop: Loop): boolean {
  if (loop.bound.limit !== 0 || hasCondition(loop.edge) || loop.edge.fields.converge !== undefined)
    return true;
  const ends = graph.nodes.filter((node) => loop.heads.includes(node.id) || node.id === loop.edge.source);
  return ends.some((node) => node.fields.converge !== undefined);
}

export function headsOf(graph: Graph, id: string): readonly string[] {
  return graph.groups.find((group) => group.id === id)?.members ?? [id];
}

function hasCondition(edge: GraphEdge): boolean {
  return Boolean(expressionOf(edge.fields.when)?.trim());
}

/** A person inside the body can end a loop that goes on only after success: by rejecting. */
function rejects(graph: Graph, loop: Loop): boolean {
  return graph.nodes.some((node) => loop.body.has(node.id) && node.fields.kind === 'approval');
}

function arcsOf(graph: Graph, edges: readonly GraphEdge[]): Arc[] {
  const groups = new Map(graph.groups.map((group) => [group.id, group.members]));
  const arcs: Arc[] = edges.flatMap((edge) =>
    (groups.get(edge.target) ?? [edge.target]).map((target) => ({ source: edge.source, target, edge })),
  );
  const members = graph.groups.flatMap((group) =>
    group.members.map((member) => ({ source: member, target: group.id, edge: undefined })),
  );
  return [...arcs, ...members];
}

function links(arcs: readonly Arc[], from: 'source' | 'target', to: 'source' | 'target'): Links {
  const found: Links = new Map();
  for (const arc of arcs) {
    const list = found.get(arc[from]);
    if (list) list.push(arc[to]);
    else found.set(arc[from], [arc[to]]);
  }
  return found;
}

function reachable(from: Iterable<string>, out: Links): Set<string> {
  const seen = new Set(from);
  const queue = [...seen];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    for (const next of out.get(id) ?? []) {
      if (!seen.has(next)) {
        seen.add(next);
        queue.push(next);
      }
    }
  }
  return seen;
}

function closingArcs(
  names: ReadonlySet<string>,
  arcs: readonly Arc[],
  starts: readonly string[],
): { closing: Arc[]; reached: Set<string> } {
  const out = new Map<string, Arc[]>();
  for (const arc of arcs) {
    const list = out.get(arc.source);
    if (list) list.push(arc);
    else out.set(arc.source, [arc]);
  }
  const open = new Set<string>();
  const reached = new Set<string>();
  const closing: Arc[] = [];
  for (const root of starts) {
    if (reached.has(root) || !names.has(root)) continue;
    const stack = [{ id: root, next: 0 }];
    open.add(root);
    reached.add(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const arc = out.get(top.id)?.[top.next];
      top.next += 1;
      if (!arc) {
        open.delete(top.id);
        stack.pop();
      } else if (open.has(arc.target)) {
        closing.push(arc);
      } else if (!reached.has(arc.target)) {
        open.add(arc.target);
        reached.add(arc.target);
        stack.push({ id: arc.target, next: 0 });
      }
    }
  }
  return { closing, reached };
}

function leadsIntoGroup(graph: Graph, edge: GraphEdge, after: ReadonlySet<string>, out: Links): boolean {
  return graph.groups.some(
    (group) =>
      group.id !== edge.target &&
      group.members.includes(edge.target) &&
      after.has(group.id) &&
      (edge.source === group.id || reachable([group.id], out).has(edge.source)),
  );
}

/** Whether all of `part` lies in `whole`, which has more. What such a loop counts begins anew with each pass around it. */
function isWithin(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  return part.size < whole.size && [...part].every((id) => whole.has(id));
}

/** The tightest limit of a loop: its heads have one in any case, other steps of the body where they name it themselves. */
function boundOf(
  graph: Graph,
  heads: readonly string[],
  body: readonly string[],
  codeBound: CodeBound,
): Bound {
  const bounds = graph.nodes
    .filter((node) => heads.includes(node.id) || body.includes(node.id))
    .map((node) => stepBound(graph, node, codeBound))
    .filter((bound) => heads.includes(bound.head) || bound.from === 'step' || bound.from === 'code');
  const limited = bounds.filter((bound) => bound.limit > 0).sort((a, b) => a.limit - b.limit);
  return limited[0] ?? bounds[0] ?? workflowBound(graph, heads[0] ?? '');
}

/** How often one step may run per entry into its loop. */
export function stepBound(graph: Graph, node: GraphNode, codeBound: CodeBound = () => undefined): Bound {
  const own = node.fields.max_cycle;
  if (typeof own === 'number') return { limit: own, from: 'step', head: node.id };
  // A map step names a function too, but that function's limit counts for each item and not for the step.
  const uses = node.fields.kind === undefined || node.fields.kind === 'task' ? node.fields.uses : undefined;
  const code = typeof uses === 'string' ? codeBound(uses) : undefined;
  if (code !== undefined) return { limit: code, from: 'code', head: node.id };
  return workflowBound(graph, node.id);
}

function workflowBound(graph: Graph, head: string): Bound {
  const defaults = setting(graph, 'defaults');
  const limit = isFields(defaults) ? defaults.max_cycle : undefined;
  if (typeof limit === 'number') return { limit, from: 'workflow', head };
  return { limit: ENGINE_MAX_CYCLE, from: 'engine', head };
}
