/* A form out of a JSON Schema: parameters of a task, and the inputs of a run. */

import type { JsonSchema } from '../api/client';
import { type Fields, isExpression, isFields } from '../graph/document';
import {
  CheckField,
  JsonField,
  NumberField,
  type Option,
  SelectField,
  TextField,
  ValueOrExpression,
} from './fields';
import { withCode, wordsOf } from './kinds';

type FormProps = {
  readonly schema: JsonSchema;
  readonly values: Fields;
  readonly onChange: (name: string, value: unknown) => void;
  readonly errors: ReadonlyMap<string, string>;
  /** Names an expression may use; undefined where expressions make no sense. */
  readonly names?: readonly string[];
  /** The path above the fields, as problems write it. */
  readonly path?: string;
};

export function SchemaForm({ schema, values, onChange, errors, names, path = '' }: FormProps) {
  const properties = isFields(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : [];
  const known = Object.keys(properties);
  // A task may take any further parameter, and a document may hold one that is gone: show what is there.
  const others = Object.keys(values).filter((name) => !known.includes(name));
  return [...known, ...others].map((name) => (
    <SchemaField
      key={name}
      name={path ? `${path}.${name}` : name}
      label={titleOf(name, properties[name])}
      schema={isFields(properties[name]) ? properties[name] : {}}
      isRequired={required.includes(name)}
      value={values[name]}
      error={errors.get(path ? `${path}.${name}` : name)}
      names={names}
      onChange={(value) => onChange(name, value)}
    />
  ));
}

type FieldProps = {
  readonly name: string;
  readonly label: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
  readonly value: unknown;
  readonly error: string | undefined;
  readonly names: readonly string[] | undefined;
  readonly onChange: (value: unknown) => void;
};

function SchemaField(props: FieldProps) {
  const { names, ...rest } = props;
  const { name, label, value, error, onChange } = rest;
  if (!names) return <PlainField {...rest} extra={undefined} />;
  return (
    <ValueOrExpression
      label={label}
      name={name}
      error={error}
      value={value}
      names={names}
      onChange={onChange}
    >
      {(extra) => <PlainField {...rest} extra={extra} />}
    </ValueOrExpression>
  );
}

function PlainField({
  name,
  label,
  schema: raw,
  isRequired,
  value,
  error,
  onChange,
  extra,
}: Omit<FieldProps, 'names'> & { extra: React.ReactNode }) {
  const schema = withoutNull(raw);
  const fallback = raw.default;
  const description = typeof schema.description === 'string' ? schema.description : undefined;
  const common = {
    name,
    label,
    isRequired,
    error,
    extra,
    ...(description ? { help: withCode(description) } : {}),
  };
  const placeholder =
    fallback === undefined || fallback === null
      ? undefined
      : String(typeof fallback === 'object' ? JSON.stringify(fallback) : fallback);
  if (Array.isArray(schema.enum)) {
    return (
      <EnumField {...common} options={schema.enum} value={value} fallback={fallback} onChange={onChange} />
    );
  }
  switch (schema.type) {
    case 'boolean':
      return (
        <CheckField {...common} label={label} value={(value ?? fallback) === true} onChange={onChange} />
      );
    case 'integer':
    case 'number':
      if (value === undefined || typeof value === 'number') {
        const minimum = typeof schema.minimum === 'number' ? { min: schema.minimum } : {};
        return (
          <NumberField
            {...common}
            {...minimum}
            value={value}
            whole={schema.type === 'integer'}
            placeholder={placeholder}
            onChange={onChange}
          />
        );
      }
      break;
    case 'string':
      if (value === undefined || typeof value === 'string') {
        const long =
          schema.format === 'multiline' ||
          (value ?? placeholder ?? '').length > 60 ||
          (value ?? '').includes('\n');
        const typed = (text: string) => onChange(text === '' ? undefined : text);
        return (
          <TextField
            {...common}
            value={value ?? ''}
            placeholder={placeholder}
            onChange={typed}
            {...(long ? { rows: 4 } : {})}
          />
        );
      }
      break;
  }
  return (
    <JsonField
      {...common}
      value={value}
      rows={2}
      placeholder={placeholder ?? '"text", 1, [1, 2], {"a": 1}'}
      onChange={onChange}
    />
  );
}

type EnumProps = {
  readonly name: string;
  readonly label: string;
  readonly error: string | undefined;
  readonly options: readonly unknown[];
  readonly value: unknown;
  readonly fallback: unknown;
  readonly onChange: (value: unknown) => void;
};

function EnumField({ options, value, fallback, onChange, ...common }: EnumProps) {
  const texts: Option[] = options.map((option) => ({ value: JSON.stringify(option), label: String(option) }));
  const unset = { value: '', label: fallback === undefined ? 'Not set' : `Default (${String(fallback)})` };
  const current = value === undefined ? '' : JSON.stringify(value);
  return (
    <SelectField
      {...common}
      value={current}
      options={[unset, ...texts]}
      onChange={(text) => onChange(text === '' ? undefined : JSON.parse(text))}
    />
  );
}

/** `anyOf` with null is how an optional parameter looks: leaving it empty says the same. */
function withoutNull(schema: JsonSchema): JsonSchema {
  if (!Array.isArray(schema.anyOf)) return schema;
  const rest = schema.anyOf.filter((part) => !(isFields(part) && part.type === 'null'));
  const [only] = rest;
  if (rest.length === 1 && isFields(only)) return { ...schema, ...only };
  // A whole number or a fraction: the wider one takes both.
  const numbers = rest.every((part) => isFields(part) && (part.type === 'integer' || part.type === 'number'));
  return numbers ? { ...schema, type: 'number' } : schema;
}

function titleOf(name: string, schema: unknown): string {
  return isFields(schema) && typeof schema.title === 'string' ? schema.title : wordsOf(name);
}

/** Values as they are before anybody typed: the defaults of a schema. */
export function defaultsOf(schema: JsonSchema): Fields {
  const properties = isFields(schema.properties) ? schema.properties : {};
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, part]) =>
      isFields(part) && part.default !== undefined && !isExpression(part.default)
        ? [[name, part.default]]
        : [],
    ),
  );
}
