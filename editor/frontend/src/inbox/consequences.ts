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

/** How often the innermost loop around a task may go round; 0 without a loop or a limit. */
export function limitAround(analysis: Analysis, taskId: string): number {
  const around = [...analysis.loops.values()].filter((loop) => loop.body.has(taskId));
  return around.sort((a, b) => a.body.size - b.body.size)[0]?.bound.limit ?? 0;
}

/** `rounds`: how often each task has run since its loop was entered. */
export function consequence(
  graph: Graph,
  analysis: Analysis,
  taskId: string,
  decision: Decision,
  rounds: ReadonlyMap<string, number>,
): Consequence {
  const group = graph.groups.find((candidate) => candidate.members.includes(taskId));
  const own = firing(graph, taskId, decision);
  const loops = own.flatMap((edge) => analysis.loops.get(edge.id) ?? []);
  const spent = loops.find((loop) => isSpent(loop, rounds));
  const back = loops.filter((loop) => !isSpent(loop, rounds)).map((loop) => backWords(graph, loop, rounds));
  const forward = forwardWords(
    graph,
    own.filter((edge) => !analysis.loops.has(edge.id)),
  );
  const said = [...back, ...(back.length ? [] : forward)];
  if (spent && said.length === 0) return { words: spentWords(spent, decision), isLastRound: true };
  if (said.length) return { words: said.join(', '), isLastRound: spent !== undefined };
  if (group) return { words: `waits until all of “${labelOf(group)}” is done`, isLastRound: false };
  return {
    words: decision === 'reject' ? 'ends the run as rejected' : 'nothing follows this step',
    isLastRound: false,
  };
}

function firing(graph: Graph, taskId: string, decision: Decision): GraphEdge[] {
  return graph.edges.filter((edge) => edge.source === taskId && FIRES[decision].includes(edgeOn(edge)));
}

function isSpent(loop: Loop, rounds: ReadonlyMap<string, number>): boolean {
  const { limit } = loop.bound;
  return limit > 0 && loop.heads.some((head) => (rounds.get(head) ?? 1) >= limit);
}

function backWords(graph: Graph, loop: Loop, rounds: ReadonlyMap<string, number>): string {
  const head = loop.heads[0] ?? '';
  const next = (rounds.get(head) ?? 1) + 1;
  const of = loop.bound.limit > 0 ? ` of ${loop.bound.limit}` : '';
  const condition = hasCondition(loop.edge) ? ' (its condition is checked then)' : '';
  return `goes back to ${nameOf(graph, loop.edge.target)}, iteration ${next}${of}${condition}`;
}

function spentWords(loop: Loop, decision: Decision): string {
  const ends = decision === 'reject' ? 'the run ends as rejected' : 'the loop ends here';
  return `all ${loop.bound.limit} iterations are used: ${ends}`;
}

function forwardWords(graph: Graph, edges: readonly GraphEdge[]): string[] {
  const sure = edges.filter((edge) => !hasCondition(edge)).map((edge) => nameOf(graph, edge.target));
  const open = edges.filter(hasCondition).map((edge) => nameOf(graph, edge.target));
  return [
    ...(sure.length ? [`continues with ${listed(sure)}`] : []),
    ...open.map((name) => `continues with ${name} if its condition holds then`),
  ];
}

function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? '';
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${last}` : last;
}

function hasCondition(edge: GraphEdge): boolean {
  return edge.fields.when !== undefined && edge.fields.when !== null;
}

function nameOf(graph: Graph, id: string): string {
  const found = graph.nodes.find((node) => node.id === id) ?? graph.groups.find((group) => group.id === id);
  return found ? `“${labelOf(found)}”` : id;
}
