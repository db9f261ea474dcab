/* Sending a decision, and what came of it in words a reviewer can act on. Nothing typed is ever lost here. */

import { text } from '../live/parse';
import { newKey, postJson, Refused, Unreachable } from '../ui/http';
import { agoWords } from '../ui/time';
import { DECISION_WORDS, type Decision, type Item, parseItem } from './model';

export interface Answer {
  readonly decision: Decision;
  readonly value?: unknown;
  readonly reason?: string;
}

export type Outcome =
  | { readonly kind: 'taken'; readonly item: Item }
  /** It is decided or closed: nothing can be sent any more. */
  | { readonly kind: 'over'; readonly words: string }
  /** The content is another one now: look again, then decide. */
  | { readonly kind: 'changed'; readonly words: string }
  | { readonly kind: 'invalid'; readonly words: string; readonly fields: ReadonlyMap<string, string> }
  | { readonly kind: 'refused'; readonly words: string }
  /** Not sent, or nobody knows: sending again is safe. */
  | { readonly kind: 'unsent'; readonly words: string };

// One key per request and content: sending the same again after a lost answer decides nothing twice.
const keys = new Map<string, string>();

export async function send(item: Item, answer: Answer): Promise<Outcome> {
  const same = `${item.id} ${JSON.stringify(answer)}`;
  const key = keys.get(same) ?? newKey();
  keys.set(same, key);
  const body = { ...answer, reason: answer.reason?.trim() || null, payload_hash: item.payloadHash };
  try {
    const taken = await postJson(`feedback/${item.id}/answer/`, body, key);
    keys.delete(same);
    return { kind: 'taken', item: parseItem(taken) };
  } catch (error) {
    if (error instanceof Refused) return refusal(error);
    if (error instanceof Unreachable) return { kind: 'unsent', words: UNSENT };
    throw error;
  }
}

const UNSENT =
  'Your decision was not sent: the server cannot be reached. What you wrote is still here; send it again when you are back online.';

function refusal(error: Refused): Outcome {
  if (error.status === 409 && error.code === 'payload_changed') {
    return {
      kind: 'changed',
      words: 'The content changed since you opened it, so your decision was not taken. Look at it again.',
    };
  }
  if (error.status === 409) return { kind: 'over', words: winnerWords(error) };
  if (error.status === 410)
    return { kind: 'over', words: 'The run closed this request; nobody can answer it any more.' };
  if (error.status === 422) {
    const isAboutFields = [...error.fields.keys()].some((path) => path.startsWith('value.'));
    const words = isAboutFields ? 'Some fields need another look.' : error.message;
    return { kind: 'invalid', words, fields: error.fields };
  }
  if (error.status >= 500)
    return {
      kind: 'unsent',
      words: `${error.message} Your decision may not have been taken; send it again.`,
    };
  return { kind: 'refused', words: error.message };
}

function winnerWords(error: Refused): string {
  const { winner, decided_at: at, decision, reason } = error.more;
  if (!text(winner)) return error.message;
  const when = text(at) ? ` ${agoWords(new Date(String(at)))}` : '';
  const what = (DECISION_WORDS[String(decision)] ?? String(decision ?? 'decided')).toLowerCase();
  const why = text(reason) ? ` Reason given: “${String(reason)}”.` : '';
  return `${String(winner)} was quicker and ${what} this${when}.${why} What you wrote is kept below.`;
}
