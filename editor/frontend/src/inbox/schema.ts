/* From a JSON Schema to the fields of a form, and from what was typed to a typed value. The server checks again. */

import { type Json, list, record, text } from '../live/parse';

export type FieldKind = 'text' | 'long' | 'number' | 'integer' | 'yesno' | 'option' | 'options' | 'json';

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly kind: FieldKind;
  readonly options: readonly string[];
  readonly required: boolean;
  readonly initial: string | boolean | readonly string[];
}

export type Typed = Readonly<Record<string, string | boolean | readonly string[]>>;

export function fieldsOf(schema: Json | null): Field[] {
  const required = list(schema?.required).map(String);
  return Object.entries(record(schema?.properties)).map(([name, raw]) =>
    field(name, record(raw), required.includes(name)),
  );
}

function field(name: string, schema: Json, required: boolean): Field {
  const kind = kindOf(schema);
  const items = record(schema.items);
  return {
    name,
    label: text(schema.title) ?? name.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase()),
    help: text(schema.description),
    kind,
    options: (kind === 'options' ? list(items.enum) : list(schema.enum)).map(String),
    required,
    initial: initialOf(kind, schema.default),
  };
}

function kindOf(schema: Json): FieldKind {
  if (schema.type === 'boolean') return 'yesno';
  if (Array.isArray(schema.enum)) return 'option';
  if (schema.type === 'array' && Array.isArray(record(schema.items).enum)) return 'options';
  if (schema.type === 'integer') return 'integer';
  if (schema.type === 'number') return 'number';
  if (schema.type !== 'string') return 'json';
  const isLong =
    schema.format === 'textarea' || (typeof schema.maxLength === 'number' && schema.maxLength > 200);
  return isLong ? 'long' : 'text';
}

function initialOf(kind: FieldKind, value: unknown): Field['initial'] {
  if (kind === 'yesno') return value === true;
  if (kind === 'options') return list(value).map(String);
  if (value === undefined || value === null) return '';
  return kind === 'json' ? JSON.stringify(value) : String(value);
}

export function initialOfAll(fields: readonly Field[]): Typed {
  return Object.fromEntries(fields.map((item) => [item.name, item.initial]));
}

/** The value to send, and what is wrong by field name. Empty optional fields are left out. */
export function readForm(
  fields: readonly Field[],
  typed: Typed,
): { value: Json; errors: ReadonlyMap<string, string> } {
  const value: Json = {};
  const errors = new Map<string, string>();
  for (const item of fields) {
    const given = typed[item.name];
    if (given === '' || given === undefined) {
      if (item.required) errors.set(item.name, 'This is needed.');
      continue;
    }
    const read = readField(item, given);
    if (read === undefined) errors.set(item.name, WRONG[item.kind] ?? 'This does not fit.');
    else value[item.name] = read;
  }
  return { value, errors };
}

const WRONG: Partial<Record<FieldKind, string>> = {
  number: 'This must be a number.',
  integer: 'This must be a whole number.',
  json: 'This must be JSON.',
};

function readField(item: Field, given: Typed[string]): unknown {
  if (item.kind === 'number' || item.kind === 'integer') {
    const number = Number(given);
    const fits = Number.isFinite(number) && (item.kind === 'number' || Number.isInteger(number));
    return fits ? number : undefined;
  }
  if (item.kind !== 'json') return given;
  try {
    return JSON.parse(String(given));
  } catch {
    return undefined;
  }
}
