/* What every part of a step's settings is given. */

import type { Fields, GraphNode } from '../graph/document';

export type Errors = ReadonlyMap<string, string>;
export type Change = (values: Fields, merge?: string) => void;
export type Part = {
  readonly node: GraphNode;
  readonly errors: Errors;
  readonly change: Change;
  readonly names: readonly string[];
};
