/* What the keys do while the canvas or the outline has the focus. */

import { labelOf, type Point, placeOf } from '../graph/document';
import { itemById } from '../graph/edits';
import type { Editor } from './editor';
import { type Direction, neighbour, sceneOf } from './scene';

export type Deeds = { readonly fit: () => void; readonly openSettings: () => void };

const NUDGE = 24;
const DIRECTIONS: Record<Direction, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The letters typed towards a target in connect mode; a pause starts a new word. */
let typed = { word: '', at: 0 };
const WORD_MS = 900;

/** Returns whether the key was used. */
export function onKey(editor: Editor, event: KeyboardEvent, deeds: Deeds): boolean {
  const { connecting } = editor.store.getState();
  if (connecting) return connectKey(editor, event, connecting);
  const isMod = event.ctrlKey || event.metaKey;
  if (isMod && !event.altKey) return modKey(editor, event);
  if (event.altKey) return false;
  return plainKey(editor, event, deeds);
}

/** Keys of the whole page, also while somebody types. */
export function onPageKey(editor: Editor, event: KeyboardEvent): boolean {
  const { can } = editor.store.getState();
  if (event.key === 'Enter') {
    if (event.shiftKey ? !can.publish : !can.run) return false;
    editor.store.setState({ dialog: { type: event.shiftKey ? 'publish' : 'run' } });
    return true;
  }
  if (event.key.toLowerCase() !== 's' || event.shiftKey || !can.edit) return false;
  editor.say('Nothing to do: every change is saved by itself, two seconds after the last one.');
  return true;
}

function modKey(editor: Editor, event: KeyboardEvent): boolean {
  switch (event.key.toLowerCase()) {
    case 'z':
      if (event.shiftKey) editor.redo();
      else editor.undo();
      return true;
    case 'y':
      editor.redo();
      return true;
    case 'a':
      editor.selectAll();
      return true;
    case 'd': {
      const clip = editor.copy();
      if (clip) editor.paste(clip);
      return true;
    }
    default:
      return isDirection(event.key) && nudge(editor, event.key);
  }
}

function plainKey(editor: Editor, event: KeyboardEvent, deeds: Deeds): boolean {
  const { selection } = editor.store.getState();
  const start = chosenEnd(editor);
  switch (event.key) {
    case '/':
      openQuickAdd(editor, start);
      return true;
    case 'Tab':
      // With nothing selected Tab leaves the canvas, so nobody is caught in it.
      if (event.shiftKey || !start || !editor.store.getState().can.edit) return false;
      openQuickAdd(editor, start);
      return true;
    case 'Enter':
      if (selection.size !== 1) return false;
      deeds.openSettings();
      return true;
    case 'Delete':
    case 'Backspace':
      editor.removeSelected();
      return true;
    case 'Escape':
      editor.select([]);
      editor.say('Nothing is selected.');
      return true;
    case 'c':
      return startConnecting(editor, start);
    case 'g':
      editor.group();
      return true;
    case 'l':
      editor.selectRelated('cycle');
      return true;
    case 'f':
      deeds.fit();
      return true;
    case 'T':
      editor.tidy();
      return true;
    case '?':
      editor.store.setState({ dialog: { type: 'keys' } });
      return true;
    default:
      return isDirection(event.key) && !event.shiftKey && go(editor, event.key);
  }
}

function connectKey(
  editor: Editor,
  event: KeyboardEvent,
  state: { from: string; target: string | undefined },
): boolean {
  const aim = (target: string | undefined) => {
    if (target === undefined) return;
    editor.store.setState({ connecting: { ...state, target } });
    editor.reveal(target);
    editor.say(`To ${nameOf(editor, target)}? Enter draws the edge, Escape stops.`);
  };
  if (event.key === 'Escape') {
    editor.store.setState({ connecting: undefined });
    editor.say('No edge was drawn.');
  } else if (event.key === 'Enter') {
    editor.store.setState({ connecting: undefined });
    if (state.target === undefined) editor.say('No target was picked, so no edge was drawn.', 'refusal');
    else editor.connect(state.from, state.target);
  } else if (isDirection(event.key)) aim(neighbour(boxesOf(editor), state.target ?? state.from, event.key));
  else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) aim(typedTarget(editor, event.key));
  else return event.key === 'Tab';
  return true;
}

function startConnecting(editor: Editor, from: string | undefined): boolean {
  const { can } = editor.store.getState();
  if (!can.edit) return false;
  if (!from) {
    editor.say('Select the step an edge should start from, then press C.', 'refusal');
    return true;
  }
  editor.store.setState({ connecting: { from, target: undefined } });
  editor.say(`From ${nameOf(editor, from)} to which step? Arrows or its first letters pick it.`, 'info');
  return true;
}

function typedTarget(editor: Editor, letter: string): string | undefined {
  const now = Date.now();
  typed = { word: (now - typed.at < WORD_MS ? typed.word : '') + letter.toLowerCase(), at: now };
  const { graph } = editor.store.getState();
  const items = [...graph.nodes, ...graph.groups];
  const begins = (text: string) => text.toLowerCase().startsWith(typed.word);
  return items.find((item) => begins(labelOf(item)) || begins(item.id))?.id;
}

export function openQuickAdd(editor: Editor, from: string | undefined): void {
  const { can } = editor.store.getState();
  if (!can.edit) return;
  const box =
    from === undefined ? undefined : document.getElementById(`node-${from}`)?.getBoundingClientRect();
  const anchor = box ? { x: box.right + 16, y: box.top } : undefined;
  editor.store.setState({ quickAdd: { from, anchor } });
}

function go(editor: Editor, direction: Direction): boolean {
  const { graph } = editor.store.getState();
  const start = chosenEnd(editor);
  const next = start === undefined ? graph.nodes[0]?.id : neighbour(boxesOf(editor), start, direction);
  if (next === undefined) return true;
  editor.select([next]);
  editor.reveal(next);
  editor.say(`${nameOf(editor, next)}.`);
  return true;
}

function nudge(editor: Editor, direction: Direction): boolean {
  const { graph, selection } = editor.store.getState();
  const by = DIRECTIONS[direction];
  const places = new Map<string, Point>();
  for (const node of graph.nodes) {
    const at = selection.has(node.id) ? placeOf(graph, node.id) : undefined;
    if (at) places.set(node.id, { x: at.x + by.x * NUDGE, y: at.y + by.y * NUDGE });
  }
  editor.move(places);
  return true;
}

function boxesOf(editor: Editor) {
  const { graph, analysis } = editor.store.getState();
  return sceneOf(graph, analysis, new Map()).boxes;
}

/** The step or group a new edge or step would start from. */
export function chosenEnd(editor: Editor): string | undefined {
  const { graph, selection } = editor.store.getState();
  const [only] = selection;
  if (selection.size !== 1 || only === undefined) return undefined;
  return itemById(graph, only)?.id ?? graph.edges.find((edge) => edge.id === only)?.source;
}

function nameOf(editor: Editor, id: string): string {
  const item = itemById(editor.store.getState().graph, id);
  return item ? labelOf(item) : id;
}

function isDirection(key: string): key is Direction {
  return key in DIRECTIONS;
}
