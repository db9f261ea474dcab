/* Add a step without leaving the keyboard: type, Enter. Opens where a wire was dropped, too. */

import { useReactFlow } from '@xyflow/react';
import { type CSSProperties, type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react';
import { labelOf, type Point } from '../graph/document';
import { itemById } from '../graph/edits';
import { NODE_HEIGHT, NODE_WIDTH } from '../graph/layout';
import { search } from '../graph/search';
import { useEditor, useSlice } from './context';
import type { QuickAdd as Where } from './editor';
import { firstLine, KindTile, type Offer, offersOf } from './kinds';
import { textsOf } from './Palette';

const WIDTH = 304;
const HEIGHT = 356;

export function QuickAdd({ onDone }: { onDone: () => void }) {
  const where = useSlice((state) => state.quickAdd);
  return where ? <Open key={JSON.stringify(where)} where={where} onDone={onDone} /> : null;
}

function Open({ where, onDone }: { where: Where; onDone: () => void }) {
  const editor = useEditor();
  const flow = useReactFlow();
  const catalogue = useSlice((state) => state.catalogue);
  const [query, setQuery] = useState('');
  const [index, setIndex] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const offers = useMemo(() => offersOf(catalogue), [catalogue]);
  const found = useMemo(() => search(offers, query, textsOf), [offers, query]);
  const current = found[Math.min(index, found.length - 1)];

  useEffect(() => input.current?.focus(), []);
  useEffect(() => {
    if (current) document.getElementById(optionId(current))?.scrollIntoView({ block: 'nearest' });
  }, [current]);

  const close = () => {
    editor.store.setState({ quickAdd: undefined });
    onDone();
  };
  const choose = (offer: Offer | undefined) => {
    if (!offer) return;
    editor.store.setState({ quickAdd: undefined });
    editor.add(offer, where, middleOf(flow));
    onDone();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setIndex(Math.min(index + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setIndex(Math.max(index - 1, 0));
    else if (event.key === 'Enter') choose(current);
    else if (event.key === 'Escape' || event.key === 'Tab') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onBlur = (event: React.FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) editor.store.setState({ quickAdd: undefined });
  };

  return (
    <div
      className="quick"
      role="dialog"
      aria-label="Add a step"
      style={styleOf(where.anchor)}
      onBlur={onBlur}
    >
      <div className="quick-head">
        <input
          ref={input}
          role="combobox"
          aria-label="Add a step"
          aria-expanded="true"
          aria-controls="quick-list"
          aria-autocomplete="list"
          aria-activedescendant={current ? optionId(current) : undefined}
          placeholder="Which step?"
          value={query}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => {
            setQuery(event.target.value);
            setIndex(0);
          }}
          onKeyDown={onKeyDown}
        />
        <span className="quick-where">{sentence(editor.store.getState().graph, where)}</span>
      </div>
      <div className="quick-list" id="quick-list" role="listbox" aria-label="Steps" ref={list}>
        {found.map((offer, at) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard works in the field, which names this option
          <div
            key={offer.key}
            id={optionId(offer)}
            className="quick-option"
            role="option"
            tabIndex={-1}
            aria-selected={offer === current}
            data-kind={offer.kind}
            data-uses={offer.uses ?? ''}
            onPointerMove={() => setIndex(at)}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(offer)}
          >
            <KindTile kind={offer.kind} />
            <span className="palette-words">
              <span>{offer.label}</span>
              <small>{firstLine(offer.doc) || offer.uses}</small>
            </span>
          </div>
        ))}
        {found.length === 0 && <p className="palette-note">Nothing fits “{query}”.</p>}
      </div>
    </div>
  );
}

function optionId(offer: Offer): string {
  return `quick-${offer.key.replace(/[^\w-]/g, '_')}`;
}

function sentence(graph: Parameters<typeof itemById>[0], where: Where): string {
  if (where.edge) return 'Goes into this edge.';
  const from = where.from === undefined ? undefined : itemById(graph, where.from);
  return from ? `Follows ${labelOf(from)}.` : 'Stands alone until you connect it.';
}

function middleOf(flow: ReturnType<typeof useReactFlow>): Point {
  const pane = document.querySelector('.canvas')?.getBoundingClientRect();
  if (!pane) return { x: 0, y: 0 };
  const at = flow.screenToFlowPosition({ x: pane.left + pane.width / 2, y: pane.top + pane.height / 2 });
  return { x: at.x - NODE_WIDTH / 2, y: at.y - NODE_HEIGHT / 2 };
}

function styleOf(anchor: Point | undefined): CSSProperties {
  const left = anchor ? anchor.x : (window.innerWidth - WIDTH) / 2;
  const top = anchor ? anchor.y : window.innerHeight * 0.22;
  return {
    left: Math.max(8, Math.min(left, window.innerWidth - WIDTH - 8)),
    top: Math.max(8, Math.min(top, window.innerHeight - HEIGHT - 8)),
  };
}
