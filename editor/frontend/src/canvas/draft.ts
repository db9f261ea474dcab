/* Keeping a person's work: the draft on the server within two seconds, a copy in this browser at once.

   Every save says which revision it is based on. Somebody else's newer draft is never overwritten unasked. */

import { type DefinitionProblem, type Workflow, workflows } from '../api/client';
import { type ApiProblem, OFFLINE, problemText } from '../api/http';
import type { Document } from '../graph/document';
import type { Editor } from './editor';

const QUIET_MS = 700;
const LATEST_MS = 1_800;
const CHECK_MS = 450;
const RETRY_MS = [2_000, 4_000, 8_000, 15_000];
/** Browsers refuse larger bodies for requests that outlive the page. */
const KEEPALIVE_BYTES = 60_000;

export type LocalCopy = { readonly revision: number; readonly document: Document };

export type Draft = ReturnType<typeof keepDraft>;

export function keepDraft(editor: Editor) {
  const { store } = editor;
  const key = `graflow:draft:${editor.workflowId}`;
  let revision = editor.firstRevision;
  let savedText = editor.text();
  let firstEditAt = 0;
  let saveTimer: ReturnType<typeof setTimeout> | undefined;
  let checkTimer: ReturnType<typeof setTimeout> | undefined;
  let retries = 0;
  let running: Promise<boolean> | undefined;
  let check: AbortController | undefined;

  const isDirty = () => editor.text() !== savedText;

  function changed(): void {
    if (!isDirty()) {
      clearTimeout(saveTimer);
      firstEditAt = 0;
      forgetLocal(key);
      if (store.getState().saving.state === 'unsaved') store.setState({ saving: { state: 'saved' } });
      return;
    }
    writeLocal(key, { revision, document: editor.document() });
    if (store.getState().saving.state === 'conflict') return;
    if (store.getState().saving.state !== 'offline') store.setState({ saving: { state: 'unsaved' } });
    firstEditAt ||= Date.now();
    clearTimeout(saveTimer);
    saveTimer = setTimeout(save, Math.max(0, Math.min(QUIET_MS, firstEditAt + LATEST_MS - Date.now())));
  }

  /** Save now; true when the server has exactly what is on the screen. */
  async function save(): Promise<boolean> {
    clearTimeout(saveTimer);
    if (running) await running;
    if (!isDirty()) return true;
    if (store.getState().saving.state === 'conflict') return false;
    running = send();
    const done = await running;
    running = undefined;
    return done && (isDirty() ? save() : true);
  }

  async function send(): Promise<boolean> {
    const text = editor.text();
    const document = editor.document();
    store.setState({ saving: { state: 'saving' } });
    firstEditAt = 0;
    const saved = await workflows.saveDraft(
      editor.workflowId,
      { document, name: nameOf(document) },
      revision,
    );
    if (!saved.ok) return refused(saved.problem);
    revision = saved.value.draft_revision;
    savedText = text;
    retries = 0;
    if (isDirty()) writeLocal(key, { revision, document: editor.document() });
    else forgetLocal(key);
    store.setState({ saving: { state: isDirty() ? 'unsaved' : 'saved' } });
    return true;
  }

  async function refused(problem: ApiProblem): Promise<boolean> {
    if (problem.status === 412) {
      await openConflict(problem);
    } else if (problem.status === OFFLINE || problem.status >= 500 || problem.status === 429) {
      store.setState({ saving: { state: 'offline' } });
      saveTimer = setTimeout(save, RETRY_MS[Math.min(retries, RETRY_MS.length - 1)]);
      retries += 1;
    } else {
      const signIn = problem.status === 401 || problem.status === 403;
      const way = signIn ? ' Sign in again in another tab; your changes are kept here.' : '';
      store.setState({ saving: { state: 'refused', detail: problemText(problem) + way } });
    }
    return false;
  }

  async function openConflict(problem: ApiProblem): Promise<void> {
    store.setState({ saving: { state: 'conflict', detail: problemText(problem) } });
    const theirs = await workflows.get(editor.workflowId);
    if (theirs.ok) store.setState({ dialog: { type: 'conflict', theirs: theirs.value } });
    else store.setState({ saving: { state: 'offline' } });
  }

  async function validate(): Promise<void> {
    check?.abort();
    check = new AbortController();
    const graph = store.getState().graph;
    const answer = await workflows.validate(editor.document(), check.signal);
    if (!answer.ok || store.getState().graph !== graph) return;
    editor.setServerProblems(answer.value.problems.map(asError));
  }

  function scheduleCheck(): void {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(validate, CHECK_MS);
  }

  /** What was not saved when the page last ended: shown again, or offered as a conflict. */
  function recover(): void {
    const local = readLocal(key);
    if (!local || !store.getState().can.edit) return;
    if (JSON.stringify(local.document) === savedText) return void forgetLocal(key);
    const theirs = editor.document();
    editor.load(local.document);
    if (local.revision === revision) {
      editor.say('Your unsaved changes from last time are back.', 'info');
      changed();
      return;
    }
    const detail = 'The draft was changed elsewhere while your changes were not saved.';
    const workflow = {
      id: editor.workflowId,
      name: '',
      slug: '',
      document: theirs,
      draft_revision: revision,
      latest_version: null,
    };
    store.setState({ saving: { state: 'conflict', detail }, dialog: { type: 'conflict', theirs: workflow } });
  }

  function start(): () => void {
    recover();
    let graph = store.getState().graph;
    const stop = store.subscribe((state) => {
      if (state.graph === graph) return;
      graph = state.graph;
      changed();
      scheduleCheck();
    });
    const hidden = () => {
      if (document.visibilityState === 'hidden') lastSave();
    };
    const online = () => void save();
    document.addEventListener('visibilitychange', hidden);
    window.addEventListener('pagehide', lastSave);
    window.addEventListener('online', online);
    scheduleCheck();
    return () => {
      stop();
      clearTimeout(saveTimer);
      clearTimeout(checkTimer);
      document.removeEventListener('visibilitychange', hidden);
      window.removeEventListener('pagehide', lastSave);
      window.removeEventListener('online', online);
    };
  }

  function lastSave(): void {
    const { state } = store.getState().saving;
    if (!isDirty() || running || state === 'conflict' || state === 'refused') return;
    if (editor.text().length < KEEPALIVE_BYTES) void save();
  }

  return {
    start,
    save,
    revision: () => revision,

    /** The three ways out of a conflict; "mine to the clipboard" is the dialog's own. */
    overwrite(theirs: Workflow): void {
      revision = theirs.draft_revision;
      savedText = '';
      store.setState({ saving: { state: 'unsaved' }, dialog: undefined });
      void save();
    },
    take(theirs: Workflow): void {
      revision = theirs.draft_revision;
      store.setState({ saving: { state: 'saved' }, dialog: undefined });
      editor.load(theirs.document as Document);
      savedText = editor.text();
      forgetLocal(key);
      store.setState({ saving: { state: 'saved' } });
      editor.say('Now showing the newer draft.', 'info');
    },
  };
}

function asError(problem: DefinitionProblem) {
  return { ...problem, severity: 'error' as const };
}

function nameOf(document: Document): string | undefined {
  const { name } = document;
  return typeof name === 'string' && name.trim() !== '' && name.length <= 100 ? name : undefined;
}

function writeLocal(key: string, copy: LocalCopy): void {
  try {
    localStorage.setItem(key, JSON.stringify(copy));
  } catch {
    // Storage may be full or forbidden: the server still gets the draft.
  }
}

function forgetLocal(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    // As above.
  }
}

function readLocal(key: string): LocalCopy | undefined {
  try {
    const copy = JSON.parse(localStorage.getItem(key) ?? 'null') as LocalCopy | null;
    return copy && typeof copy.revision === 'number' && typeof copy.document === 'object' ? copy : undefined;
  } catch {
    return undefined;
  }
}
