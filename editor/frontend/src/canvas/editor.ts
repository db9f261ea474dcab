/* The editor's state and the only ways to change it. Every change of the graph passes through `perform`.

   No React here: components select the slice they draw. */

import { createStore, type StoreApi } from 'zustand/vanilla';
import type { Catalogue, Workflow } from '../api/client';
import { copyText, paste } from '../graph/clipboard';
import {
  type Document,
  documentText,
  type Graph,
  type Point,
  placeOf,
  readDocument,
  writeDocument,
} from '../graph/document';
import * as edits from '../graph/edits';
import { type Command, EMPTY_HISTORY, type History, perform, redo, undo } from '../graph/history';
import { tidy } from '../graph/layout';
import { type Analysis, analyse, connected, cycleOf } from '../graph/loops';
import { findProblems, type Problem, sentence, type Target, targetOf } from '../graph/problems';

export type Can = { readonly edit: boolean; readonly publish: boolean; readonly run: boolean };
export type Found = Problem & { readonly target: Target };

export type Saving =
  | { readonly state: 'saved' | 'unsaved' | 'saving' | 'offline' }
  | { readonly state: 'refused' | 'conflict'; readonly detail: string };

/** Where the quick add opens and what the new step is joined to. */
export type QuickAdd = {
  readonly from?: string | undefined;
  readonly edge?: string | undefined;
  readonly at?: Point | undefined;
  /** Screen position; undefined puts it in the middle. */
  readonly anchor?: Point | undefined;
};

export type Dialog =
  | { readonly type: 'publish' | 'run' | 'keys' }
  | { readonly type: 'loop'; readonly edge: string }
  | { readonly type: 'conflict'; readonly theirs: Workflow };

export type Message = {
  readonly text: string;
  readonly tone: 'quiet' | 'info' | 'refusal';
  readonly count: number;
};

export type EditorState = {
  readonly can: Can;
  readonly latestVersion: number | null;
  readonly graph: Graph;
  readonly history: History;
  readonly analysis: Analysis;
  readonly selection: ReadonlySet<string>;
  readonly catalogue: Catalogue | undefined;
  readonly catalogueError: string | undefined;
  readonly problems: readonly Found[];
  readonly serverProblems: readonly Found[] | undefined;
  readonly saving: Saving;
  readonly message: Message;
  readonly quickAdd: QuickAdd | undefined;
  readonly connecting: { readonly from: string; readonly target: string | undefined } | undefined;
  readonly dialog: Dialog | undefined;
  /** A field to put the cursor into; `count` makes asking twice work. */
  readonly wanted: { readonly field: string; readonly count: number } | undefined;
  /** A step to bring into view. */
  readonly revealed: { readonly id: string; readonly count: number } | undefined;
};

export type EditorPage = { readonly workflow: Workflow; readonly can: Can };
export type Editor = ReturnType<typeof createEditor>;

/** Codes that `findProblems` settles by itself: an old answer of the server need not be believed there. */
const LOCAL_CODES = new Set([
  'no_tasks',
  'duplicate_id',
  'unknown_task',
  'empty_group',
  'duplicate_edge',
  'unreachable_task',
  'cycle_not_allowed',
  'loop_not_closing',
  'loop_into_group',
  'endless_loop',
  'missing_key',
]); // prettier-ignore

