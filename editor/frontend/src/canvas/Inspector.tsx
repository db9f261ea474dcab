/* The settings of whatever is selected: a step, an edge, a group, several things, or the workflow itself. */

import { Copy, Trash2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { Graph, GraphGroup, GraphNode } from '../graph/document';
import { kindOf, labelOf } from '../graph/document';
import { changeGroup, changeNode, edgeById, groupById, nodeById, ungroup } from '../graph/edits';
import { useEditor, useSlice } from './context';
import { EdgeSettings } from './EdgeSettings';
import { NumberField, SelectField, TextField } from './fields';
import { KindTile, lookOf } from './kinds';
import { StepSettings } from './StepSettings';
import { WorkflowSettings } from './WorkflowSettings';

export function Inspector() {
  const graph = useSlice((state) => state.graph);
  const selection = useSlice((state) => state.selection);
  const canEdit = useSlice((state) => state.can.edit);
  const [only] = selection;
  const chosen = selection.size === 1 && only ? only : undefined;
  const node = chosen ? nodeById(graph, chosen) : undefined;
  const edge = chosen ? edgeById(graph, chosen) : undefined;
  const group = chosen ? groupById(graph, chosen) : undefined;
  return (
    <aside className="inspector" aria-label="Settings" data-chosen={selection.size > 0 || undefined}>
      <fieldset className="inspector-body" disabled={!canEdit} key={edge?.id ?? 'settings'}>
        <legend className="visually-hidden">Settings</legend>
        {node && <NodeInspector node={node} />}
        {edge && <EdgeSettings edge={edge} />}
        {group && <GroupInspector group={group} />}
        {selection.size > 1 && <ManyInspector graph={graph} selection={selection} />}
        {selection.size === 0 && <WorkflowSettings />}
      </fieldset>
    </aside>
  );
}

/** The problems of one thing by field, for the fields to show. */
export function useErrors(id: string): ReadonlyMap<string, string> {
  const problems = useSlice((state) => state.problems);
  return useMemo(
    () =>
      new Map(
        problems
          .filter(({ target }) => target.id === id)
          .map(({ target, message }) => [target.field, message]),
      ),
    [problems, id],
  );
}

function NodeInspector({ node }: { node: GraphNode }) {
  const editor = useEditor();
  const kind = kindOf(node);
  const label = typeof node.fields.label === 'string' ? node.fields.label : '';
  const errors = useErrors(node.id);
  return (
    <>
      <header className="inspector-head">
        <KindTile kind={kind} />
        <div className="inspector-title">
          <h2>{labelOf(node)}</h2>
          <p>{String(node.fields.uses ?? lookOf(kind).word)}</p>
        </div>
        <button
          type="button"
          className="button button--quiet button--icon"
          aria-label="Duplicate"
          title="Duplicate (Ctrl D)"
          onClick={() => editor.paste(editor.copy() ?? '')}
        >
          <Copy size={15} aria-hidden="true" />
        </button>
        <button
          type="button"
          className="button button--quiet button--icon"
          aria-label="Delete"
          title="Delete (Del)"
          onClick={() => editor.removeSelected()}
        >
          <Trash2 size={15} aria-hidden="true" />
        </button>
      </header>
      <div className="inspector-section">
        <TextField
          label="Label"
          name="label"
          value={label}
          placeholder={node.id}
          onChange={(text) =>
            editor.run(
              changeNode(editor.store.getState().graph, node.id, { label: text || undefined }, 'label'),
            )
          }
        />
        <IdField id={node.id} error={errors.get('id')} />
      </div>
      <StepSettings key={node.id} node={node} errors={errors} />
    </>
  );
}

/** An id is taken over when the field is left, because every expression that names it changes with it. */
function IdField({ id, error }: { id: string; error: string | undefined }) {
  const editor = useEditor();
  const [draft, setDraft] = useState({ id, text: id });
  if (draft.id !== id) setDraft({ id, text: id });
  const commit = () => {
    if (draft.text !== id && !editor.rename(id, draft.text)) setDraft({ id, text: id });
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: listens to the field inside
    <div
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === 'Enter') commit();
      }}
    >
      <TextField
        label="Id"
        name="id"
        value={draft.text}
        error={error}
        mono
        help="Expressions read this step's result by its id."
        onChange={(text) => setDraft({ id, text })}
      />
    </div>
  );
}

