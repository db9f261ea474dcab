/* The controls of the inspector. Each has a label, keeps what is typed until it can be read, and says what is wrong. */

import { ChevronRight, SquareFunction } from 'lucide-react';
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { isExpression } from '../graph/document';
import { useSlice } from './context';

type Common = {
  readonly label: string;
  readonly help?: ReactNode;
  readonly error?: string | undefined;
  /** The path below the thing, as problems name it: lets a problem put the cursor here. */
  readonly name?: string;
  readonly extra?: ReactNode;
  readonly isRequired?: boolean;
};

type FrameProps = Common & {
  readonly children: (ids: { id: string; describedBy: string | undefined }) => ReactNode;
};

export function Frame({ label, help, error, name, extra, isRequired, children }: FrameProps) {
  const id = useId();
  const host = useRef<HTMLDivElement>(null);
  const wanted = useSlice((state) => state.wanted);
  useEffect(() => {
    if (!name || !wanted || !(wanted.field === name || wanted.field.startsWith(`${name}.`))) return;
    const control = host.current?.querySelector<HTMLElement>('input, textarea, select');
    control?.focus();
    control?.scrollIntoView({ block: 'nearest' });
  }, [wanted, name]);
  const described = [help ? `${id}-help` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ');
  return (
    <div className="field inspector-field" ref={host}>
      <div className="field-head">
        <label htmlFor={id} className={isRequired ? 'is-required' : undefined}>
          {label}
        </label>
        {extra}
      </div>
      {children({ id, describedBy: described || undefined })}
      {error && (
        <p className="field-error" id={`${id}-error`}>
          {error}
        </p>
      )}
      {help && (
        <p className="field-help" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}

type TextProps = Common & {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly rows?: number;
  readonly placeholder?: string | undefined;
  readonly mono?: boolean;
  readonly list?: readonly string[];
};

export function TextField({ value, onChange, rows, placeholder, mono, list, ...common }: TextProps) {
  const listId = useId();
  return (
    <Frame {...common}>
      {({ id, describedBy }) => {
        const shared = {
          id,
          value,
          placeholder,
          className: mono ? 'input mono' : 'input',
          spellCheck: !mono,
          'aria-describedby': describedBy,
          'aria-invalid': common.error ? true : undefined,
        };
        if (rows)
          return <textarea {...shared} rows={rows} onChange={(event) => onChange(event.target.value)} />;
        return (
          <>
            <input
              {...shared}
              list={list ? listId : undefined}
              autoComplete="off"
              onChange={(event) => onChange(event.target.value)}
            />
            {list && (
              <datalist id={listId}>
                {list.map((item) => (
                  <option key={item} value={item} />
                ))}
              </datalist>
            )}
          </>
        );
      }}
    </Frame>
  );
}

/** Names with commas between; what is typed stays as it is typed. */
export function ListField({ value, onChange, ...rest }: TextProps) {
  const [draft, setDraft] = useDraft(value, sameNames);
  return (
    <TextField
      {...rest}
      value={draft}
      onChange={(typed) => {
        setDraft(typed);
        onChange(typed);
      }}
    />
  );
}

function sameNames(a: string, b: string): boolean {
  const names = (list: string) =>
    list
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean)
      .join(',');
  return names(a) === names(b);
}

type NumberProps = Common & {
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
  readonly min?: number;
  readonly whole?: boolean;
  readonly placeholder?: string | undefined;
};

/** An empty field means "not set". What is no number stays in the field and is not taken over. */
export function NumberField({ value, onChange, min, whole = false, placeholder, ...common }: NumberProps) {
  const [draft, setDraft] = useDraft(value === undefined ? '' : String(value));
  const wrong = draft.trim() === '' ? undefined : numberError(draft, min, whole);
  return (
    <Frame {...common} error={wrong ?? common.error}>
      {({ id, describedBy }) => (
        <input
          id={id}
          className="input numeric"
          inputMode={whole ? 'numeric' : 'decimal'}
          value={draft}
          placeholder={placeholder}
          autoComplete="off"
          aria-describedby={describedBy}
          aria-invalid={wrong ? true : undefined}
          onChange={(event) => {
            const typed = event.target.value;
            setDraft(typed);
            if (typed.trim() === '') onChange(undefined);
            else if (!numberError(typed, min, whole)) onChange(Number(typed));
          }}
        />
      )}
    </Frame>
  );
}

function numberError(typed: string, min: number | undefined, whole: boolean): string | undefined {
  const value = Number(typed);
  if (!Number.isFinite(value) || (whole && !Number.isInteger(value)))
    return whole ? 'A whole number, please.' : 'A number, please.';
  return min !== undefined && value < min ? `At least ${min}, please.` : undefined;
}

type CheckProps = Common & { readonly value: boolean; readonly onChange: (value: boolean) => void };

export function CheckField({ label, help, value, onChange, extra }: CheckProps) {
  const id = useId();
  return (
    <div className="inspector-check">
      <input
        id={id}
        type="checkbox"
        checked={value}
        aria-describedby={help ? `${id}-help` : undefined}
        onChange={(event) => onChange(event.target.checked)}
      />
      <label htmlFor={id}>{label}</label>
      {extra}
      {help && (
        <p className="field-help" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}

export type Option = { readonly value: string; readonly label: string };
type SelectProps = Common & {
  readonly value: string;
  readonly options: readonly Option[];
  readonly onChange: (value: string) => void;
};

export function SelectField({ value, options, onChange, ...common }: SelectProps) {
  return (
    <Frame {...common}>
      {({ id, describedBy }) => (
        <select
          id={id}
          className="input"
          value={value}
          aria-describedby={describedBy}
          onChange={(event) => onChange(event.target.value)}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Frame>
  );
}

type JsonProps = Common & {
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
  readonly rows?: number;
  readonly placeholder?: string | undefined;
};

/** Any JSON value as text. Text that is no JSON stays here and changes nothing. */
export function JsonField({ value, onChange, rows = 4, placeholder, ...common }: JsonProps) {
  const [draft, setDraft] = useDraft(value === undefined ? '' : JSON.stringify(value, null, 2));
  const read = readJson(draft);
  const wrong = 'error' in read ? read.error : undefined;
  return (
    <Frame {...common} error={wrong ?? common.error}>
      {({ id, describedBy }) => (
        <textarea
          id={id}
          className="input mono"
          rows={rows}
          value={draft}
          spellCheck={false}
          placeholder={placeholder}
          aria-describedby={describedBy}
          aria-invalid={wrong ? true : undefined}
          onChange={(event) => {
            setDraft(event.target.value);
            const next = readJson(event.target.value);
            if ('value' in next) onChange(next.value);
          }}
        />
      )}
    </Frame>
  );
}

function readJson(draft: string): { value: unknown } | { error: string } {
  if (draft.trim() === '') return { value: undefined };
  try {
    return { value: JSON.parse(draft) };
  } catch (error) {
    return { error: `This is no JSON yet: ${error instanceof Error ? error.message : 'check the brackets'}` };
  }
}

/** What is being typed, until the value changes from elsewhere (undo, another step). */
function useDraft(outside: string, isSame = sameValue): [string, (draft: string) => void] {
  const [state, setState] = useState({ outside, draft: outside });
  if (state.outside !== outside) {
    const isOwn = isSame(state.draft, outside);
    setState({ outside, draft: isOwn ? state.draft : outside });
  }
  return [state.draft, (draft) => setState((old) => ({ ...old, draft }))];
}

function sameValue(a: string, b: string): boolean {
  if (a === b || a.trim() === b) return true;
  if (a.trim() === '' || b === '') return false;
  try {
    return JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b));
  } catch {
    return false;
  }
}

type FxProps = { readonly label: string; readonly isOn: boolean; readonly onChange: (isOn: boolean) => void };

export function FxToggle({ label, isOn, onChange }: FxProps) {
  return (
    <button
      type="button"
      className="fx"
      aria-pressed={isOn}
      aria-label={`Use an expression for ${label}`}
      title={isOn ? 'Computed by an expression' : 'Compute this by an expression'}
      onClick={() => onChange(!isOn)}
    >
      <SquareFunction size={14} aria-hidden="true" />
    </button>
  );
}

type ExpressionProps = Common & {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly names: readonly string[];
  readonly placeholder?: string;
};

export function ExpressionField({ value, onChange, names, placeholder, ...common }: ExpressionProps) {
  return (
    <TextField
      {...common}
      value={value}
      onChange={onChange}
      mono
      list={names}
      placeholder={placeholder ?? 'inputs.name'}
    />
  );
}

/** A value of any kind, or an expression: the toggle beside the label changes between them. */
export function ValueOrExpression({
  value,
  onChange,
  names,
  children,
  ...common
}: Common & {
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
  readonly names: readonly string[];
  readonly children: (extra: ReactNode) => ReactNode;
}) {
  const isOn = isExpression(value);
  const toggle = (
    <FxToggle label={common.label} isOn={isOn} onChange={(on) => onChange(on ? { $: '' } : undefined)} />
  );
  if (!isOn) return <>{children(toggle)}</>;
  return (
    <ExpressionField
      {...common}
      extra={toggle}
      value={value.$}
      names={names}
      onChange={(source) => onChange({ $: source })}
    />
  );
}

/** Settings few people need: closed until asked for, or when one of them is set. */
export function Fold({ title, isOpen, children }: { title: string; isOpen: boolean; children: ReactNode }) {
  return (
    <details className="inspector-fold" open={isOpen || undefined}>
      <summary>
        <ChevronRight size={14} aria-hidden="true" />
        {title}
      </summary>
      <div className="inspector-section">{children}</div>
    </details>
  );
}
