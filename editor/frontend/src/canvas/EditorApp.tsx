/* The editor page put together: palette and outline, canvas with problems, settings; keys and spoken messages. */

import { ReactFlowProvider, useReactFlow } from '@xyflow/react';
import { Keyboard, Maximize, Minus, Plus } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import { tasks } from '../api/client';
import { problemText } from '../api/http';
import { Canvas, useFit } from './Canvas';
import { EditorProvider, useEditor, useSlice } from './context';
import { Dialogs } from './dialogs';
import { type Draft, keepDraft } from './draft';
import { createEditor, type Editor, type EditorPage } from './editor';
import { Inspector } from './Inspector';
import { chosenEnd, onKey, onPageKey, openQuickAdd } from './keys';
import { Outline } from './Outline';
import { Palette } from './Palette';
import { Problems } from './Problems';
import { QuickAdd } from './QuickAdd';
import { Toolbar } from './Toolbar';
import { TopBar } from './TopBar';

const NARROW = '(max-width: 760px)';
const TOAST_MS = 6_000;

export type PageData = EditorPage & { readonly urls: Readonly<Record<string, string>> };

export function openEditor(page: PageData): { editor: Editor; draft: Draft } {
  // A phone shows the workflow but is too narrow to edit it.
  const isNarrow = window.matchMedia(NARROW).matches;
  const editor = createEditor({ ...page, can: { ...page.can, edit: page.can.edit && !isNarrow } });
  return { editor, draft: keepDraft(editor) };
}

export function EditorApp({ editor, draft, urls }: { editor: Editor; draft: Draft; urls: PageData['urls'] }) {
  useEffect(() => draft.start(), [draft]);
  useEffect(() => {
    void tasks.catalogue().then((answer) => {
      if (answer.ok) editor.setCatalogue(answer.value);
      else editor.store.setState({ catalogueError: problemText(answer.problem) });
    });
  }, [editor]);
  return (
    <EditorProvider value={{ editor, draft, urls }}>
      <ReactFlowProvider>
        <Layout />
      </ReactFlowProvider>
    </EditorProvider>
  );
}

function Layout() {
  const editor = useEditor();
  const canEdit = useSlice((state) => state.can.edit);
  const stage = useRef<HTMLDivElement>(null);
  const fit = useFit();
  const toCanvas = useCallback(() => stage.current?.focus({ preventScroll: true }), []);
  // Later, because a dialog that closes gives the focus back to what had it before.
  const backToCanvas = useCallback(() => setTimeout(toCanvas, 0), [toCanvas]);
  const openSettings = useCallback(() => {
    // What is wrong comes first: that is why most people go there.
    const wrong = document.querySelector<HTMLElement>('.inspector-section [aria-invalid="true"]');
    (
      wrong ?? document.querySelector<HTMLElement>('.inspector-section :is(input, textarea, select)')
    )?.focus();
  }, []);
  useCanvasKeys(editor, fit, openSettings);
  useClipboard(editor);
  return (
    <div className="editor" data-view-only={!canEdit || undefined}>
      <TopBar />
      <div className="editor-body">
        {canEdit && <Side onOpen={openSettings} />}
        <div className="stage">
          <Canvas stage={stage} />
          <Tools fit={fit} />
          <Problems />
        </div>
        <Inspector />
      </div>
      <QuickAdd onDone={toCanvas} />
      <Dialogs onClose={backToCanvas} />
      <Messages />
    </div>
  );
}

const TABS = [
  { id: 'add', label: 'Steps' },
  { id: 'outline', label: 'Outline' },
] as const;

function Side({ onOpen }: { onOpen: () => void }) {
  const [tab, setTab] = useState<'add' | 'outline'>('add');
  const other = tab === 'add' ? 'outline' : 'add';
  return (
    <aside className="side" aria-label="Steps">
      <div className="side-tabs" role="tablist" aria-label="Steps and outline">
        {TABS.map(({ id, label }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`side-tab-${id}`}
            aria-selected={tab === id}
            aria-controls={`side-${id}`}
            tabIndex={tab === id ? 0 : -1}
            onClick={() => setTab(id)}
            onKeyDown={(event) => {
              if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
              setTab(other);
              document.getElementById(`side-tab-${other}`)?.focus();
            }}
          >
            {label}
          </button>
        ))}
      </div>
      <div
        className="side-panel"
        role="tabpanel"
        id="side-add"
        aria-labelledby="side-tab-add"
        hidden={tab !== 'add'}
      >
        <Palette />
      </div>
      <div
        className="side-panel"
        role="tabpanel"
        id="side-outline"
        aria-labelledby="side-tab-outline"
        hidden={tab !== 'outline'}
        data-keys="outline"
      >
        {tab === 'outline' && <Outline onOpen={onOpen} />}
      </div>
    </aside>
  );
}