function GroupInspector({ group }: { group: GraphGroup }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const { policy } = group.fields;
  const atLeast =
    typeof policy === 'object' && policy !== null && 'at_least' in policy
      ? Number(policy.at_least)
      : undefined;
  const mode =
    policy === 'best_effort'
      ? 'best_effort'
      : atLeast !== undefined
        ? 'at_least'
        : typeof policy === 'object' && policy !== null
          ? 'critical'
          : 'strict';
  const change = (values: Record<string, unknown>, merge?: string) =>
    editor.run(changeGroup(editor.store.getState().graph, group.id, values, merge));
  const policies: Record<string, unknown> = {
    strict: 'strict',
    best_effort: 'best_effort',
    at_least: { at_least: 1 },
    critical: { critical: [...group.members] },
  };
  return (
    <>
      <header className="inspector-head">
        <KindTile kind="map" />
        <div className="inspector-title">
          <h2>{labelOf(group)}</h2>
          <p>{group.members.length} steps side by side</p>
        </div>
      </header>
      <div className="inspector-section">
        <TextField
          label="Label"
          name="label"
          value={String(group.fields.label ?? '')}
          placeholder={group.id}
          onChange={(text) => change({ label: text || undefined }, 'label')}
        />
        <IdField id={group.id} error={undefined} />
        <SelectField
          label="What follows starts when"
          name="policy"
          value={mode}
          options={[
            { value: 'strict', label: 'all have ended, and none failed' },
            { value: 'best_effort', label: 'all have ended, failed or not' },
            { value: 'at_least', label: 'all have ended, and enough succeeded' },
            { value: 'critical', label: 'all have ended, and the critical ones succeeded' },
          ]}
          onChange={(next) => change({ policy: policies[next] })}
        />
        {mode === 'at_least' && (
          <NumberField
            label="Enough means"
            whole
            min={1}
            value={atLeast}
            onChange={(count) => count !== undefined && change({ policy: { at_least: count } }, 'policy')}
          />
        )}
      </div>
      <div className="inspector-section">
        <h3>Members</h3>
        <ul className="inspector-list">
          {group.members.map((id) => (
            <li key={id}>
              <button type="button" className="inspector-link" onClick={() => editor.select([id])}>
                {labelOf(nodeById(graph, id) ?? { id, fields: {} })}
              </button>
            </li>
          ))}
        </ul>
        <button
          type="button"
          className="button"
          onClick={() => editor.run(ungroup(editor.store.getState().graph, group.id))}
        >
          Ungroup
        </button>
      </div>
    </>
  );
}

function ManyInspector({ graph, selection }: { graph: Graph; selection: ReadonlySet<string> }) {
  const editor = useEditor();
  const steps = graph.nodes.filter((node) => selection.has(node.id)).length;
  return (
    <>
      <header className="inspector-head">
        <div className="inspector-title">
          <h2>{steps} steps selected</h2>
          <p>{selection.size - steps} edges and groups</p>
        </div>
      </header>
      <div className="inspector-section inspector-actions">
        <button type="button" className="button" onClick={() => editor.group()}>
          Put side by side <kbd className="kbd">G</kbd>
        </button>
        <button type="button" className="button" onClick={() => editor.tidy()}>
          Arrange these
        </button>
        <button type="button" className="button" onClick={() => editor.paste(editor.copy() ?? '')}>
          Duplicate
        </button>
        <button type="button" className="button" onClick={() => editor.removeSelected()}>
          Delete
        </button>
      </div>
    </>
  );
}
