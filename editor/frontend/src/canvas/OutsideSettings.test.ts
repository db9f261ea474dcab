import { expect, test } from 'vitest';
import type { Workflow } from '../api/client';
import { codesOf, workflowOptions } from './OutsideSettings';

const published = { slug: 'draft-and-review', name: 'Draft and review', latest_version: 2 } as Workflow;
const draft = { slug: 'half', name: 'Half', latest_version: null } as Workflow;

test('codes are typed with commas or spaces between, and what is no code is kept to be told', () => {
  expect(codesOf('200, 201 404')).toEqual([200, 201, 404]);
  expect(codesOf('2xx')).toEqual(['2xx']);
  expect(codesOf(' ')).toBeUndefined();
});

test('a workflow is chosen by its name, and one that has no version says so', () => {
  expect(workflowOptions([published, draft], '').map((option) => option.label)).toEqual([
    'Choose a workflow…',
    'Draft and review',
    'Half (not published yet)',
  ]);
});

test('a workflow that nobody knows any more stays chosen', () => {
  expect(workflowOptions([published], 'gone')[1]).toEqual({ value: 'gone', label: 'gone' });
  expect(workflowOptions(undefined, '')).toEqual([{ value: '', label: 'Loading…' }]);
});
