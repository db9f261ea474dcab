/* One request: everything one needs to decide, and the bar to decide with. */

import { ArrowLeft, Hand, TriangleAlert } from 'lucide-react';
import { type RefObject, useEffect, useMemo, useRef, useState } from 'react';
import { type Json, list } from '../live/parse';
import { roundWords } from '../run/words';
import { getJson } from '../ui/http';
import { JsonView } from '../ui/JsonView';
import { agoWords, fullTime } from '../ui/time';
import { OptionList, SchemaForm } from './Answers';
import { type Answer, type Outcome, send } from './answering';
import { limitAround } from './consequences';
import {
  DECISION_WORDS,
  type Decision,
  deadlineWords,
  eligibleWords,
  type Item,
  kindWords,
  parseItem,
} from './model';
import { Next, type Planned, plannedOf } from './Next';
import { fieldsOf, initialOfAll, readForm, type Typed } from './schema';

const BUTTON_OPTIONS = 4;

export interface Draft {
  reason: string;
  text: string;
  chosen: readonly string[];
  typed: Typed | null;
}

export const EMPTY_DRAFT: Draft = { reason: '', text: '', chosen: [], typed: null };

/** What keys may do to the open item. */
export interface ItemActions {
  decide: (decision: Decision) => void;
  focusReason: () => void;
  focusAnswer: () => void;
}

interface ItemViewProps {
  item: Item;
  draft: Draft;
  canAnswer: boolean;
  actions: RefObject<ItemActions | null>;
  onDraft: (draft: Draft) => void;
  onTaken: (item: Item) => void;
  onStale: (id: string) => void;
  onNext: () => void;
  onBack: () => void;
}