export function createEditor(page: EditorPage, now: () => number = () => Date.now()) {
  const first = withPlaces(readDocument(page.workflow.document as Document));
  const store: StoreApi<EditorState> = createStore<EditorState>(() => ({
    can: page.can,
    latestVersion: page.workflow.latest_version,
    ...looked(first, undefined, undefined),
    history: EMPTY_HISTORY,
    selection: new Set<string>(),
    catalogue: undefined,
    catalogueError: undefined,
    serverProblems: undefined,
    saving: { state: 'saved' },
    message: { text: '', tone: 'quiet', count: 0 },
    quickAdd: undefined,
    connecting: undefined,
    dialog: undefined,
    wanted: undefined,
    revealed: undefined,
  }));
  const { getState: get, setState: set } = store;

  function say(text: string, tone: Message['tone'] = 'quiet'): void {
    set({ message: { text, tone, count: get().message.count + 1 } });
  }

  function show(graph: Graph, history: History): void {
    const { serverProblems, catalogue, selection } = get();
    const known = new Set([...graph.nodes, ...graph.edges, ...graph.groups].map((item) => item.id));
    const kept = [...selection].filter((id) => known.has(id));
    set({
      ...looked(graph, serverProblems, catalogue),
      history,
      ...(kept.length === selection.size ? {} : { selection: new Set(kept) }),
    });
  }

  function run(command: Command, options: { readonly quiet?: boolean } = {}): boolean {
    if (!get().can.edit) {
      say('You can look at this workflow, but not change it.', 'refusal');
      return false;
    }
    if (command.changes.length === 0) return false;
    const moved = perform(get().graph, get().history, command, now());
    show(moved.graph, moved.history);
    if (!options.quiet && !command.merge) say(`${command.label}.`);
    return true;
  }

  const select = (ids: Iterable<string>) => set({ selection: new Set(ids) });
  const reveal = (id: string) => set({ revealed: { id, count: (get().revealed?.count ?? 0) + 1 } });
  const want = (field: string) => set({ wanted: { field, count: (get().wanted?.count ?? 0) + 1 } });

  return {
    store,
    workflowId: page.workflow.id,
    firstRevision: page.workflow.draft_revision,
    say,
    select,
    reveal,
    want,
    run,

    undo(): void {
      const moved = undo(get().graph, get().history);
      if (!moved || !get().can.edit) {
        say('Nothing to undo.');
        return;
      }
      show(moved.graph, moved.history);
      say(`Undone: ${moved.label}.`);
    },

    redo(): void {
      const moved = redo(get().graph, get().history);
      if (!moved || !get().can.edit) {
        say('Nothing to redo.');
        return;
      }
      show(moved.graph, moved.history);
      say(`Redone: ${moved.label}.`);
    },

    /** Begin again from a document that came from elsewhere; what was here cannot be undone to. */
    load(document: Document): void {
      set({ serverProblems: undefined });
      show(withPlaces(readDocument(document)), EMPTY_HISTORY);
    },

    setCatalogue(catalogue: Catalogue): void {
      set({ catalogue, catalogueError: undefined, ...looked(get().graph, get().serverProblems, catalogue) });
    },

    setServerProblems(problems: readonly Problem[]): void {
      const { graph, catalogue } = get();
      const found = problems.map((problem) => ({
        ...problem,
        message: sentence(problem.message),
        target: targetOf(graph, problem.path),
      }));
      const local = located(graph, findProblems(graph, get().analysis, { uses: usesOf(catalogue) }));
      set({
        serverProblems: found,
        problems: [...found, ...local.filter((problem) => problem.severity === 'warning')],
      });
    },

    /** Add a step where the quick add stands: joined to its start, or spliced into its edge. */
    add(
      template: edits.Template,
      where: QuickAdd = {},
      otherwise: Point = { x: 0, y: 0 },
    ): string | undefined {
      const { graph } = get();
      const made = where.edge
        ? edits.spliceNode(graph, template, where.edge)
        : edits.addNode(
            graph,
            template,
            where.at ?? edits.spotAfter(graph, where.from, otherwise),
            where.from,
          );
      if (!made || !run(made.command)) return undefined;
      select([made.id]);
      reveal(made.id);
      return made.id;
    },

    connect(source: string, target: string): string | undefined {
      const made = edits.connect(get().graph, source, target);
      if ('refusal' in made) {
        say(made.refusal, 'refusal');
        return undefined;
      }
      if (!run(made.command)) return undefined;
      select([made.edge.id]);
      if (made.isLoop) set({ dialog: { type: 'loop', edge: made.edge.id } });
      return made.edge.id;
    },

    reconnect(edge: string, source: string, target: string): void {
      const made = edits.reconnect(get().graph, edge, source, target);
      if ('refusal' in made) {
        say(made.refusal, 'refusal');
        return;
      }
      run(made.command);
      if (made.isLoop && made.command.changes.length > 0) set({ dialog: { type: 'loop', edge } });
    },

    rename(id: string, to: string): boolean {
      const made = edits.rename(get().graph, id, to);
      if ('refusal' in made) {
        say(made.refusal, 'refusal');
        return false;
      }
      const wasSelected = get().selection.has(id);
      const done = run(made.command);
      if (done && wasSelected) select([to]);
      return done;
    },

    removeSelected(): void {
      const { graph, selection } = get();
      if (selection.size === 0) return;
      const [only] = selection;
      const next =
        selection.size === 1 && only ? graph.edges.find((edge) => edge.target === only)?.source : undefined;
      if (run(edits.remove(graph, selection)) && next) select([next]);
    },

    group(): void {
      const made = edits.groupNodes(get().graph, [...get().selection]);
      if ('refusal' in made) {
        say(made.refusal, 'refusal');
        return;
      }
      if (run(made.command)) select([made.id]);
    },

    tidy(): void {
      const { graph, selection } = get();
      const steps = new Set(graph.nodes.filter((node) => selection.has(node.id)).map((node) => node.id));
      const done = run(edits.tidyNodes(graph, steps.size > 1 ? steps : undefined));
      if (!done) say('Everything is tidy already.');
    },

    move(places: ReadonlyMap<string, Point>, label = 'Move'): void {
      run(edits.moveNodes(get().graph, places, label), { quiet: true });
    },

    copy(): string | undefined {
      const { graph, selection } = get();
      const members = graph.groups
        .filter((group) => selection.has(group.id))
        .flatMap((group) => group.members);
      return copyText(graph, new Set([...selection, ...members]));
    },

    paste(clip: string, at?: Point): boolean {
      const pasted = paste(get().graph, clip, (corner) => at ?? { x: corner.x + 48, y: corner.y + 48 });
      if (!pasted || !run(pasted.command)) return false;
      select(pasted.ids);
      return true;
    },

    selectAll(): void {
      const { graph } = get();
      select([...graph.nodes, ...graph.groups, ...graph.edges].map((item) => item.id));
      say(`${graph.nodes.length} steps selected.`);
    },

    selectRelated(which: 'up' | 'down' | 'cycle'): void {
      const { graph, selection } = get();
      const [start] = selection;
      if (!start) return;
      select(which === 'cycle' ? cycleOf(graph, start) : connected(graph, selection, which));
    },

    document: (): Document => writeDocument(get().graph),
    text: (): string => documentText(get().graph),
  };

  function usesOf(catalogue: Catalogue | undefined): ReadonlySet<string> | undefined {
    return catalogue && new Set(catalogue.results.map((task) => task.name));
  }

  function looked(graph: Graph, server: readonly Found[] | undefined, catalogue: Catalogue | undefined) {
    const analysis = analyse(graph, (uses) => {
      const bound = catalogue?.results.find((task) => task.name === uses)?.defaults.max_cycle;
      return typeof bound === 'number' ? bound : undefined;
    });
    const local = located(graph, findProblems(graph, analysis, { uses: usesOf(catalogue) }));
    const known = new Set([...graph.nodes, ...graph.edges, ...graph.groups].map((item) => item.id));
    const found = new Set(local.map(({ code, path }) => `${code} ${path}`));
    const believed = (server ?? []).filter(
      ({ code, path, target }) =>
        !LOCAL_CODES.has(code) &&
        !found.has(`${code} ${path}`) &&
        (target.kind === 'workflow' || known.has(target.id)),
    );
    return { graph, analysis, problems: [...local, ...believed] };
  }
}

function located(graph: Graph, problems: readonly Problem[]): Found[] {
  return problems.map((problem) => ({ ...problem, target: targetOf(graph, problem.path) }));
}

/** A definition from Python may have no places, or not all: then it is laid out before anybody looks. */
function withPlaces(graph: Graph): Graph {
  if (graph.nodes.every((node) => placeOf(graph, node.id))) return graph;
  return perform(graph, EMPTY_HISTORY, edits.moveNodes(graph, tidy(graph))).graph;
}
