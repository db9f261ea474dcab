/* What one step does and how it behaves: parameters, the question to a person, limits and retries. */

import type { CatalogueTask } from '../api/client';
import {
  expressionOf,
  type Fields,
  type Graph,
  type GraphNode,
  isExpression,
  isFields,
  kindOf,
  setting,
  text,
} from '../graph/document';
import { changeNode } from '../graph/edits';
import { boundReason, connected, stepBound } from '../graph/loops';
import { useEditor, useSlice } from './context';
import { DelaySettings, MapSettings } from './FlowSettings';
import {
  CheckField,
  ExpressionField,
  Fold,
  JsonField,
  ListField,
  NumberField,
  SelectField,
  TextField,
  ValueOrExpression,
} from './fields';
import { HUMAN_KINDS, withCode } from './kinds';
import { ChildSettings, HttpSettings, NotifySettings } from './OutsideSettings';
import type { Change, Errors, Part } from './parts';
import { SchemaForm } from './SchemaForm';

export function StepSettings({ node, errors }: { node: GraphNode; errors: Errors }) {
  const editor = useEditor();
  const graph = useSlice((state) => state.graph);
  const task = useSlice((state) => state.catalogue?.results.find((known) => known.name === node.fields.uses));
  const change: Change = (values, merge) =>
    void editor.run(changeNode(editor.store.getState().graph, node.id, values, merge));
  const part = { node, errors, change, names: namesFor(graph, node.id) };
  const kind = kindOf(node);
  return (
    <>
      {kind === 'task' && <Parameters {...part} task={task} />}
      {HUMAN_KINDS.has(kind) && <HumanSettings {...part} />}
      {(kind === 'transform' || kind === 'branch') && <ValueSettings {...part} />}
      {kind === 'delay' && <DelaySettings {...part} />}
      {kind === 'map' && <MapSettings {...part} />}
      {kind === 'http' && <HttpSettings {...part} />}
      {kind === 'workflow' && <ChildSettings {...part} />}
      {kind === 'notify' && <NotifySettings {...part} />}
      <Behaviour {...part} graph={graph} task={task} />
    </>
  );
}

/** What an expression of a step may read: inputs, and results of what comes before it, over loops as well. */
export function namesFor(graph: Graph, id: string): string[] {
  const before = connected(graph, [id], 'up');
  const inputs = setting(graph, 'inputs');
  const properties = isFields(inputs) && isFields(inputs.properties) ? Object.keys(inputs.properties) : [];
  const steps = graph.nodes.map((node) => node.id).filter((other) => before.has(other));
  return [...properties.map((name) => `inputs.${name}`), ...steps, 'iteration'];
}

function Parameters({ node, errors, change, names, task }: Part & { task: CatalogueTask | undefined }) {
  const params = isFields(node.fields.params) ? node.fields.params : {};
  const schema = task?.parameters ?? {};
  const isEmpty =
    Object.keys(isFields(schema.properties) ? schema.properties : {}).length === 0 &&
    Object.keys(params).length === 0;
  return (
    <div className="inspector-section">
      {task?.doc && <p className="inspector-doc">{withCode(summaryOf(task.doc))}</p>}
      <h3>Parameters</h3>
      {isEmpty && <p className="field-help">This task takes none.</p>}
      <SchemaForm
        schema={schema}
        values={params}
        errors={errors}
        names={names}
        path="params"
        onChange={(name, value) => {
          const { [name]: _, ...rest } = params;
          const next = value === undefined ? rest : { ...params, [name]: value };
          change({ params: Object.keys(next).length > 0 ? next : undefined }, `params.${name}`);
        }}
      />
      {!isEmpty && (
        <p className="field-help">
          A parameter left empty is filled from the inputs of that name, then from the result before this
          step.
        </p>
      )}
    </div>
  );
}

const REJECTIONS = [
  { value: '', label: 'the step ends as rejected' },
  { value: 'raise', label: 'the step fails' },
];
const TIMEOUTS = [
  { value: '', label: 'the step fails' },
  { value: 'approve', label: 'it counts as approved' },
  { value: 'reject', label: 'it counts as rejected' },
  { value: 'skip', label: 'it is skipped' },
  { value: 'wait', label: 'it goes on waiting' },
];

