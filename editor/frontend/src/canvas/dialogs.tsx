/* Questions before something that leaves the draft: publish, run, a conflict; and the settings of a new loop. */

import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { runs, type Version, type Workflow, workflows } from '../api/client';
import { type ApiProblem, newKey, problemText } from '../api/http';
import { type Fields, isFields, labelOf } from '../graph/document';
import { edgeById, itemById, remove } from '../graph/edits';
import { useEditor, usePage, useSlice } from './context';
import { EdgeFields } from './EdgeSettings';
import { CheckField, TextField } from './fields';
import { defaultsOf, SchemaForm } from './SchemaForm';

export function Dialogs({ onClose }: { onClose: () => void }) {
  const editor = useEditor();
  const dialog = useSlice((state) => state.dialog);
  const close = () => {
    editor.store.setState({ dialog: undefined });
    onClose();
  };
  switch (dialog?.type) {
    case 'publish':
      return <PublishDialog onClose={close} />;
    case 'run':
      return <RunDialog onClose={close} />;
    case 'loop':
      return <LoopDialog key={dialog.edge} id={dialog.edge} onClose={close} />;
    case 'conflict':
      return <ConflictDialog theirs={dialog.theirs} />;
    case 'keys':
      return <KeysDialog onClose={close} />;
    default:
      return null;
  }
}

type ShellProps = {
  readonly title: string;
  readonly children: ReactNode;
  readonly actions: ReactNode;
  readonly onClose: () => void;
  readonly onSubmit?: () => void;
};

function Shell({ title, children, actions, onClose, onSubmit }: ShellProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    const field = element?.querySelector<HTMLElement>('.dialog-body :is(input, textarea, select)');
    (field ?? element?.querySelector<HTMLElement>('.dialog-actions .button--primary'))?.focus();
    return () => element?.close();
  }, []);
  // The deed may become possible while the dialog is open: a check ends, a request comes back. Enter then does it.
  const wasOff = useRef(false);
  useEffect(() => {
    const deed = dialog.current?.querySelector<HTMLButtonElement>('.dialog-actions .button--primary');
    const isIdle = document.activeElement?.matches('body, dialog, .dialog-actions *');
    if (wasOff.current && deed && !deed.disabled && isIdle) deed.focus();
    wasOff.current = deed?.disabled ?? false;
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit?.();
  };
  return (
    <dialog
      ref={dialog}
      className="dialog editor-dialog"
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <form onSubmit={submit} noValidate>
        <h2 id="dialog-title">{title}</h2>
        <div className="dialog-body">{children}</div>
        <div className="dialog-actions">{actions}</div>
      </form>
    </dialog>
  );
}

function Cancel({ onClick, words = 'Cancel' }: { onClick: () => void; words?: string }) {
  return (
    <button type="button" className="button" onClick={onClick}>
      {words}
    </button>
  );
}

