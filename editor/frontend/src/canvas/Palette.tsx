/* The list of steps to add: drag, click, or move with the arrows and press Enter. */

import { Search } from 'lucide-react';
import { type KeyboardEvent, useMemo, useRef, useState } from 'react';
import { search } from '../graph/search';
import { DRAG_TYPE } from './Canvas';
import { useEditor, useSlice } from './context';
import { firstLine, KindTile, type Offer, offersOf } from './kinds';

export function Palette() {
  const editor = useEditor();
  const catalogue = useSlice((state) => state.catalogue);
  const failed = useSlice((state) => state.catalogueError);
  const [query, setQuery] = useState('');
  const [current, setCurrent] = useState('');
  const list = useRef<HTMLDivElement>(null);
  const offers = useMemo(() => offersOf(catalogue), [catalogue]);
  const found = useMemo(() => search(offers, query, textsOf), [offers, query]);
  const sections = query ? [['Results', found] as const] : [...Map.groupBy(found, (offer) => offer.section)];
  const tabStop = found.some((offer) => offer.key === current) ? current : found[0]?.key;

  const add = (offer: Offer) => {
    const { selection, graph } = editor.store.getState();
    const [only] = selection;
    const isEnd = [...graph.nodes, ...graph.groups].some((item) => item.id === only);
    editor.add(offer, selection.size === 1 && isEnd ? { from: only } : {});
  };

  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    const items = [...(list.current?.querySelectorAll<HTMLElement>('[data-testid="palette-item"]') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    items[at + step]?.focus();
    event.preventDefault();
  };

  return (
    <div className="palette">
      <label className="palette-search">
        <Search size={14} aria-hidden="true" />
        <span className="visually-hidden">Search steps</span>
        <input
          type="search"
          placeholder="Search steps"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            const [first] = found;
            if (event.key === 'Enter' && first) add(first);
            else if (event.key === 'ArrowDown')
              list.current?.querySelector<HTMLElement>('[data-testid]')?.focus();
            else return;
            event.preventDefault();
          }}
        />
      </label>
      <div
        className="palette-list"
        role="listbox"
        aria-label="Steps to add"
        tabIndex={-1}
        ref={list}
        onKeyDown={onKeyDown}
      >
        {sections.map(([title, items]) => (
          <div key={title} role="group" aria-label={title}>
            <p className="palette-title" aria-hidden="true">
              {title}
            </p>
            {items.map((offer) => (
              <div
                key={offer.key}
                role="option"
                aria-selected={false}
                aria-label={offer.label}
                aria-description={firstLine(offer.doc)}
                className="palette-item"
                data-testid="palette-item"
                data-kind={offer.kind}
                data-uses={offer.uses ?? ''}
                tabIndex={offer.key === tabStop ? 0 : -1}
                title={firstLine(offer.doc)}
                draggable
                onFocus={() => setCurrent(offer.key)}
                onClick={() => {
                  add(offer);
                  // Whoever clicked goes on at the canvas; whoever pressed Enter may add the next one.
                  document.querySelector<HTMLElement>('.canvas-stage')?.focus();
                }}
                onKeyDown={(event) => {
                  if (event.key !== 'Enter' && event.key !== ' ') return;
                  event.preventDefault();
                  add(offer);
                }}
                onDragStart={(event) => {
                  const { kind, uses, label } = offer;
                  event.dataTransfer.setData(DRAG_TYPE, JSON.stringify({ kind, uses, label }));
                  event.dataTransfer.effectAllowed = 'copy';
                }}
              >
                <KindTile kind={offer.kind} />
                <span className="palette-words">
                  <span>{offer.label}</span>
                  <small>{offer.uses ?? firstLine(offer.doc)}</small>
                </span>
              </div>
            ))}
          </div>
        ))}
      </div>
      {!catalogue && !failed && <p className="palette-note">Loading the steps…</p>}
      {failed && <p className="palette-note">The list of steps did not come: {failed}</p>}
      {catalogue && found.length === 0 && <p className="palette-note">Nothing fits “{query}”.</p>}
    </div>
  );
}

export function textsOf(offer: Offer): readonly string[] {
  return [offer.label, offer.uses ?? offer.kind, firstLine(offer.doc)];
}