function HumanSettings({ node, errors, change, names }: Part) {
  const { fields } = node;
  const kind = kindOf(node);
  const options = Array.isArray(fields.options) ? fields.options.map(String) : [];
  return (
    <div className="inspector-section">
      <h3>Question</h3>
      <TextField
        label="Prompt"
        name="prompt"
        rows={2}
        value={text(fields.prompt)}
        error={errors.get('prompt')}
        onChange={(prompt) => change({ prompt: prompt || undefined }, 'prompt')}
      />
      <ValueOrExpression
        label="Shown with it"
        name="data"
        value={fields.data}
        names={names}
        error={errors.get('data')}
        help="What the person looks at. Left empty: the result of the step before."
        onChange={(data) => change({ data }, 'data')}
      >
        {(extra) => (
          <JsonField
            label="Shown with it"
            name="data"
            rows={2}
            value={fields.data}
            extra={extra}
            placeholder="the result of the step before"
            onChange={(data) => change({ data }, 'data')}
          />
        )}
      </ValueOrExpression>
      {kind === 'choice' && (
        <>
          <TextField
            label="Options"
            name="options"
            rows={4}
            value={options.join('\n')}
            error={errors.get('options')}
            help="One per line."
            onChange={(lines) => change({ options: lines.split('\n') }, 'options')}
          />
          <CheckField
            label="Several may be picked"
            value={fields.multiple === true}
            onChange={(multiple) => change({ multiple: multiple || undefined })}
          />
        </>
      )}
      {kind === 'approval' && (
        <CheckField
          label="The person may edit it"
          value={fields.editable === true}
          onChange={(editable) => change({ editable: editable || undefined })}
        />
      )}
      {kind === 'form' && (
        <JsonField
          label="Fields, as JSON Schema"
          name="schema"
          rows={8}
          value={fields.schema}
          error={errors.get('schema')}
          onChange={(schema) => change({ schema }, 'schema')}
        />
      )}
      <Assignees fields={fields} change={change} error={errors.get('assignees')} />
      <SelectField
        label="When rejected"
        name="on_reject"
        value={text(fields.on_reject) === 'raise' ? 'raise' : ''}
        options={REJECTIONS}
        onChange={(value) => change({ on_reject: value || undefined })}
      />
      <NumberField
        label="Answer within, in seconds"
        name="timeout"
        min={0}
        value={numberOf(fields.timeout)}
        placeholder="no limit"
        onChange={(timeout) => change({ timeout }, 'timeout')}
      />
      {fields.timeout !== undefined && (
        <SelectField
          label="When time is up"
          name="on_timeout"
          value={text(fields.on_timeout) === 'error' ? '' : text(fields.on_timeout)}
          options={TIMEOUTS}
          onChange={(value) => change({ on_timeout: value || undefined })}
        />
      )}
    </div>
  );
}

function Assignees({ fields, change, error }: { fields: Fields; change: Change; error: string | undefined }) {
  const assignees = isFields(fields.assignees) ? fields.assignees : {};
  const set = (key: 'groups' | 'users', typed: string) => {
    const names = typed
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
    const { [key]: _, ...rest } = assignees;
    const next = names.length > 0 ? { ...rest, [key]: names } : rest;
    change({ assignees: Object.keys(next).length > 0 ? next : undefined }, `assignees.${key}`);
  };
  return (
    <>
      <NameList
        label="Groups that may answer"
        names={assignees.groups}
        placeholder="every reviewer"
        error={error}
        onChange={(typed) => set('groups', typed)}
      />
      <NameList
        label="People who may answer"
        names={assignees.users}
        onChange={(typed) => set('users', typed)}
      />
    </>
  );
}

type NameListProps = {
  label: string;
  names: unknown;
  placeholder?: string;
  error?: string | undefined;
  onChange: (typed: string) => void;
};

function NameList({ label, names, placeholder, error, onChange }: NameListProps) {
  const value = Array.isArray(names) ? names.join(', ') : '';
  return (
    <ListField label={label} value={value} placeholder={placeholder} error={error} onChange={onChange} />
  );
}

function ValueSettings({ node, errors, change, names }: Part) {
  const kind = kindOf(node);
  const help =
    kind === 'branch'
      ? 'What the conditions on its edges look at. Left empty: the result of the step before.'
      : 'The result of this step. Reads inputs and results of earlier steps by their id.';
  return (
    <div className="inspector-section">
      <h3>{kind === 'branch' ? 'Value' : 'Expression'}</h3>
      <ValueOrExpression
        label="Value"
        name="value"
        value={node.fields.value}
        names={names}
        help={help}
        error={errors.get('value')}
        onChange={(value) => change({ value }, 'value')}
      >
        {(extra) => (
          <JsonField
            label="Value"
            name="value"
            rows={3}
            value={node.fields.value}
            extra={extra}
            help={help}
            onChange={(value) => change({ value }, 'value')}
          />
        )}
      </ValueOrExpression>
    </div>
  );
}

/** Kinds that can fail in a way another try may mend. */
const RETRIED: ReadonlySet<string> = new Set(['task', 'http', 'workflow']);

