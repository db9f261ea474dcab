/* Names of steps inside expressions: renaming a step must not break what reads its result. */

import { isExpression, isFields } from './document';

/** Keys whose text is an expression even without `{"$": …}` around it. */
const BARE = new Set(['when']);

/** `value` with every expression in it that reads `from` reading `to` instead. Other texts stay. */
export function renameIn(value: unknown, from: string, to: string): unknown {
  if (isExpression(value)) return { $: renameInExpression(value.$, from, to) };
  if (Array.isArray(value)) return value.map((item) => renameIn(item, from, to));
  if (!isFields(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (typeof item === 'string' && BARE.has(key)) return [key, renameInExpression(item, from, to)];
      if (key === 'converge' && isFields(item) && typeof item.value === 'string')
        return [key, { ...item, value: renameInExpression(item.value, from, to) }];
      return [key, renameIn(item, from, to)];
    }),
  );
}

/** Strings and members (`x.draft`) are left alone: only the name at the front of a path is a step. */
export function renameInExpression(source: string, from: string, to: string): string {
  return source.replace(
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(\.\s*)?([A-Za-z_][A-Za-z0-9_]*)/g,
    (all, dot: string | undefined, name: string | undefined) => (name === from && !dot ? to : all),
  );
}
