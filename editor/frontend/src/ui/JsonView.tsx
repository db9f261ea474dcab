/* A value as a person reads it: text as text, objects as a tree that folds. Everything is a text node. */

import { useState } from 'react';

const OPEN_DEPTH = 2;
const MANY = 50;
const LONG_TEXT = 4_000;

export function JsonView({ value, label }: { value: unknown; label?: string }) {
  if (value === null || value === undefined) return <p className="muted small">Nothing.</p>;
  if (typeof value === 'string') return <LongText text={value} />;
  if (typeof value !== 'object') return <pre className="payload">{String(value)}</pre>;
  return (
    <section className="json" aria-label={label ?? 'Data'}>
      <Branch value={value} depth={0} />
    </section>
  );
}

function LongText({ text }: { text: string }) {
  const [whole, setWhole] = useState(text.length <= LONG_TEXT);
  return (
    <>
      <pre className="payload payload--text">{whole ? text : text.slice(0, LONG_TEXT)}</pre>
      {whole ? null : (
        <button type="button" className="button button--quiet" onClick={() => setWhole(true)}>
          Show all {text.length.toLocaleString()} characters
        </button>
      )}
    </>
  );
}

function Branch({ value, depth }: { value: object; depth: number }) {
  const [shown, setShown] = useState(MANY);
  const isList = Array.isArray(value);
  const entries: [string, unknown][] = Object.entries(value);
  if (entries.length === 0)
    return <span className="json-empty">{isList ? 'empty list' : 'empty object'}</span>;
  return (
    <ul className="json-branch">
      {entries.slice(0, shown).map(([key, inner]) => (
        <li key={key}>
          <Entry name={isList ? `${Number(key) + 1}` : key} value={inner} depth={depth} />
        </li>
      ))}
      {entries.length > shown ? (
        <li>
          <button type="button" className="button button--quiet" onClick={() => setShown(shown + 10 * MANY)}>
            {entries.length - shown} more
          </button>
        </li>
      ) : null}
    </ul>
  );
}

function Entry({ name, value, depth }: { name: string; value: unknown; depth: number }) {
  if (typeof value !== 'object' || value === null) {
    return (
      <>
        <span className="json-key">{name}</span> <Leaf value={value} />
      </>
    );
  }
  const count = Object.keys(value).length;
  if (count === 0) {
    return (
      <>
        <span className="json-key">{name}</span> <span className="json-empty">empty</span>
      </>
    );
  }
  return (
    <Folding open={depth + 1 < OPEN_DEPTH} name={name} count={count}>
      {() => <Branch value={value} depth={depth + 1} />}
    </Folding>
  );
}

/** Children are made only once opened: a payload of a megabyte must not make a hundred thousand nodes. */
function Folding(props: { open: boolean; name: string; count: number; children: () => React.ReactNode }) {
  const [open, setOpen] = useState(props.open);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span className="json-key">{props.name}</span>{' '}
        <span className="json-empty">{props.count === 1 ? '1 entry' : `${props.count} entries`}</span>
      </summary>
      {open ? props.children() : null}
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === 'string') {
    return <span className={value.includes('\n') ? 'json-text json-text--block' : 'json-text'}>{value}</span>;
  }
  return <span className="json-value">{String(value)}</span>;
}
