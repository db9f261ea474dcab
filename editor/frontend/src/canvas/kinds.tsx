/* How each kind of step looks and is called, on the canvas, in the palette and in the inspector. */

import {
  Bell,
  Clock,
  Code,
  GitBranch,
  Globe,
  Layers,
  ListChecks,
  type LucideIcon,
  Sigma,
  SquarePen,
  Stamp,
  TextCursorInput,
  Workflow,
} from 'lucide-react';
import { createElement, Fragment, type ReactNode } from 'react';
import type { Catalogue } from '../api/client';
import type { Template } from '../graph/edits';

type Look = {
  readonly icon: LucideIcon;
  readonly tone: 'code' | 'human' | 'flow' | 'data';
  readonly word: string;
};

const LOOKS: Record<string, Look> = {
  task: { icon: Code, tone: 'code', word: 'Task' },
  approval: { icon: Stamp, tone: 'human', word: 'Approval' },
  text: { icon: TextCursorInput, tone: 'human', word: 'Text question' },
  choice: { icon: ListChecks, tone: 'human', word: 'Choice' },
  form: { icon: SquarePen, tone: 'human', word: 'Form' },
  branch: { icon: GitBranch, tone: 'flow', word: 'Branch' },
  delay: { icon: Clock, tone: 'flow', word: 'Delay' },
  map: { icon: Layers, tone: 'flow', word: 'For each item' },
  workflow: { icon: Workflow, tone: 'flow', word: 'Workflow' },
  http: { icon: Globe, tone: 'data', word: 'HTTP request' },
  transform: { icon: Sigma, tone: 'data', word: 'Transform' },
  notify: { icon: Bell, tone: 'data', word: 'Notification' },
};

export const HUMAN_KINDS: ReadonlySet<string> = new Set(['approval', 'text', 'choice', 'form']);

export function lookOf(kind: string): Look {
  return LOOKS[kind] ?? { icon: Code, tone: 'code', word: kind };
}

export function KindTile({ kind }: { kind: string }) {
  const { icon: Icon, tone } = lookOf(kind);
  return (
    <span className="kind-tile" data-tone={tone} aria-hidden="true">
      <Icon size={16} strokeWidth={2} />
    </span>
  );
}

export type Offer = Template & { readonly doc: string; readonly section: string; readonly key: string };

/** What the palette shows: the kinds the server knows, then its registered tasks by module. */
export function offersOf(catalogue: Catalogue | undefined): Offer[] {
  if (!catalogue) return [];
  const kinds = catalogue.kinds
    .filter(({ kind }) => kind !== 'task')
    .map(({ kind, label, doc }) => ({
      key: kind,
      kind,
      label,
      doc,
      section: HUMAN_KINDS.has(kind) ? 'People' : 'Flow and data',
    }));
  const people = kinds.filter((offer) => offer.section === 'People');
  const flow = kinds.filter((offer) => offer.section !== 'People');
  const tasks = catalogue.results.map(({ name, doc }) => ({
    key: name,
    kind: 'task',
    uses: name,
    label: wordsOf(name),
    doc,
    section: name.includes('.') ? `Tasks · ${name.slice(0, name.lastIndexOf('.'))}` : 'Tasks',
  }));
  return [...people, ...flow, ...tasks];
}

/** `demo.write_draft` becomes "Write draft". */
export function wordsOf(name: string): string {
  const last = name.split('.').at(-1) ?? name;
  const words = last.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Names between backticks, as docstrings write them, shown as code. */
export function withCode(doc: string): ReactNode {
  const parts = doc
    .split('`')
    .map((part, index) => (index % 2 === 1 ? createElement('code', null, part) : part));
  return createElement(Fragment, null, ...parts);
}

export function firstLine(doc: string): string {
  return doc.trim().split('\n', 1)[0] ?? '';
}
