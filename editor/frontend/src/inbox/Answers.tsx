/* The fields of each kind of request. They hold what was typed; the item decides when it is sent. */

import type { Field, Typed } from './schema';

interface ChoiceProps {
  options: readonly string[];
  chosen: readonly string[];
  several: boolean;
  onChange: (chosen: readonly string[]) => void;
}

export function OptionList({ options, chosen, several, onChange }: ChoiceProps) {
  return (
    <fieldset className="options">
      <legend className="label">{several ? 'Choose all that apply' : 'Choose one'}</legend>
      {options.map((option) => (
        <label key={option} className="check">
          <input
            type={several ? 'checkbox' : 'radio'}
            name="option"
            checked={chosen.includes(option)}
            onChange={(event) => onChange(toggled(options, chosen, option, several, event.target.checked))}
          />
          {option}
        </label>
      ))}
    </fieldset>
  );
}

/** Several choices keep the order of the options. */
function toggled(
  options: readonly string[],
  chosen: readonly string[],
  option: string,
  several: boolean,
  on: boolean,
): readonly string[] {
  if (!several) return [option];
  return options.filter((candidate) => (candidate === option ? on : chosen.includes(candidate)));
}

interface FormProps {
  fields: readonly Field[];
  typed: Typed;
  errors: ReadonlyMap<string, string>;
  onChange: (typed: Typed) => void;
}

export function SchemaForm({ fields, typed, errors, onChange }: FormProps) {
  return (
    <div className="stack">
      {fields.map((field) => (
        <FormField
          key={field.name}
          field={field}
          value={typed[field.name] ?? ''}
          error={errors.get(field.name) ?? errors.get(`value.${field.name}`) ?? null}
          onChange={(value) => onChange({ ...typed, [field.name]: value })}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  field: Field;
  value: Typed[string];
  error: string | null;
  onChange: (value: Typed[string]) => void;
}

function FormField({ field, value, error, onChange }: FieldProps) {
  const id = `field-${field.name}`;
  const words = error ?? field.help;
  const shared = {
    id,
    className: 'input',
    'aria-invalid': error ? true : undefined,
    'aria-describedby': words ? `${id}-words` : undefined,
  };
  if (field.kind === 'yesno') {
    return (
      <label className="check">
        <input
          type="checkbox"
          checked={value === true}
          onChange={(event) => onChange(event.target.checked)}
        />
        {field.label}
        {words ? <span className="field-help">{words}</span> : null}
      </label>
    );
  }
  if (field.kind === 'options') {
    return (
      <OptionList
        options={field.options}
        chosen={Array.isArray(value) ? value : []}
        several
        onChange={(chosen) => onChange([...chosen])}
      />
    );
  }
  return (
    <div className="field">
      <label htmlFor={id}>
        {field.label}
        {field.required ? null : <span className="muted"> (optional)</span>}
      </label>
      <Control field={field} value={String(value)} shared={shared} onChange={onChange} />
      {words ? (
        <p id={`${id}-words`} className={error ? 'field-error' : 'field-help'}>
          {words}
        </p>
      ) : null}
    </div>
  );
}

interface ControlProps {
  field: Field;
  value: string;
  shared: React.AriaAttributes & { id: string; className: string };
  onChange: (value: string) => void;
}

function Control({ field, value, shared, onChange }: ControlProps) {
  if (field.kind === 'option') {
    return (
      <select {...shared} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">Choose…</option>
        {field.options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    );
  }
  if (field.kind === 'long' || field.kind === 'json') {
    return <textarea {...shared} value={value} onChange={(event) => onChange(event.target.value)} />;
  }
  const mode = field.kind === 'text' ? undefined : field.kind === 'integer' ? 'numeric' : 'decimal';
  return (
    <input
      {...shared}
      type="text"
      inputMode={mode}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}