export function ItemView(props: ItemViewProps) {
  const { item, draft, canAnswer, actions, onDraft, onTaken, onStale, onNext, onBack } = props;
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [wantsReason, setWantsReason] = useState(false);
  const reasonBox = useRef<HTMLTextAreaElement>(null);
  const answerBox = useRef<HTMLElement>(null);
  const fields = useMemo(() => fieldsOf(item.schema), [item.schema]);
  const typed = draft.typed ?? initialOfAll(fields);
  const run = useRunOf(item);
  const planned = useMemo(() => (run ? plannedOf(run, item.taskId) : null), [run, item.taskId]);
  const isOpen = item.state === 'open' && outcome?.kind !== 'over';

  const carryOut = async (answer: Answer): Promise<void> => {
    if (busy || !isOpen || !canAnswer) return;
    setBusy(true);
    setOutcome(null);
    const result = await send(item, answer).catch(
      (error: unknown): Outcome => ({
        kind: 'refused',
        words: error instanceof Error ? error.message : 'That did not work.',
      }),
    );
    setBusy(false);
    if (result.kind === 'taken') onTaken(result.item);
    else {
      setOutcome(result);
      if (result.kind === 'over' || result.kind === 'changed') onStale(item.id);
    }
  };
  const answer = (value: unknown): void => void carryOut({ decision: 'answer', value, reason: draft.reason });
  const sendTyped = (): void => {
    if (item.kind === 'text') {
      if (draft.text.trim() === '') setOutcome(invalid('Write an answer before you send it.'));
      else answer(draft.text);
    } else if (item.kind === 'form') {
      const { value, errors } = readForm(fields, typed);
      if (errors.size)
        setOutcome({ kind: 'invalid', words: 'Some fields need another look.', fields: errors });
      else answer(value);
    } else if (item.kind === 'multi_choice') answer(draft.chosen);
    else if (draft.chosen[0] === undefined) setOutcome(invalid('Choose one of the options first.'));
    else answer(draft.chosen[0]);
  };
  const decide = (decision: Decision): void => {
    if (decision === 'answer') sendTyped();
    else if (decision === 'reject' && !draft.reason.trim() && !wantsReason) {
      setWantsReason(true);
      reasonBox.current?.focus();
    } else if (decision !== 'approve' || item.kind === 'approval') {
      void carryOut({ decision, reason: draft.reason });
    }
  };
  actions.current = {
    decide,
    focusReason: () => {
      setWantsReason(true);
      reasonBox.current?.focus();
    },
    focusAnswer: () =>
      (
        answerBox.current?.querySelector<HTMLElement>('textarea, input, select') ?? reasonBox.current
      )?.focus(),
  };

  const asButtons = item.kind === 'choice' && item.options.length <= BUTTON_OPTIONS;
  const fieldErrors = outcome?.kind === 'invalid' ? outcome.fields : NO_ERRORS;
  const onCtrlEnter = (decision: Decision) => (event: React.KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      decide(decision);
    }
  };

  return (
    <article
      className="request"
      aria-labelledby="request-title"
      data-testid="inbox-detail"
      data-state={item.state}
    >
      <header className="request-head">
        <button
          type="button"
          className="button button--quiet button--icon request-back"
          aria-label="Back to the list"
          onClick={onBack}
        >
          <ArrowLeft className="icon" aria-hidden="true" />
        </button>
        <div>
          <h2 id="request-title">{item.prompt}</h2>
          <Facts item={item} planned={planned} />
        </div>
      </header>
      <div className="request-body">
        {outcome && outcome.kind !== 'taken' ? <OutcomeNotice outcome={outcome} onNext={onNext} /> : null}
        {item.state !== 'open' && outcome?.kind !== 'over' ? <Closed item={item} onNext={onNext} /> : null}
        {isOpen ? null : <Kept draft={draft} />}
        {item.data === null || item.data === undefined ? null : (
          <section className="request-part">
            <h3>What it is about</h3>
            <JsonView value={item.data} label="What it is about" />
          </section>
        )}
        {isOpen && canAnswer && item.kind !== 'approval' ? (
          <section className="request-part request-answer" ref={answerBox} aria-label="Your answer">
            {item.kind === 'text' ? (
              <div className="field">
                <label htmlFor="answer">Your answer</label>
                <textarea
                  id="answer"
                  className="input"
                  value={draft.text}
                  onChange={(event) => onDraft({ ...draft, text: event.target.value })}
                  onKeyDown={onCtrlEnter('answer')}
                />
              </div>
            ) : null}
            {item.kind === 'form' ? (
              <SchemaForm
                fields={fields}
                typed={typed}
                errors={fieldErrors}
                onChange={(next) => onDraft({ ...draft, typed: next })}
              />
            ) : null}
            {(item.kind === 'choice' && !asButtons) || item.kind === 'multi_choice' ? (
              <OptionList
                options={item.options}
                chosen={draft.chosen}
                several={item.kind === 'multi_choice'}
                onChange={(chosen) => onDraft({ ...draft, chosen })}
              />
            ) : null}
          </section>
        ) : null}
        {isOpen ? <Next item={item} planned={planned} /> : null}
        <Earlier item={item} />
      </div>
      {item.state === 'open' ? (
        <footer className="decision">
          {canAnswer ? (
            <>
              <div className="field decision-reason">
                <label htmlFor="reason">Reason</label>
                <textarea
                  id="reason"
                  ref={reasonBox}
                  className="input"
                  rows={1}
                  value={draft.reason}
                  aria-describedby="reason-help"
                  onChange={(event) => onDraft({ ...draft, reason: event.target.value })}
                  onKeyDown={onCtrlEnter('reject')}
                />
                <p className="field-help" id="reason-help">
                  {wantsReason && !draft.reason.trim()
                    ? 'Say why, so that the next round can do better. Reject once more to send it without a reason.'
                    : 'Goes to the run with your decision.'}
                </p>
              </div>
              <div className="decision-bar">
                {item.kind === 'approval' ? (
                  <button
                    type="button"
                    className="button button--positive"
                    disabled={!isOpen || busy}
                    onClick={() => decide('approve')}
                    aria-keyshortcuts="a"
                  >
                    Approve
                  </button>
                ) : asButtons ? (
                  item.options.map((option) => (
                    <button
                      key={option}
                      type="button"
                      className="button button--primary"
                      disabled={!isOpen || busy}
                      onClick={() => answer(option)}
                    >
                      {option}
                    </button>
                  ))
                ) : (
                  <button
                    type="button"
                    className="button button--primary"
                    disabled={!isOpen || busy}
                    onClick={sendTyped}
                  >
                    Send answer
                  </button>
                )}
                <button
                  type="button"
                  className={item.kind === 'approval' ? 'button button--danger' : 'button'}
                  disabled={!isOpen || busy}
                  onClick={() => decide('reject')}
                  aria-keyshortcuts="r"
                >
                  Reject
                </button>
                <button
                  type="button"
                  className="button"
                  disabled={!isOpen || busy}
                  onClick={() => decide('skip')}
                  aria-keyshortcuts="s"
                >
                  Skip
                </button>
              </div>
            </>
          ) : (
            <p className="muted">
              You can read this request. Answering takes the reviewer role, which your account does not have.
            </p>
          )}
        </footer>
      ) : null}
    </article>
  );
}

const NO_ERRORS: ReadonlyMap<string, string> = new Map();

function invalid(words: string): Outcome {
  return { kind: 'invalid', words, fields: NO_ERRORS };
}

function roundOf(item: Item, planned: Planned | null): string {
  const limit = planned && item.state === 'open' ? limitAround(planned.analysis, item.taskId) : 0;
  return roundWords(item.iteration, planned?.rounds.get(item.taskId) ?? item.iteration, limit);
}