function Behaviour({
  node,
  errors,
  change,
  names,
  graph,
  task,
}: Part & { graph: Graph; task: CatalogueTask | undefined }) {
  const { fields } = node;
  const incoming = graph.edges.filter((edge) => edge.target === node.id && edge.fields.loop !== true).length;
  const inherited = stepBound(graph, { id: node.id, fields: { ...fields, max_cycle: undefined } }, () =>
    numberOf(task?.defaults.max_cycle),
  );
  return (
    <>
      <Fold title="Going round" isOpen={fields.max_cycle !== undefined || fields.converge !== undefined}>
        <NumberField
          label="Most executions per loop"
          name="max_cycle"
          whole
          min={0}
          value={numberOf(fields.max_cycle)}
          error={errors.get('max_cycle')}
          placeholder={String(inherited.limit)}
          help={fields.max_cycle === undefined ? `Now ${boundReason(inherited)}.` : '0 means no limit.'}
          onChange={(value) => change({ max_cycle: value }, 'max_cycle')}
        />
        <SelectField
          label="When that is reached"
          name="on_max_cycle"
          value={text(fields.on_max_cycle) === 'fail' ? 'fail' : ''}
          options={[
            { value: '', label: 'go on with the last result' },
            { value: 'fail', label: 'fail' },
          ]}
          onChange={(value) => change({ on_max_cycle: value || undefined })}
        />
        <Converge
          value={fields.converge}
          names={names}
          onChange={(converge, merge) => change({ converge }, merge)}
        />
      </Fold>
      {RETRIED.has(kindOf(node)) && (
        <Fold
          title="Failure and time"
          isOpen={['max_retries', 'retry_delay', 'timeout', 'on_error'].some(
            (key) => fields[key] !== undefined,
          )}
        >
          <NumberField
            label="Tries after the first"
            name="max_retries"
            whole
            min={0}
            value={numberOf(fields.max_retries)}
            placeholder={String(
              // A run that failed once mostly fails again: another workflow is tried again only when asked for.
              kindOf(node) === 'workflow'
                ? 0
                : (task?.defaults.max_retries ?? defaultOf(graph, 'max_retries', 3)),
            )}
            onChange={(value) => change({ max_retries: value }, 'max_retries')}
          />
          <NumberField
            label="Pause before the next try, in seconds"
            name="retry_delay"
            min={0}
            value={numberOf(fields.retry_delay)}
            placeholder={String(task?.defaults.retry_delay ?? defaultOf(graph, 'retry_delay', 1))}
            onChange={(value) => change({ retry_delay: value }, 'retry_delay')}
          />
          <NumberField
            label="Time limit of one try, in seconds"
            name="timeout"
            min={0}
            value={numberOf(fields.timeout)}
            placeholder="none"
            onChange={(value) => change({ timeout: value }, 'timeout')}
          />
          <SelectField
            label="When it fails for good"
            name="on_error"
            value={text(fields.on_error) === 'ignore' ? 'ignore' : ''}
            options={[
              { value: '', label: 'the run fails' },
              { value: 'ignore', label: 'go on without a result' },
            ]}
            onChange={(value) => change({ on_error: value || undefined })}
          />
        </Fold>
      )}
      {(incoming > 1 || fields.join !== undefined) && (
        <Fold title="Joining" isOpen>
          <Join value={fields.join} onChange={(join) => change({ join }, 'join')} />
        </Fold>
      )}
    </>
  );
}

function Join({ value, onChange }: { value: unknown; onChange: (value: unknown) => void }) {
  const isCount = typeof value === 'number';
  return (
    <>
      <SelectField
        label="Starts when"
        name="join"
        value={isCount ? 'n' : text(value)}
        options={[
          { value: '', label: 'all before it have ended' },
          { value: 'all', label: 'all before it led here' },
          { value: 'any', label: 'the first one led here' },
          { value: 'n', label: 'enough of them led here' },
        ]}
        onChange={(next) => onChange(next === 'n' ? 2 : next || undefined)}
      />
      {isCount && (
        <NumberField
          label="Enough means"
          whole
          min={1}
          value={value}
          onChange={(count) => count !== undefined && onChange(count)}
        />
      )}
    </>
  );
}

type ConvergeProps = {
  value: unknown;
  names: readonly string[];
  onChange: (value: unknown, merge?: string) => void;
};

/** "Stop when the value stands still", on a step or on a loop edge. */
export function Converge({ value, names, onChange }: ConvergeProps) {
  const isOn = value !== undefined;
  const parts = isFields(value) && !isExpression(value) ? value : { tolerance: numberOf(value) ?? 1e-6 };
  const source = expressionOf(parts.value) ?? '';
  return (
    <>
      <CheckField
        label="Stop when the value stands still"
        value={isOn}
        onChange={(on) => onChange(on ? { tolerance: 1e-6 } : undefined)}
      />
      {isOn && (
        <>
          <ExpressionField
            label="Value to watch"
            value={source}
            names={names}
            placeholder="the result"
            onChange={(next) => {
              const { value: _, ...rest } = parts;
              onChange(next ? { ...rest, value: next } : rest, 'converge.value');
            }}
          />
          <NumberField
            label="Steady means a change below"
            min={0}
            value={numberOf(parts.tolerance)}
            onChange={(tolerance) =>
              tolerance !== undefined &&
              tolerance > 0 &&
              onChange({ ...parts, tolerance }, 'converge.tolerance')
            }
          />
        </>
      )}
    </>
  );
}

/** A docstring without its list of parameters: those stand beside the fields. */
function summaryOf(doc: string): string {
  return (doc.split(/^\s*Args:/m)[0] ?? '').trim();
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function defaultOf(graph: Graph, key: string, otherwise: number): number {
  const defaults = setting(graph, 'defaults');
  return (isFields(defaults) && numberOf(defaults[key])) || otherwise;
}
