/* The inbox: what waits, one item open, the next one after each decision. */

import { HelpCircle, InboxIcon } from 'lucide-react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { list } from '../live/parse';
import { getJson } from '../ui/http';
import { shortcut } from '../ui/keys';
import { agoWords, fullTime } from '../ui/time';
import { type Draft, EMPTY_DRAFT, type ItemActions, ItemView } from './ItemView';
import { KeyHelp } from './KeyHelp';
import { DECISION_WORDS, endWords, excerpt, type Item, nextAfter, parseItem } from './model';

const SAID_MS = 6_000;

export type View = 'mine' | 'all' | 'done';

interface InboxProps {
  items: readonly Item[];
  selected: Item | null;
  view: View;
  canAnswer: boolean;
}

const VIEWS: readonly { id: View; label: string }[] = [
  { id: 'mine', label: 'For me' },
  { id: 'all', label: 'All open' },
  { id: 'done', label: 'Done' },
];

export function Inbox({ items: first, selected: firstSelected, view, canAnswer }: InboxProps) {
  const [items, setItems] = useState(first);
  const [selected, setSelected] = useState<Item | null>(
    firstSelected ?? (isWide() ? (first[0] ?? null) : null),
  );
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Draft>>(new Map());
  const [said, setSaid] = useState('');
  const silence = useRef(0);
  const [help, setHelp] = useState(false);
  const [refreshedAt, setRefreshedAt] = useState(() => new Date().toISOString());
  const [offline, setOffline] = useState(false);
  const actions = useRef<ItemActions | null>(null);

  const open = useCallback(
    (item: Item | null, how: 'push' | 'replace' = 'replace') => {
      const url = `${item ? `/inbox/${item.id}/` : '/inbox/'}${view === 'mine' ? '' : `?view=${view}`}`;
      window.history[how === 'push' ? 'pushState' : 'replaceState']({ id: item?.id ?? null }, '', url);
      setSelected(item);
    },
    [view],
  );
  const reloadItem = useCallback(async (id: string) => {
    const fresh = parseItem(await getJson(`feedback/${id}/`));
    setSelected((now) => (now?.id === id ? fresh : now));
  }, []);
  const refresh = useCallback(
    async (changed: readonly string[]) => {
      try {
        const answer = await getJson(listUrl(view));
        setItems(list(answer.results).map(parseItem));
        setRefreshedAt(new Date().toISOString());
        setOffline(false);
        if (selected && changed.includes(selected.id)) await reloadItem(selected.id);
      } catch {
        setOffline(true);
      }
    },
    [view, selected, reloadItem],
  );
  useInboxNews(refresh);

  const taken = (decided: Item): void => {
    const next = nextAfter(items, decided.id);
    setItems(items.filter((item) => item.id !== decided.id));
    setDrafts((now) => new Map([...now].filter(([id]) => id !== decided.id)));
    const what = DECISION_WORDS[decided.decided?.decision ?? ''] ?? 'Decided';
    setSaid(`${what}: ${decided.prompt}`);
    window.clearTimeout(silence.current);
    silence.current = window.setTimeout(() => setSaid(''), SAID_MS);
    open(view === 'done' ? decided : next);
  };
  const step = (by: 1 | -1): void => {
    const index = items.findIndex((item) => item.id === selected?.id);
    const next = items[index === -1 ? 0 : Math.min(items.length - 1, Math.max(0, index + by))];
    if (next) open(next);
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (
        event.key === 'Escape' &&
        event.target instanceof HTMLElement &&
        event.target.matches('textarea, input')
      ) {
        event.target.blur();
        return;
      }
      const key = shortcut(event);
      if (key === null) return;
      if (key === 'j') step(1);
      else if (key === 'k') step(-1);
      else if (key === 'a') actions.current?.decide('approve');
      else if (key === 'r') actions.current?.focusReason();
      else if (key === 's') actions.current?.decide('skip');
      else if (key === 't' || key === 'i') actions.current?.focusAnswer();
      else if (key === '?') setHelp(true);
      else if (key === 'Enter' || key === 'o') document.getElementById('request-title')?.scrollIntoView();
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  });
  useEffect(() => {
    const onBack = (): void => {
      const id = /\/inbox\/([0-9a-f-]{36})\//.exec(window.location.pathname)?.[1];
      setSelected(items.find((item) => item.id === id) ?? null);
    };
    window.addEventListener('popstate', onBack);
    return () => window.removeEventListener('popstate', onBack);
  }, [items]);

  return (
    <div className={`inbox${selected ? ' inbox--item' : ''}`}>
      <section className="inbox-list" aria-label="Requests">
        <header className="inbox-list-head">
          <h1>Inbox</h1>
          <button
            type="button"
            className="button button--quiet button--icon"
            aria-label="Keyboard shortcuts"
            onClick={() => setHelp(true)}
          >
            <HelpCircle className="icon" aria-hidden="true" />
          </button>
        </header>
        <nav className="views" aria-label="Views">
          {VIEWS.map(({ id, label }) => (
            <a
              key={id}
              href={id === 'mine' ? '/inbox/' : `/inbox/?view=${id}`}
              aria-current={view === id ? 'page' : undefined}
            >
              {label}
            </a>
          ))}
        </nav>
        {offline ? (
          <p className="link-notice" role="status">
            The server cannot be reached. This list may be old; nothing you write is lost.
          </p>
        ) : null}
        {items.length ? (
          <ul className="inbox-rows">
            {items.map((item) => (
              <Row
                key={item.id}
                item={item}
                isOpen={item.id === selected?.id}
                onOpen={() => open(item, isWide() ? 'replace' : 'push')}
              />
            ))}
          </ul>
        ) : (
          <EmptyList view={view} refreshedAt={refreshedAt} />
        )}
      </section>
      <section className="inbox-item" aria-label="Request">
        {selected ? (
          <ItemView
            key={selected.id}
            item={selected}
            draft={drafts.get(selected.id) ?? EMPTY_DRAFT}
            canAnswer={canAnswer}
            actions={actions}
            onDraft={(draft) => setDrafts((now) => new Map(now).set(selected.id, draft))}
            onTaken={taken}
            onStale={(id) => void reloadItem(id).catch(() => undefined)}
            onNext={() => open(nextAfter(items, selected.id) ?? items[0] ?? null)}
            onBack={() => open(null)}
          />
        ) : (
          <div className="empty">
            <InboxIcon className="icon" aria-hidden="true" />
            <h2>{items.length ? 'Choose a request' : 'No request is open'}</h2>
            <p>
              {items.length
                ? 'What it asks, and what it is about, is shown here.'
                : 'New requests open here as soon as a run asks.'}
            </p>
          </div>
        )}
      </section>
      <p className="inbox-said" role="status">
        {said}
      </p>
      {help ? <KeyHelp onClose={() => setHelp(false)} /> : null}
    </div>
  );
}

