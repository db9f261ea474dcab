/* What each button will do, told from the definition of the run's version. Pure.

   It promises only what the graph says: an edge with a condition is "decided at run time". */

import { edgeOn, type Graph, type GraphEdge, labelOf } from '../graph/document';
import type { Analysis, Loop } from '../graph/loops';
import type { Decision } from './model';

export interface Consequence {
  readonly words: string;
  /** The loop cannot go round again: this decision ends it. */
  readonly isLastRound: boolean;
}

const FIRES: Record<Decision, readonly string[]> = {
  approve: ['success', 'always'],
  answer: ['success', 'always'],
  reject: ['rejected', 'always'],
  // A person's skip releases what follows, with nothing as its value.
  skip: ['success', 'skipped', 'always'],
};

export function consequence(
  graph: Graph,
  analysis: Analysis,
  taskId: string,
  decision: Decision,
  iterations: ReadonlyMap<string, number>,
): Consequence {
  const group = graph.groups.find((candidate) => candidate.members.includes(taskId));
  const own = firing(graph, taskId, decision);
  const loops = own.flatMap((edge) => analysis.loops.get(edge.id) ?? []);
  const spent = loops.find((loop) => isSpent(loop, iterations));
  const back = loops
    .filter((loop) => !isSpent(loop, iterations))
    .map((loop) => backWords(graph, loop, iterations));
  const forward = own.filter((edge) => !analysis.loops.has(edge.id)).map((edge) => forwardWords(graph, edge));
  const said = [...back, ...(back.length ? [] : forward)];
  if (spent && said.length === 0) return { words: spentWords(spent, decision), isLastRound: true };
  if (said.length) return { words: said.join(', '), isLastRound: spent !== undefined };
  if (group) return { words: `waits until all of “${labelOf(group)}” is done`, isLastRound: false };
  return {
    words: decision === 'reject' ? 'ends the run as rejected' : 'is the end of this branch',
    isLastRound: false,
  };
}

function firing(graph: Graph, taskId: string, decision: Decision): GraphEdge[] {
  return graph.edges.filter((edge) => edge.source === taskId && FIRES[decision].includes(edgeOn(edge)));
}

function isSpent(loop: Loop, iterations: ReadonlyMap<string, number>): boolean {
  const head = loop.heads[0] ?? '';
  return loop.bound.limit > 0 && (iterations.get(head) ?? 1) >= loop.bound.limit;
}

function backWords(graph: Graph, loop: Loop, iterations: ReadonlyMap<string, number>): string {
  const head = loop.heads[0] ?? '';
  const next = (iterations.get(head) ?? 1) + 1;
  const of = loop.bound.limit > 0 ? ` of ${loop.bound.limit}` : '';
  const condition = hasCondition(loop.edge) ? ' (its condition is checked then)' : '';
  return `goes back to ${nameOf(graph, loop.edge.target)}, iteration ${next}${of}${condition}`;
}

function spentWords(loop: Loop, decision: Decision): string {
  const ends = decision === 'reject' ? 'the run ends as rejected' : 'the loop ends here';
  return `all ${loop.bound.limit} iterations are used: ${ends}`;
}

function forwardWords(graph: Graph, edge: GraphEdge): string {
  const words = `continues with ${nameOf(graph, edge.target)}`;
  return hasCondition(edge) ? `${words} if its condition holds then` : words;
}

function hasCondition(edge: GraphEdge): boolean {
  return edge.fields.when !== undefined && edge.fields.when !== null;
}

function nameOf(graph: Graph, id: string): string {
  const found = graph.nodes.find((node) => node.id === id) ?? graph.groups.find((group) => group.id === id);
  return found ? `“${labelOf(found)}”` : id;
}
