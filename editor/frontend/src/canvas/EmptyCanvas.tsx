/* What a new workflow says: the first step is one key or one click away. */

import { MousePointerClick, Plus } from 'lucide-react';
import { useEditor, useSlice } from './context';
import { KindTile, offersOf } from './kinds';

const SUGGESTIONS = 4;

export function EmptyCanvas() {
  const editor = useEditor();
  const canEdit = useSlice((state) => state.can.edit);
  const catalogue = useSlice((state) => state.catalogue);
  const offers = offersOf(catalogue);
  const tasks = offers.filter((offer) => offer.kind === 'task').slice(0, SUGGESTIONS - 1);
  const first = [...tasks, ...offers.filter((offer) => offer.kind === 'approval')].slice(0, SUGGESTIONS);
  if (!canEdit)
    return (
      <div className="canvas-empty">
        <p>This workflow has no steps yet.</p>
      </div>
    );
  return (
    <div className="canvas-empty">
      <MousePointerClick size={28} strokeWidth={1.5} aria-hidden="true" />
      <h2>Begin with a first step</h2>
      <p>
        Drag one from the list on the left, or press <kbd className="kbd">/</kbd>. Then draw a wire from step
        to step; a wire drawn backwards makes a loop.
      </p>
      <ul className="canvas-first">
        {first.map((offer) => (
          <li key={offer.key}>
            <button type="button" className="button" onClick={() => editor.add(offer, {}, { x: 0, y: 0 })}>
              <KindTile kind={offer.kind} />
              {offer.label}
            </button>
          </li>
        ))}
        <li>
          <button
            type="button"
            className="button button--primary"
            onClick={() => editor.store.setState({ quickAdd: {} })}
          >
            <Plus size={15} aria-hidden="true" />
            All steps
          </button>
        </li>
      </ul>
    </div>
  );
}