function Facts({ item, planned }: { item: Item; planned: Planned | null }) {
  return (
    <p className="request-facts muted small">
      <a href={`/runs/${item.run}/?task=${encodeURIComponent(item.taskId)}`}>
        {item.workflowName} › {item.label}
      </a>
      <span>{kindWords(item.kind)}</span>
      <span>{roundOf(item, planned)}</span>
      <span>started by {item.requestedBy}</span>
      <time dateTime={item.createdAt} title={fullTime(item.createdAt)}>
        asked {agoWords(new Date(item.createdAt))}
      </time>
      <span>open to {eligibleWords(item)}</span>
      {item.dueAt && item.state === 'open' ? (
        <strong className={new Date(item.dueAt) < new Date() ? 'overdue' : undefined}>
          due {agoWords(new Date(item.dueAt))}
          {deadlineWords(item) ? `: ${deadlineWords(item)}` : ''}
        </strong>
      ) : null}
    </p>
  );
}

function OutcomeNotice({
  outcome,
  onNext,
}: {
  outcome: Exclude<Outcome, { kind: 'taken' }>;
  onNext: () => void;
}) {
  return (
    <div className="notice notice--error" role="alert">
      <TriangleAlert className="icon" aria-hidden="true" />
      <div className="stack stack--tight">
        <p>{outcome.words}</p>
        {outcome.kind === 'over' ? (
          <div>
            <button type="button" className="button" onClick={onNext}>
              Next request
            </button>
          </div>
        ) : null}
      </div>
    </div>
  );
}

/** What somebody wrote before the request was closed: it can no longer be sent, but it is not lost. */
function Kept({ draft }: { draft: Draft }) {
  const typed = draft.typed ? JSON.stringify(draft.typed, null, 2) : '';
  const words = [draft.text, draft.chosen.join(', '), typed, draft.reason]
    .filter((part) => part.trim())
    .join('\n\n');
  if (!words) return null;
  return (
    <div className="field">
      <label htmlFor="kept">What you wrote, to copy</label>
      <textarea
        id="kept"
        className="input"
        readOnly
        value={words}
        onFocus={(event) => event.target.select()}
      />
    </div>
  );
}

function Closed({ item, onNext }: { item: Item; onNext: () => void }) {
  const { decided } = item;
  const words = decided
    ? `${DECISION_WORDS[decided.decision] ?? decided.decision} by ${decided.by === 'system' ? 'its deadline' : decided.by}, ${agoWords(new Date(decided.at))}.`
    : 'The run closed this request before anybody answered it.';
  return (
    <div className="notice">
      <Hand className="icon" aria-hidden="true" />
      <div className="stack stack--tight">
        <p>{words}</p>
        {decided?.reason ? <q className="reason">{decided.reason}</q> : null}
        <p className="row">
          <button type="button" className="button" onClick={onNext}>
            Next request
          </button>
          <a href={`/runs/${item.run}/`}>See what became of the run</a>
        </p>
      </div>
    </div>
  );
}

/** What was decided in the rounds before this one. */
function Earlier({ item }: { item: Item }) {
  const [earlier, setEarlier] = useState<readonly Item[]>([]);
  useEffect(() => {
    let stale = false;
    setEarlier([]);
    if (item.iteration < 2) return;
    getJson(`feedback/?run=${item.run}&state=all&limit=100`)
      .then((answer) => {
        const found = list(answer.results).map(parseItem);
        const before = found.filter(
          (other) => other.taskId === item.taskId && other.iteration < item.iteration && other.decided,
        );
        if (!stale) setEarlier(before.sort((a, b) => b.iteration - a.iteration));
      })
      .catch(() => undefined);
    return () => {
      stale = true;
    };
  }, [item.run, item.taskId, item.iteration]);
  if (earlier.length === 0) return null;
  return (
    <section className="request-part">
      <h3>Earlier iterations</h3>
      <ol className="earlier">
        {earlier.map((other) => (
          <li key={other.id}>
            <p>
              <strong>
                Iteration {other.iteration}:{' '}
                {(DECISION_WORDS[other.decided?.decision ?? ''] ?? 'decided').toLowerCase()}
              </strong>{' '}
              <span className="muted small">
                by {other.decided?.by}, {agoWords(new Date(other.decided?.at ?? other.createdAt))}
              </span>
            </p>
            {other.decided?.reason ? <q className="reason">{other.decided.reason}</q> : null}
            <details>
              <summary className="muted small">What it was about then</summary>
              <JsonView value={other.data} label={`Iteration ${other.iteration}`} />
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The run, for its graph and its counters; asked once per open item. */
function useRunOf(item: Item): Json | null {
  const [found, setFound] = useState<{ id: string; run: Json } | null>(null);
  useEffect(() => {
    let stale = false;
    getJson(`runs/${item.run}/`)
      .then((run) => stale || setFound({ id: item.id, run }))
      .catch(() => undefined);
    return () => {
      stale = true;
    };
  }, [item.id, item.run]);
  return found?.id === item.id ? found.run : null;
}
