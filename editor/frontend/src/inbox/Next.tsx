/* What each button will do, as far as the graph of the run's version and its counters can tell. */

import { useMemo } from 'react';
import { type Graph, readDocument } from '../graph/document';
import { type Analysis, analyse } from '../graph/loops';
import { codeBounds, roundsOf } from '../live/bounds';
import { type Json, list, record } from '../live/parse';
import { consequence } from './consequences';
import type { Decision, Item } from './model';

export interface Planned {
  readonly graph: Graph;
  readonly analysis: Analysis;
  readonly rounds: ReadonlyMap<string, number>;
}

/** What the graph of the run's version and the counters of the run say together; null without a graph. */
export function plannedOf(run: Json, asking: string): Planned | null {
  const definition = record(run.definition);
  if (!Array.isArray(definition.tasks)) return null;
  const graph = readDocument(definition);
  const tasks = list(run.tasks).map(record);
  return { graph, analysis: analyse(graph, codeBounds(tasks)), rounds: roundsOf(tasks, asking) };
}

export function Next({ item, planned }: { item: Item; planned: Planned | null }) {
  const told = useMemo(() => {
    if (!planned) return null;
    const { graph, analysis, rounds } = planned;
    const positive: Decision = item.kind === 'approval' ? 'approve' : 'answer';
    return ([positive, 'reject', 'skip'] as const).map(
      (decision) => [decision, consequence(graph, analysis, item.taskId, decision, rounds)] as const,
    );
  }, [planned, item]);
  return (
    <section className="request-part next" aria-live="off">
      <h3>What happens next</h3>
      <dl>
        {(told ?? PENDING).map(([decision, { words, isLastRound }]) => (
          <div key={decision} data-last={isLastRound}>
            <dt>{BUTTON_WORDS[decision]}</dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const BUTTON_WORDS: Record<Decision, string> = {
  approve: 'Approve',
  answer: 'Answer',
  reject: 'Reject',
  skip: 'Skip',
};
const PENDING = (['approve', 'reject', 'skip'] as const).map(
  (decision) => [decision, { words: '…', isLastRound: false }] as const,
);
