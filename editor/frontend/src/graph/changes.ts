/* Every change of a graph, each with its exact inverse.

   A change names its thing by id and its place in the list, so that undoing brings back the same bytes. */

import type { Graph, GraphEdge, GraphGroup, GraphNode, Place, Setting } from './document';

export type Change =
  | { readonly type: 'node/added'; readonly index: number; readonly item: GraphNode }
  | { readonly type: 'node/removed'; readonly id: string }
  | { readonly type: 'node/replaced'; readonly id: string; readonly item: GraphNode }
  | { readonly type: 'edge/added'; readonly index: number; readonly item: GraphEdge }
  | { readonly type: 'edge/removed'; readonly id: string }
  | { readonly type: 'edge/replaced'; readonly id: string; readonly item: GraphEdge }
  | { readonly type: 'group/added'; readonly index: number; readonly item: GraphGroup }
  | { readonly type: 'group/removed'; readonly id: string }
  | { readonly type: 'group/replaced'; readonly id: string; readonly item: GraphGroup }
  | { readonly type: 'place/added'; readonly index: number; readonly item: Place }
  | { readonly type: 'place/removed'; readonly id: string }
  | { readonly type: 'place/replaced'; readonly id: string; readonly item: Place }
  | { readonly type: 'setting/added'; readonly index: number; readonly item: Setting }
  | { readonly type: 'setting/removed'; readonly id: string }
  | { readonly type: 'setting/replaced'; readonly id: string; readonly item: Setting };

type Item = { readonly id: string };
type ListName = 'nodes' | 'edges' | 'groups' | 'places' | 'settings';
type Noun = 'node' | 'edge' | 'group' | 'place' | 'setting';

const LIST_OF: Record<Noun, ListName> = {
  node: 'nodes',
  edge: 'edges',
  group: 'groups',
  place: 'places',
  setting: 'settings',
};

export type Applied = { readonly graph: Graph; readonly inverse: Change };

/** Apply one change. Throws RangeError when it names something that is not there: a caller's mistake. */
export function applyChange(graph: Graph, change: Change): Applied {
  const [noun, verb] = change.type.split('/') as [Noun, 'added' | 'removed' | 'replaced'];
  const list = graph[LIST_OF[noun]] as readonly Item[];
  if (verb === 'added') {
    const { index, item } = change as { index: number; item: Item };
    const inverse = { type: `${noun}/removed`, id: item.id } as Change;
    return { graph: withList(graph, noun, list.toSpliced(index, 0, item)), inverse };
  }
  const { id } = change as { id: string };
  const index = list.findIndex((item) => item.id === id);
  const old = list[index];
  if (!old) throw new RangeError(`There is no ${noun} ${JSON.stringify(id)} to change.`);
  if (verb === 'removed') {
    const inverse = { type: `${noun}/added`, index, item: old } as Change;
    return { graph: withList(graph, noun, list.toSpliced(index, 1)), inverse };
  }
  const { item } = change as unknown as { item: Item };
  const inverse = { type: `${noun}/replaced`, id: item.id, item: old } as Change;
  return { graph: withList(graph, noun, list.with(index, item)), inverse };
}

/** Apply changes in order; the inverses come in the order in which they undo. */
export function applyAll(
  graph: Graph,
  changes: readonly Change[],
): { graph: Graph; inverses: readonly Change[] } {
  const inverses: Change[] = [];
  let current = graph;
  for (const change of changes) {
    const applied = applyChange(current, change);
    current = applied.graph;
    inverses.unshift(applied.inverse);
  }
  return { graph: current, inverses };
}

function withList(graph: Graph, noun: Noun, list: readonly Item[]): Graph {
  return { ...graph, [LIST_OF[noun]]: list } as Graph;
}
