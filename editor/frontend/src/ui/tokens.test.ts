import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const css = readFileSync(`${import.meta.dirname}/tokens.css`, 'utf8');

function values(selector: string): string[] {
  const from = css.indexOf('{', css.indexOf(selector));
  return css
    .slice(from + 1, css.indexOf('}', from))
    .split(';')
    .map((line) => line.trim())
    .filter(Boolean);
}

test('dark by choice and dark by system are the same dark', () => {
  const bySystem = values(":root:not([data-theme='light'])");
  expect(bySystem.length).toBeGreaterThan(30);
  expect(values(":root[data-theme='dark']")).toEqual(bySystem);
});

test('every status has a colour in both themes', () => {
  expect(css.match(/--task-[a-z_]+:/g)).toHaveLength(33);
});
