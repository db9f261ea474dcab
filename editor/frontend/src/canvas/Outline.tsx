/* The same workflow as a list: every step with the edges that leave it, for keyboards and screen readers.

   One tab stop; arrows move, Enter opens the settings, and all keys of the canvas work here as well. */

import { CornerDownRight, RotateCw } from 'lucide-react';
import { type KeyboardEvent, useMemo, useRef, useState } from 'react';
import { edgeOn, expressionOf, type Graph, type GraphEdge, labelOf, placeOf } from '../graph/document';
import { itemById } from '../graph/edits';
import { type Analysis, boundText } from '../graph/loops';
import { useEditor, useSlice } from './context';
import { KindTile, lookOf } from './kinds';

type Row = {
  readonly id: string;
  readonly level: 1 | 2;
  readonly kind: string;
  readonly words: string;
  readonly isLoop: boolean;
};

export function Outline({ onOpen }: { onOpen: () => void }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const analysis = useSlice((state) => state.analysis);
  const selection = useSlice((state) => state.selection);
  const [current, setCurrent] = useState('');
  const list = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => rowsOf(graph, analysis), [graph, analysis]);
  const tabStop =
    rows.find((row) => row.id === current) ?? rows.find((row) => selection.has(row.id)) ?? rows[0];

  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (
      step !== 0 &&
      !event.altKey &&
      !event.ctrlKey &&
      !event.metaKey &&
      !editor.store.getState().connecting
    ) {
      const at = rows.findIndex((row) => row.id === tabStop?.id);
      const next = rows[at + step];
      if (next) {
        editor.select([next.id]);
        setCurrent(next.id);
        list.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(next.id)}"]`)?.focus();
      }
      event.preventDefault();
      event.stopPropagation();
    }
  };

  if (rows.length === 0) return <p className="palette-note">No steps yet.</p>;
  return (
    <div
      className="outline"
      role="tree"
      aria-label="Steps and edges"
      tabIndex={-1}
      ref={list}
      onKeyDown={onKeyDown}
    >
      {rows.map((row) => (
        // biome-ignore lint/a11y/useKeyWithClickEvents: the tree above has the keys
        <div
          key={row.id}
          role="treeitem"
          aria-level={row.level}
          aria-selected={selection.has(row.id)}
          className="outline-row"
          data-row={row.id}
          data-level={row.level}
          tabIndex={row.id === tabStop?.id ? 0 : -1}
          onFocus={() => setCurrent(row.id)}
          onClick={() => {
            editor.select([row.id]);
            editor.reveal(row.id);
          }}
          onDoubleClick={onOpen}
        >
          {row.level === 1 ? <KindTile kind={row.kind} /> : <EdgeMark isLoop={row.isLoop} />}
          <span className="truncate">{row.words}</span>
        </div>
      ))}
    </div>
  );
}

function EdgeMark({ isLoop }: { isLoop: boolean }) {
  const Icon = isLoop ? RotateCw : CornerDownRight;
  return <Icon size={13} className="outline-mark" aria-hidden="true" />;
}

function rowsOf(graph: Graph, analysis: Analysis): Row[] {
  const leaving = Map.groupBy(graph.edges, (edge) => edge.source);
  const steps = [...graph.nodes].sort((a, b) => {
    const [first, second] = [placeOf(graph, a.id), placeOf(graph, b.id)];
    return (first?.x ?? 0) - (second?.x ?? 0) || (first?.y ?? 0) - (second?.y ?? 0);
  });
  const rows: Row[] = [];
  for (const node of steps) {
    const kind = typeof node.fields.kind === 'string' ? node.fields.kind : 'task';
    const name = labelOf(node);
    const word = lookOf(kind).word;
    rows.push({
      id: node.id,
      level: 1,
      kind,
      words: name === word ? name : `${name}, ${word.toLowerCase()}`,
      isLoop: false,
    });
    for (const edge of leaving.get(node.id) ?? []) rows.push(edgeRow(graph, analysis, edge));
  }
  for (const group of graph.groups) {
    const members = group.members.length;
    rows.push({
      id: group.id,
      level: 1,
      kind: 'map',
      words: `${labelOf(group)}, group of ${members}`,
      isLoop: false,
    });
    for (const edge of leaving.get(group.id) ?? []) rows.push(edgeRow(graph, analysis, edge));
  }
  return rows;
}

function edgeRow(graph: Graph, analysis: Analysis, edge: GraphEdge): Row {
  const loop = analysis.loops.get(edge.id);
  const target = itemById(graph, edge.target);
  const on = edgeOn(edge);
  const parts = [
    loop ? 'back to' : 'to',
    target ? labelOf(target) : edge.target,
    on === 'success' ? '' : `on ${on}`,
    expressionOf(edge.fields.when) ? `when ${expressionOf(edge.fields.when)}` : '',
    loop ? `(${boundText(loop.bound)})` : '',
  ];
  return {
    id: edge.id,
    level: 2,
    kind: '',
    words: parts.filter(Boolean).join(' '),
    isLoop: loop !== undefined,
  };
}