function Row({ item, isOpen, onOpen }: { item: Item; isOpen: boolean; onOpen: () => void }) {
  const row = useRef<HTMLAnchorElement>(null);
  const ended = endWords(item);
  useEffect(() => {
    if (isOpen) row.current?.scrollIntoView({ block: 'nearest' });
  }, [isOpen]);
  return (
    <li>
      <a
        ref={row}
        className="inbox-row"
        href={`/inbox/${item.id}/`}
        data-testid="inbox-item"
        data-feedback-id={item.id}
        data-kind={item.kind}
        data-iteration={item.iteration}
        aria-current={isOpen ? 'true' : undefined}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
          event.preventDefault();
          onOpen();
        }}
      >
        <span className="inbox-row-top">
          <span className="inbox-row-title">{item.prompt}</span>
          <time className="muted small" dateTime={item.createdAt} title={fullTime(item.createdAt)}>
            {agoWords(new Date(item.createdAt))}
          </time>
        </span>
        <span className="inbox-row-line">{excerpt(item.data) || ' '}</span>
        <span className="inbox-row-meta">
          <span className="truncate">
            {item.workflowName} › {item.label}
          </span>
          {item.iteration > 1 ? <span className="mini">iteration {item.iteration}</span> : null}
          {ended ? <span className="mini">{ended}</span> : null}
          {item.dueAt && item.state === 'open' ? (
            <span className="mini">due {agoWords(new Date(item.dueAt))}</span>
          ) : null}
        </span>
      </a>
    </li>
  );
}

function EmptyList({ view, refreshedAt }: { view: View; refreshedAt: string }) {
  if (view === 'done') {
    return (
      <div className="empty">
        <h2>Nothing decided yet</h2>
        <p>Requests that were answered are kept here, with who decided what and why.</p>
      </div>
    );
  }
  return (
    <div className="empty">
      <InboxIcon className="icon" aria-hidden="true" />
      <h2>Nothing waits for you</h2>
      <p>
        As of <time dateTime={refreshedAt}>{fullTime(refreshedAt)}</time>. A workflow asks by a step of kind
        approval, text, choice or form.
      </p>
      <p>
        <a href="/inbox/?view=done">See what was decided</a>
      </p>
    </div>
  );
}

export function listUrl(view: View): string {
  if (view === 'done') return 'feedback/?state=closed&limit=100';
  return `feedback/?state=open&limit=50${view === 'mine' ? '&assigned=me' : ''}`;
}

function isWide(): boolean {
  return window.matchMedia('(min-width: 861px)').matches;
}

/** News of the page's one socket, as the shell passes them on. */
function useInboxNews(refresh: (changed: readonly string[]) => Promise<void>): void {
  const latest = useRef(refresh);
  latest.current = refresh;
  useEffect(() => {
    const onNews = (event: Event): void => {
      const detail = (event as CustomEvent<Record<string, unknown>>).detail;
      void latest.current(list(detail.changed).map(String));
    };
    const onLink = (event: Event): void => {
      if ((event as CustomEvent<string>).detail === 'open') void latest.current([]);
    };
    window.addEventListener('graflow:inbox', onNews);
    window.addEventListener('graflow:inbox-link', onLink);
    return () => {
      window.removeEventListener('graflow:inbox', onNews);
      window.removeEventListener('graflow:inbox-link', onLink);
    };
  }, []);
}
