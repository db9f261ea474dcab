/* When an edge leads on, and for a loop how often and until when. */

import { RotateCw, Trash2 } from 'lucide-react';
import { expressionOf, type GraphEdge, labelOf, text } from '../graph/document';
import { changeEdge, changeNode, itemById } from '../graph/edits';
import { boundReason, headsOf, type Loop } from '../graph/loops';
import { useEditor, useSlice } from './context';
import { CheckField, ExpressionField, NumberField, SelectField } from './fields';
import { useErrors } from './Inspector';
import { Converge, namesFor } from './StepSettings';

const ENDINGS = [
  { value: 'success', label: 'it succeeded' },
  { value: 'rejected', label: 'a person rejected it' },
  { value: 'error', label: 'it failed' },
  { value: 'skipped', label: 'it was skipped' },
  { value: 'always', label: 'it ended, however' },
];

export function EdgeSettings({ edge }: { edge: GraphEdge }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const loop = useSlice((state) => state.analysis.loops.get(edge.id));
  const source = itemById(graph, edge.source);
  const target = itemById(graph, edge.target);
  return (
    <>
      <header className="inspector-head">
        <div className="inspector-title">
          <h2>{loop ? 'Loop' : 'Edge'}</h2>
          <p>
            {source ? labelOf(source) : edge.source} → {target ? labelOf(target) : edge.target}
          </p>
        </div>
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
      {loop && (
        <p className="inspector-note">
          <RotateCw size={14} aria-hidden="true" />
          <span>Each time the loop is entered: at most {boundReason(loop.bound)}.</span>
        </p>
      )}
      <div className="inspector-section">
        <EdgeFields edge={edge} loop={loop} />
        <CheckField
          label="Loop edge"
          value={edge.fields.loop === true || (loop !== undefined && edge.fields.loop !== false)}
          help="A loop edge leads back. It is decided when everything it goes round has come to rest."
          onChange={(isLoop) =>
            editor.run(
              changeEdge(editor.store.getState().graph, edge.id, { loop: isLoop ? true : undefined }),
            )
          }
        />
      </div>
    </>
  );
}

/** The fields an edge has in the inspector and in the dialog after drawing a loop. */
export function EdgeFields({ edge, loop }: { edge: GraphEdge; loop: Loop | undefined }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const errors = useErrors(edge.id);
  const names = namesFor(graph, edge.source);
  const change = (values: Record<string, unknown>, merge?: string) =>
    editor.run(changeEdge(editor.store.getState().graph, edge.id, values, merge));
  return (
    <>
      {loop && <BoundField loop={loop} />}
      <SelectField
        label={loop ? 'Go round again when' : 'Lead on when'}
        name="on"
        value={text(edge.fields.on) || 'success'}
        options={ENDINGS}
        error={errors.get('on')}
        onChange={(on) => change({ on: on === 'success' ? undefined : on })}
      />
      <ExpressionField
        label={loop ? 'Only while' : 'Only if'}
        name="when"
        value={expressionOf(edge.fields.when) ?? ''}
        names={names}
        error={errors.get('when')}
        placeholder={`${edge.source}.score < 0.9`}
        help="An expression that is true or false. Left empty: always."
        onChange={(source) => change({ when: source.trim() === '' ? undefined : source }, 'when')}
      />
      {loop && (
        <Converge
          value={edge.fields.converge}
          names={names}
          onChange={(converge, merge) => change({ converge }, merge)}
        />
      )}
    </>
  );
}

/** The bound belongs to the step a loop leads back to; here is where people look for it. */
function BoundField({ loop }: { loop: Loop }) {
  const editor = useEditor();
  const own = loop.bound.from === 'step' ? loop.bound.limit : undefined;
  return (
    <NumberField
      label="At most this many executions"
      name="max_cycle"
      whole
      min={0}
      value={own}
      placeholder={String(loop.bound.limit)}
      help={own === undefined ? `Now ${boundReason(loop.bound)}.` : '0 means no limit.'}
      onChange={(limit) => {
        for (const head of headsOf(editor.store.getState().graph, loop.edge.target)) {
          editor.run(changeNode(editor.store.getState().graph, head, { max_cycle: limit }, 'max_cycle'));
        }
      }}
    />
  );
}