function Refusal({ problem }: { problem: ApiProblem | undefined }) {
  if (!problem) return null;
  return (
    <div className="notice notice--error" role="alert">
      <div>
        <p>{problemText(problem)}</p>
        {problem.errors.length > 0 && (
          <ul>
            {problem.errors.slice(0, 6).map((error) => (
              <li key={`${error.path} ${error.message}`}>{error.message}</li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

/** Save what is on the screen, then publish exactly that. */
function usePublish() {
  const { editor, draft } = usePage();
  const key = useRef(newKey());
  return async (note: string): Promise<Version | ApiProblem> => {
    if (!(await draft.save())) {
      return {
        status: 0,
        code: 'not_saved',
        title: 'Not saved',
        detail: 'The draft could not be saved, so it was not published.',
        errors: [],
        more: {},
      };
    }
    const made = await workflows.publish(editor.workflowId, note, draft.revision(), key.current);
    if (!made.ok) {
      key.current = newKey();
      return made.problem;
    }
    editor.store.setState({ latestVersion: made.value.number });
    return made.value;
  };
}

function PublishDialog({ onClose }: { onClose: () => void }) {
  const editor = useEditor();
  const publish = usePublish();
  const version = useSlice((state) => state.latestVersion);
  const errors = useSlice((state) => state.problems.filter((problem) => problem.severity === 'error').length);
  const [note, setNote] = useState('');
  const [problem, setProblem] = useState<ApiProblem>();
  const [isBusy, setBusy] = useState(false);
  const submit = async () => {
    if (errors > 0 || isBusy) return;
    setBusy(true);
    const made = await publish(note.trim());
    setBusy(false);
    if ('status' in made) return setProblem(made);
    editor.say(`Version ${made.number} is published.`, 'info');
    onClose();
  };
  const show = () => {
    editor.want('problems');
    onClose();
  };
  return (
    <Shell
      title={`Publish version ${(version ?? 0) + 1}`}
      onClose={onClose}
      onSubmit={submit}
      actions={
        <>
          <Cancel onClick={onClose} />
          {errors > 0 ? (
            <button type="button" className="button button--primary" onClick={show}>
              Show the {errors === 1 ? 'problem' : `${errors} problems`}
            </button>
          ) : (
            <button type="submit" className="button button--primary" disabled={isBusy}>
              {isBusy ? 'Publishing…' : 'Publish version'}
            </button>
          )}
        </>
      }
    >
      {errors > 0 ? (
        <p>This draft cannot run yet. Settle its problems first; warnings do not keep it back.</p>
      ) : (
        <>
          <p>New runs use this version. Runs under way keep theirs.</p>
          <TextField label="What is new" rows={3} value={note} placeholder="Optional" onChange={setNote} />
        </>
      )}
      <Refusal problem={problem} />
    </Shell>
  );
}

function RunDialog({ onClose }: { onClose: () => void }) {
  const { editor, draft, urls } = usePage();
  const publish = usePublish();
  const can = useSlice((state) => state.can);
  const version = useSlice((state) => state.latestVersion);
  const errors = useSlice((state) => state.problems.filter((problem) => problem.severity === 'error').length);
  const published = usePublished(version);
  const isChanged =
    version === null || (published !== undefined && JSON.stringify(published.document) !== editor.text());
  const mayPublish = can.publish && errors === 0;
  const [isFresh, setFresh] = useState(true);
  const publishesFirst = isChanged && mayPublish && isFresh;
  const document = publishesFirst || !published ? editor.document() : published.document;
  const schema = isFields(document.inputs) ? document.inputs : {};
  const [values, setValues] = useState<Fields>({});
  const [problem, setProblem] = useState<ApiProblem>();
  const [isBusy, setBusy] = useState(false);
  const key = useRef(newKey());
  const inputs = { ...defaultsOf(schema), ...values };
  const fieldErrors = new Map(
    (problem?.errors ?? []).map((error) => [error.path.replace(/^inputs\.?/, ''), error.message]),
  );
  const canStart = version !== null || mayPublish;

  const submit = async () => {
    if (!canStart || isBusy) return;
    setBusy(true);
    if (publishesFirst) {
      const made = await publish('');
      if ('status' in made) {
        setBusy(false);
        return setProblem(made);
      }
    }
    const started = await runs.start({ workflow: editor.workflowId, inputs }, key.current);
    if (started.ok) {
      await draft.save();
      window.location.assign((urls.run ?? '/runs/{id}/').replace('{id}', started.value.id));
      return;
    }
    key.current = newKey();
    setBusy(false);
    setProblem(started.problem);
  };

  return (
    <Shell
      title="Run the workflow"
      onClose={onClose}
      onSubmit={submit}
      actions={
        <>
          <Cancel onClick={onClose} />
          <button type="submit" className="button button--primary" disabled={isBusy || !canStart}>
            {isBusy ? 'Starting…' : publishesFirst ? 'Publish and start' : 'Start run'}
          </button>
        </>
      }
    >
      {!canStart && (
        <p>
          There is no published version yet, and the draft has problems that keep it from being published.
        </p>
      )}
      {canStart && version !== null && !isChanged && <p>Runs version {version}.</p>}
      {isChanged && mayPublish && version !== null && (
        <CheckField
          label={`Publish the changes of the draft first, as version ${version + 1}`}
          value={isFresh}
          help={`Otherwise version ${version} runs.`}
          onChange={setFresh}
        />
      )}
      {isChanged && mayPublish && version === null && (
        <p>The draft is published as version 1, then started.</p>
      )}
      {isChanged && !mayPublish && version !== null && (
        <p>Runs version {version}, without the changes of the draft.</p>
      )}
      {canStart && (
        <SchemaForm
          schema={schema}
          values={inputs}
          errors={fieldErrors}
          onChange={(name, value) => setValues((old) => ({ ...old, [name]: value }))}
        />
      )}
      <Refusal problem={problem} />
    </Shell>
  );
}

/** The document of the newest version, to say whether the draft differs from it. */
function usePublished(version: number | null): Version | undefined {
  const editor = useEditor();
  const [found, setFound] = useState<Version>();
  useEffect(() => {
    let isCurrent = true;
    if (version !== null) {
      void workflows.version(editor.workflowId, version).then((answer) => {
        if (isCurrent && answer.ok) setFound(answer.value);
      });
    }
    return () => {
      isCurrent = false;
    };
  }, [editor, version]);
  return found?.number === version ? found : undefined;
}

function LoopDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const loop = useSlice((state) => state.analysis.loops.get(id));
  const edge = edgeById(graph, id);
  if (!edge || !loop) return null;
  const source = itemById(graph, edge.source);
  const target = itemById(graph, edge.target);
  const removeLoop = () => {
    editor.run(remove(editor.store.getState().graph, new Set([id])));
    onClose();
  };
  return (
    <Shell
      title="This wire goes round"
      onClose={onClose}
      onSubmit={onClose}
      actions={
        <>
          <Cancel words="Remove the loop" onClick={removeLoop} />
          <button type="submit" className="button button--primary">
            Done
          </button>
        </>
      }
    >
      <p>
        After <strong>{source ? labelOf(source) : edge.source}</strong> the work goes back to{' '}
        <strong>{target ? labelOf(target) : edge.target}</strong>. What leaves the loop starts once it has
        ended.
      </p>
      <EdgeFields edge={edge} loop={loop} />
    </Shell>
  );
}

function ConflictDialog({ theirs }: { theirs: Workflow }) {
  const { editor, draft } = usePage();
  const [isCopied, setCopied] = useState(false);
  const who = theirs.updated_by ? ` by ${theirs.updated_by}` : '';
  const when = theirs.updated_at ? ` at ${new Date(theirs.updated_at).toLocaleTimeString()}` : '';
  const copyAndTake = async () => {
    if (await copyToClipboard(JSON.stringify(editor.document(), null, 2))) {
      setCopied(true);
      draft.take(theirs);
      editor.say('Your version is in the clipboard; paste it here or anywhere.', 'info');
    } else editor.say('The browser did not let the text into the clipboard; nothing was changed.', 'refusal');
  };
  return (
    <Shell
      title="The draft was changed elsewhere"
      onClose={() => undefined}
      actions={
        <>
          <Cancel words="Take theirs" onClick={() => draft.take(theirs)} />
          <button type="button" className="button" disabled={isCopied} onClick={copyAndTake}>
            Take theirs, copy mine
          </button>
          <button type="button" className="button button--danger" onClick={() => draft.overwrite(theirs)}>
            Overwrite with mine
          </button>
        </>
      }
    >
      <p>
        The draft was saved{who}
        {when} while you were editing. Nothing of yours is lost yet: choose which one stays.
      </p>
    </Shell>
  );
}

async function copyToClipboard(words: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return copyBySelection(words);
  }
}

/** For pages over plain http, where the clipboard's own interface is missing. */
function copyBySelection(words: string): boolean {
  const area = document.createElement('textarea');
  area.value = words;
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

const KEYS: readonly (readonly [string, string])[] = [
  ['/ or Tab', 'Add a step after the selected one'],
  ['C', 'Connect: arrows or letters pick the target, Enter draws'],
  ['Arrows', 'Go to the next step'],
  ['Ctrl Arrows', 'Move the selected steps'],
  ['Enter', 'Go to the settings'],
  ['Del', 'Delete'],
  ['Ctrl Z, Ctrl Shift Z', 'Undo, redo'],
  ['Ctrl C, X, V, D', 'Copy, cut, paste, duplicate'],
  ['Ctrl A', 'Select everything'],
  ['G', 'Put the selected steps side by side'],
  ['L', 'Select the whole cycle'],
  ['Shift T', 'Tidy'],
  ['F', 'Show everything'],
  ['Esc', 'From the settings back to the canvas; there: select nothing, then Tab leaves it'],
  ['Ctrl Enter', 'Run'],
  ['Ctrl Shift Enter', 'Publish'],
];

function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Shell
      title="Keys"
      onClose={onClose}
      onSubmit={onClose}
      actions={
        <button type="submit" className="button button--primary">
          Close
        </button>
      }
    >
      <dl className="keys">
        {KEYS.map(([keys, does]) => (
          <div key={keys}>
            <dt>
              <kbd className="kbd">{keys}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Shell>
  );
}
