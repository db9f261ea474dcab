/* Settings of steps that reach out of their workflow: calls of web services, other workflows, notices to people. */

import { useEffect, useState } from 'react';
import { type Workflow, workflows } from '../api/client';
import { problemText } from '../api/http';
import { type Fields, isFields, text } from '../graph/document';
import {
  JsonField,
  ListField,
  NumberField,
  type Option,
  SelectField,
  TextField,
  ValueOrExpression,
} from './fields';
import type { Part } from './parts';
import { SchemaForm } from './SchemaForm';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD'];
const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

export function HttpSettings({ node, errors, change, names }: Part) {
  const { fields } = node;
  const method = text(fields.method) || 'GET';
  const part = { fields, errors, change, names };
  return (
    <div className="inspector-section">
      <h3>Request</h3>
      <SelectField
        label="Method"
        name="method"
        value={method}
        options={METHODS.map((value) => ({ value, label: value }))}
        error={errors.get('method')}
        onChange={(value) => change({ method: value }, 'method')}
      />
      <WordsField
        {...part}
        label="Address"
        name="url"
        placeholder="https://example.org/orders"
        isRequired
        mono
      />
      <AnyField
        {...part}
        label="Query"
        name="query"
        placeholder='{"page": 1}'
        help="Parameters after the “?”."
      />
      <AnyField {...part} label="Headers" name="headers" placeholder='{"Accept": "application/json"}' />
      {(!WITHOUT_BODY.has(method) || fields.body !== undefined) && (
        <AnyField
          {...part}
          label="Body"
          name="body"
          placeholder='{"name": "Ada"}'
          help="Sent as JSON. Left empty: no body."
        />
      )}
      <ListField
        label="Codes that count as success"
        name="expect"
        value={Array.isArray(fields.expect) ? fields.expect.join(', ') : ''}
        placeholder="200 to 299"
        error={errors.get('expect')}
        help="Others are a failure, and what can pass by itself is tried again."
        onChange={(typed) => change({ expect: codesOf(typed) }, 'expect')}
      />
    </div>
  );
}

/** "200, 404" as numbers. What is no number stays as it was typed, for the problem to name; nothing means "not set". */
export function codesOf(typed: string): (number | string)[] | undefined {
  const parts = typed
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return parts.length > 0 ? parts : undefined;
}

export function ChildSettings({ node, errors, change, names }: Part) {
  const { fields } = node;
  const { known, problem } = useWorkflows();
  const slug = text(fields.workflow);
  const chosen = known?.find((one) => one.slug === slug);
  const schema = isFields(chosen?.document.inputs) ? chosen.document.inputs : undefined;
  const inputs = isFields(fields.inputs) ? fields.inputs : {};
  return (
    <div className="inspector-section">
      <h3>Workflow</h3>
      <SelectField
        label="Workflow"
        name="workflow"
        value={slug}
        options={workflowOptions(known, slug)}
        error={errors.get('workflow') ?? problem}
        help="This step waits until that run has ended, and gives its result. It holds no worker."
        onChange={(value) => change({ workflow: value || undefined, inputs: undefined })}
      />
      <NumberField
        label="Version"
        name="version"
        whole
        min={1}
        value={typeof fields.version === 'number' ? fields.version : undefined}
        placeholder="the newest when the step starts"
        error={errors.get('version')}
        onChange={(version) => change({ version }, 'version')}
      />
      {schema && isFields(schema.properties) && Object.keys(schema.properties).length > 0 ? (
        <SchemaForm
          schema={schema}
          values={inputs}
          errors={errors}
          names={names}
          path="inputs"
          onChange={(name, value) => {
            const { [name]: _, ...rest } = inputs;
            const next: Fields = value === undefined ? rest : { ...rest, [name]: value };
            change({ inputs: Object.keys(next).length > 0 ? next : undefined }, `inputs.${name}`);
          }}
        />
      ) : (
        <AnyField
          {...{ fields, errors, change, names }}
          label="Inputs"
          name="inputs"
          placeholder='{"topic": "otters"}'
        />
      )}
    </div>
  );
}

