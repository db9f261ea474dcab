import { expect, test } from 'vitest';
import { fieldsOf, initialOfAll, readForm } from './schema';

const fields = fieldsOf({
  type: 'object',
  required: ['title', 'count'],
  properties: {
    title: { type: 'string' },
    count: { type: 'integer', default: 3 },
    urgent: { type: 'boolean' },
    tags: { type: 'array', items: { enum: ['a', 'b'] } },
  },
});

test('a field is made for each property, with its default', () => {
  expect(fields.map((field) => field.kind)).toEqual(['text', 'integer', 'yesno', 'options']);
  expect(initialOfAll(fields)).toEqual({ title: '', count: '3', urgent: false, tags: [] });
});

test('what was typed keeps its type', () => {
  const { value, errors } = readForm(fields, { title: 'x', count: '7', urgent: true, tags: ['b'] });
  expect(errors.size).toBe(0);
  expect(value).toEqual({ title: 'x', count: 7, urgent: true, tags: ['b'] });
});

test('a missing and an ill-typed field are named', () => {
  const { errors } = readForm(fields, { title: '', count: '1.5', urgent: false, tags: [] });
  expect([...errors.keys()]).toEqual(['title', 'count']);
});
