/* What belongs to the workflow as a whole: its name, what it is given, and the defaults of its steps. */

import { type Fields, isFields, setting, text } from '../graph/document';
import { changeSetting } from '../graph/edits';
import { ENGINE_MAX_CYCLE } from '../graph/loops';
import { useEditor, useSlice } from './context';
import { Fold, JsonField, NumberField, SelectField, TextField } from './fields';
import { useErrors } from './Inspector';

export function WorkflowSettings() {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const errors = useErrors('');
  const value = setting(graph, 'defaults');
  const defaults: Fields = isFields(value) ? value : {};
  const change = (key: string, next: unknown) =>
    editor.run(changeSetting(editor.store.getState().graph, key, next, key));
  const setDefault = (key: string, next: unknown) => {
    const { [key]: _, ...rest } = defaults;
    editor.run(
      changeSetting(
        editor.store.getState().graph,
        'defaults',
        next === undefined ? rest : { ...defaults, [key]: next },
        `defaults.${key}`,
      ),
    );
  };
  const number = (key: string) => (typeof defaults[key] === 'number' ? defaults[key] : undefined);
  return (
    <>
      <header className="inspector-head">
        <div className="inspector-title">
          <h2>Workflow</h2>
          <p>
            {graph.nodes.length} {graph.nodes.length === 1 ? 'step' : 'steps'}, {graph.edges.length}{' '}
            {graph.edges.length === 1 ? 'edge' : 'edges'}
          </p>
        </div>
      </header>
      <div className="inspector-section">
        <TextField
          label="Name"
          name="name"
          value={text(setting(graph, 'name'))}
          error={errors.get('name')}
          onChange={(name) => change('name', name)}
        />
        <TextField
          label="Description"
          name="description"
          rows={3}
          value={text(setting(graph, 'description'))}
          onChange={(words) => change('description', words)}
        />
      </div>
      <div className="inspector-section">
        <h3>Inputs</h3>
        <JsonField
          label="What a run is given, as JSON Schema"
          name="inputs"
          rows={8}
          value={setting(graph, 'inputs')}
          error={errors.get('inputs')}
          placeholder={'{"type": "object", "properties": {"topic": {"type": "string"}}}'}
          help="Each property becomes a field of the run form and is read as inputs.name."
          onChange={(inputs) => (inputs === undefined || isFields(inputs)) && change('inputs', inputs)}
        />
      </div>
      <Fold title="Defaults of the steps" isOpen={false}>
        <NumberField
          label="Most executions per loop"
          name="defaults.max_cycle"
          whole
          min={0}
          value={number('max_cycle')}
          placeholder={String(ENGINE_MAX_CYCLE)}
          onChange={(next) => setDefault('max_cycle', next)}
        />
        <NumberField
          label="Tries after the first"
          name="defaults.max_retries"
          whole
          min={0}
          value={number('max_retries')}
          placeholder="3"
          onChange={(next) => setDefault('max_retries', next)}
        />
        <NumberField
          label="Pause before the next try, in seconds"
          name="defaults.retry_delay"
          min={0}
          value={number('retry_delay')}
          placeholder="1"
          onChange={(next) => setDefault('retry_delay', next)}
        />
        <SelectField
          label="When a step fails for good"
          name="defaults.on_error"
          value={text(defaults.on_error) === 'stop' ? 'stop' : ''}
          options={[
            { value: '', label: 'other branches go on' },
            { value: 'stop', label: 'everything else is skipped' },
          ]}
          onChange={(next) => setDefault('on_error', next || undefined)}
        />
        <SelectField
          label="Branches run"
          name="defaults.execution_mode"
          value={text(defaults.execution_mode)}
          options={[
            { value: '', label: 'as the engine decides' },
            { value: 'sequential', label: 'one after another' },
            { value: 'parallel', label: 'side by side' },
          ]}
          onChange={(next) => setDefault('execution_mode', next || undefined)}
        />
      </Fold>
    </>
  );
}