/** The published workflows by name; one the document names and nobody knows stays visible. */
export function workflowOptions(known: readonly Workflow[] | undefined, slug: string): Option[] {
  const options = (known ?? []).map((one) => ({
    value: one.slug,
    label: one.latest_version === null ? `${one.name} (not published yet)` : one.name,
  }));
  const isStray = slug !== '' && !options.some((option) => option.value === slug);
  const first = { value: '', label: known ? 'Choose a workflow…' : 'Loading…' };
  return [first, ...(isStray ? [{ value: slug, label: slug }] : []), ...options];
}

function useWorkflows(): { known: readonly Workflow[] | undefined; problem: string | undefined } {
  const [state, setState] = useState<{ known?: readonly Workflow[]; problem?: string }>({});
  useEffect(() => {
    let stale = false;
    void workflows.list().then((answer) => {
      if (stale) return;
      setState(answer.ok ? { known: answer.value.results } : { problem: problemText(answer.problem) });
    });
    return () => {
      stale = true;
    };
  }, []);
  return { known: state.known, problem: state.problem };
}

export function NotifySettings({ node, errors, change, names }: Part) {
  const { fields } = node;
  const part = { fields, errors, change, names };
  return (
    <div className="inspector-section">
      <h3>Notification</h3>
      <ListField
        label="To"
        name="to"
        value={Array.isArray(fields.to) ? fields.to.join(', ') : ''}
        placeholder="ada@example.org, group:editors"
        error={errors.get('to')}
        help="Mail addresses, user names, or group:NAME for everybody in a group."
        onChange={(typed) => change({ to: namesOf(typed) }, 'to')}
      />
      <WordsField {...part} label="Subject" name="subject" placeholder={text(fields.label) || node.id} />
      <WordsField
        {...part}
        label="Message"
        name="message"
        placeholder="What should they know?"
        isRequired
        rows={4}
      />
      <TextField
        label="Webhook"
        name="webhook"
        value={text(fields.webhook)}
        placeholder="none"
        error={errors.get('webhook')}
        help="The name of a webhook an administrator has set up."
        onChange={(webhook) => change({ webhook: webhook.trim() || undefined }, 'webhook')}
      />
    </div>
  );
}

function namesOf(typed: string): string[] | undefined {
  const names = typed
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  return names.length > 0 ? names : undefined;
}

type FieldProps = Pick<Part, 'errors' | 'change' | 'names'> & {
  readonly fields: Fields;
  readonly label: string;
  readonly name: string;
  readonly placeholder: string;
  readonly help?: string;
};
type WordsProps = FieldProps & {
  readonly isRequired?: boolean;
  readonly mono?: boolean;
  readonly rows?: number;
};

/** Text, or an expression that gives it. */
function WordsField({ fields, errors, change, names, label, name, ...rest }: WordsProps) {
  const set = (value: unknown) => change({ [name]: value === '' ? undefined : value }, name);
  const common = { label, name, error: errors.get(name) };
  return (
    <ValueOrExpression {...common} value={fields[name]} names={names} onChange={set}>
      {(extra) => <TextField {...common} {...rest} value={text(fields[name])} extra={extra} onChange={set} />}
    </ValueOrExpression>
  );
}

/** Any JSON value, or an expression that gives it. */
function AnyField({ fields, errors, change, names, label, name, placeholder, help }: FieldProps) {
  const set = (value: unknown) => change({ [name]: value }, name);
  const common = { label, name, error: errors.get(name), ...(help ? { help } : {}) };
  return (
    <ValueOrExpression {...common} value={fields[name]} names={names} onChange={set}>
      {(extra) => (
        <JsonField
          {...common}
          rows={2}
          value={fields[name]}
          placeholder={placeholder}
          extra={extra}
          onChange={set}
        />
      )}
    </ValueOrExpression>
  );
}
