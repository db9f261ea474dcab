/* Fuzzy search for the palette: letters in order, words and beginnings first. */

export type Hit<T> = { readonly item: T; readonly score: number };

/** Items that hold the letters of `query` in order, best first; all of them, as they stand, for an empty query. */
export function search<T>(items: readonly T[], query: string, textsOf: (item: T) => readonly string[]): T[] {
  const wanted = query.trim().toLowerCase();
  if (!wanted) return [...items];
  const hits: Hit<T>[] = [];
  for (const item of items) {
    // A later text (the description) counts less than the name.
    const scores = textsOf(item).map((text, place) => score(text, wanted) - place * 8);
    const best = Math.max(...scores);
    if (best > 0) hits.push({ item, score: best });
  }
  return hits.sort((a, b) => b.score - a.score).map((hit) => hit.item);
}

/** How well `text` fits; 0 or less means it does not. `wanted` is in lower case. */
export function score(text: string, wanted: string): number {
  const hay = text.toLowerCase();
  const at = hay.indexOf(wanted);
  if (at >= 0) return 100 - Math.min(at, 40) + (isWordStart(text, at) ? 30 : 0) + (at === 0 ? 20 : 0);
  let points = 0;
  let from = 0;
  let gaps = 0;
  for (const letter of wanted) {
    if (letter === ' ') continue;
    const found = hay.indexOf(letter, from);
    if (found < 0) return 0;
    gaps += found - from;
    points += isWordStart(text, found) ? 8 : found === from ? 5 : 1;
    from = found + 1;
  }
  // Letters strewn over a long text mean nothing: each gap costs.
  return Math.max(0, Math.min(60, points + 20) - gaps);
}

function isWordStart(text: string, at: number): boolean {
  const before = text[at - 1];
  if (before === undefined || /[\s._\-/]/.test(before)) return true;
  return /[a-z]/.test(before) && /[A-Z]/.test(text[at] ?? '');
}
