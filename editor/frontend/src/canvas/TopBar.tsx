/* What is open, whether it is safe, and the few things done to all of it. */

import {
  ArrowLeft,
  Check,
  CloudAlert,
  CloudOff,
  LoaderCircle,
  type LucideIcon,
  Pencil,
  Play,
  Redo2,
  Rocket,
  Undo2,
  WandSparkles,
} from 'lucide-react';
import { setting, text } from '../graph/document';
import { usePage, useSlice } from './context';
import type { Saving } from './editor';
import { Toolbar } from './Toolbar';

export function TopBar() {
  const { editor, urls } = usePage();
  const can = useSlice((state) => state.can);
  const name = useSlice((state) => text(setting(state.graph, 'name')));
  const version = useSlice((state) => state.latestVersion);
  const canUndo = useSlice((state) => state.history.past.length > 0);
  const canRedo = useSlice((state) => state.history.future.length > 0);
  return (
    <header className="topbar">
      <a className="button button--quiet button--icon" href={urls.workflow} aria-label="Back to the workflow">
        <ArrowLeft size={16} aria-hidden="true" />
      </a>
      <div className="topbar-name">
        <button
          type="button"
          className="topbar-title"
          title="Name, inputs and defaults of the workflow"
          onClick={() => editor.select([])}
        >
          {name || 'Unnamed workflow'}
        </button>
        <span className="chip">{version === null ? 'Not published' : `Version ${version}`}</span>
        <SaveState />
      </div>
      <Toolbar className="topbar-tools" label="Edit">
        <IconButton
          icon={Undo2}
          label="Undo"
          keys="Ctrl Z"
          isOff={!canUndo || !can.edit}
          onClick={() => editor.undo()}
        />
        <IconButton
          icon={Redo2}
          label="Redo"
          keys="Ctrl Shift Z"
          isOff={!canRedo || !can.edit}
          onClick={() => editor.redo()}
        />
        <IconButton
          icon={WandSparkles}
          label="Tidy"
          keys="Shift T"
          isOff={!can.edit}
          onClick={() => editor.tidy()}
        />
      </Toolbar>
      <div className="topbar-actions">
        {can.run && (
          <button
            type="button"
            className="button"
            title="Run (Ctrl Enter)"
            aria-keyshortcuts="Control+Enter"
            onClick={() => editor.store.setState({ dialog: { type: 'run' } })}
          >
            <Play size={14} aria-hidden="true" />
            Run
          </button>
        )}
        {can.publish && (
          <button
            type="button"
            className="button button--primary"
            title="Publish (Ctrl Shift Enter)"
            aria-keyshortcuts="Control+Shift+Enter"
            onClick={() => editor.store.setState({ dialog: { type: 'publish' } })}
          >
            <Rocket size={14} aria-hidden="true" />
            Publish
          </button>
        )}
      </div>
    </header>
  );
}

type IconButtonProps = { icon: LucideIcon; label: string; keys: string; isOff: boolean; onClick: () => void };

export function IconButton({ icon: Icon, label, keys, isOff, onClick }: IconButtonProps) {
  // Not `disabled`: a button that loses the focus while it is used sends the keyboard to the top of the page.
  return (
    <button
      type="button"
      className="button button--quiet button--icon"
      aria-label={label}
      aria-disabled={isOff || undefined}
      title={keys ? `${label} (${keys})` : label}
      onClick={() => !isOff && onClick()}
    >
      <Icon size={16} aria-hidden="true" />
    </button>
  );
}

const STATES: Record<Saving['state'], { icon: LucideIcon; words: string }> = {
  saved: { icon: Check, words: 'Saved' },
  unsaved: { icon: Pencil, words: 'Editing…' },
  saving: { icon: LoaderCircle, words: 'Saving…' },
  offline: { icon: CloudOff, words: 'Offline' },
  refused: { icon: CloudAlert, words: 'Not saved' },
  conflict: { icon: CloudAlert, words: 'Changed elsewhere' },
};

function SaveState() {
  const { editor } = usePage();
  const saving = useSlice((state) => state.saving);
  const canEdit = useSlice((state) => state.can.edit);
  const { icon: Icon, words } = STATES[saving.state];
  const detail =
    'detail' in saving
      ? saving.detail
      : saving.state === 'offline'
        ? 'Your work is kept in this browser and sent when the server answers again.'
        : '';
  if (!canEdit) return <span className="save-state">View only</span>;
  return (
    <span
      className="save-state"
      data-state={saving.state}
      data-testid="save-state"
      title={detail || undefined}
    >
      <Icon size={13} aria-hidden="true" />
      <span role="status">{words}</span>
      {detail && saving.state === 'refused' && (
        <button type="button" className="inspector-link" onClick={() => editor.say(detail, 'refusal')}>
          Why?
        </button>
      )}
    </span>
  );
}
