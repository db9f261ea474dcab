/* Undo and redo. One command of a person is one step, however many changes it took. */

import { applyAll, type Change } from './changes';
import type { Graph } from './document';

export const MAX_STEPS = 500;
/** Edits of one field within this time are one step, in milliseconds. */
export const MERGE_WITHIN_MS = 1_500;

export type Command = {
  /** What was done, as the undo button and the live region say it: "Add Review". */
  readonly label: string;
  readonly changes: readonly Change[];
  /** Commands with the same key that follow each other quickly become one step. */
  readonly merge?: string;
};

type Step = {
  readonly label: string;
  readonly forward: readonly Change[];
  readonly back: readonly Change[];
  readonly merge: string | undefined;
  readonly at: number;
};

export type History = { readonly past: readonly Step[]; readonly future: readonly Step[] };
export type Moved = { readonly graph: Graph; readonly history: History; readonly label: string };

export const EMPTY_HISTORY: History = { past: [], future: [] };

/** Carry out a command. `at` is the caller's clock in milliseconds, for merging. */
export function perform(graph: Graph, history: History, command: Command, at = 0): Moved {
  const { graph: next, inverses } = applyAll(graph, command.changes);
  const last = history.past.at(-1);
  const merges = last && command.merge !== undefined && last.merge === command.merge;
  const step: Step = {
    label: command.label,
    forward: command.changes,
    back: inverses,
    merge: command.merge,
    at,
  };
  if (last && merges && at - last.at <= MERGE_WITHIN_MS) {
    const merged = {
      ...step,
      forward: [...last.forward, ...step.forward],
      back: [...step.back, ...last.back],
    };
    return {
      graph: next,
      history: { past: [...history.past.slice(0, -1), merged], future: [] },
      label: step.label,
    };
  }
  return {
    graph: next,
    history: { past: [...history.past, step].slice(-MAX_STEPS), future: [] },
    label: step.label,
  };
}

export function undo(graph: Graph, history: History): Moved | undefined {
  const step = history.past.at(-1);
  if (!step) return undefined;
  return {
    graph: applyAll(graph, step.back).graph,
    history: { past: history.past.slice(0, -1), future: [step, ...history.future] },
    label: step.label,
  };
}

export function redo(graph: Graph, history: History): Moved | undefined {
  const [step, ...future] = history.future;
  if (!step) return undefined;
  // A redone step is closed: typing after it starts a step of its own.
  const past = [...history.past, { ...step, merge: undefined }];
  return { graph: applyAll(graph, step.forward).graph, history: { past, future }, label: step.label };
}