function Tools({ fit }: { fit: () => void }) {
  const editor = useEditor();
  const flow = useReactFlow();
  const canEdit = useSlice((state) => state.can.edit);
  return (
    <>
      {canEdit && (
        <div className="stage-tools stage-tools--top">
          <button
            type="button"
            className="button"
            title="Add a step (/)"
            onClick={() => openQuickAdd(editor, chosenEnd(editor))}
          >
            <Plus size={15} aria-hidden="true" />
            Add step
          </button>
        </div>
      )}
      <Toolbar className="stage-tools stage-tools--view" label="View">
        <ToolButton label="Zoom out" onClick={() => void flow.zoomOut({ duration: 120 })}>
          <Minus size={15} aria-hidden="true" />
        </ToolButton>
        <ToolButton label="Zoom in" onClick={() => void flow.zoomIn({ duration: 120 })}>
          <Plus size={15} aria-hidden="true" />
        </ToolButton>
        <ToolButton label="Zoom to fit" onClick={fit}>
          <Maximize size={15} aria-hidden="true" />
        </ToolButton>
        <ToolButton label="Keys" onClick={() => editor.store.setState({ dialog: { type: 'keys' } })}>
          <Keyboard size={15} aria-hidden="true" />
        </ToolButton>
      </Toolbar>
    </>
  );
}

function ToolButton({
  label,
  onClick,
  children,
}: {
  label: string;
  onClick: () => void;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      className="button button--quiet button--icon"
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

/** What was done is spoken; what matters is shown as well, for a while. */
function Messages() {
  const message = useSlice((state) => state.message);
  const [shown, setShown] = useState(0);
  const isToast = message.tone !== 'quiet' && message.count !== shown;
  useEffect(() => {
    if (message.tone === 'quiet') return;
    const timer = setTimeout(() => setShown(message.count), TOAST_MS);
    return () => clearTimeout(timer);
  }, [message]);
  return (
    <>
      <p className="visually-hidden" role="status" aria-live="polite" data-testid="live-region">
        {message.text}
      </p>
      {isToast && (
        <p className="toast" data-tone={message.tone} aria-hidden="true">
          {message.text}
        </p>
      )}
    </>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'))
  );
}

/** Keys belong to the canvas when it, the outline or nothing in particular has the focus. */
function useCanvasKeys(editor: Editor, fit: () => void, openSettings: () => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const { target } = event;
      if (event.defaultPrevented || document.querySelector('dialog[open], .quick')) return;
      const isMod = event.ctrlKey || event.metaKey;
      const element = target instanceof HTMLElement ? target : document.body;
      if (isMod && onPageKey(editor, event)) {
        event.preventDefault();
        return;
      }
      if (event.key === 'Escape' && element.closest('.inspector')) {
        document.querySelector<HTMLElement>('.canvas-stage')?.focus();
        return;
      }
      if (isTyping(target)) return;
      const isOurs = element === document.body || element.closest('[data-keys]') !== null;
      // Undo works from every button; the other keys would surprise there.
      const isUndo = isMod && ['z', 'y'].includes(event.key.toLowerCase());
      if (!isOurs && !isUndo) return;
      if (element === document.body && event.key === 'Tab') return;
      if (element.closest('button') && (event.key === 'Enter' || event.key === ' ')) return;
      if (onKey(editor, event, { fit, openSettings })) event.preventDefault();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, [editor, fit, openSettings]);
}

function useClipboard(editor: Editor): void {
  useEffect(() => {
    const isOurs = (event: ClipboardEvent) =>
      !isTyping(event.target) &&
      !document.querySelector('dialog[open]') &&
      !window.getSelection()?.toString();
    const copy = (event: ClipboardEvent) => {
      const clip = isOurs(event) ? editor.copy() : undefined;
      if (!clip) return;
      event.clipboardData?.setData('text/plain', clip);
      event.preventDefault();
      if (event.type === 'cut') editor.removeSelected();
      else editor.say('Copied.');
    };
    const paste = (event: ClipboardEvent) => {
      if (isTyping(event.target) || document.querySelector('dialog[open]')) return;
      if (editor.paste(event.clipboardData?.getData('text/plain') ?? '')) event.preventDefault();
    };
    document.addEventListener('copy', copy);
    document.addEventListener('cut', copy);
    document.addEventListener('paste', paste);
    return () => {
      document.removeEventListener('copy', copy);
      document.removeEventListener('cut', copy);
      document.removeEventListener('paste', paste);
    };
  }, [editor]);
}
