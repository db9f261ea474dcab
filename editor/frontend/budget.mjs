/* Weighs what a first visit of each page loads, and fails when it is more than the page may weigh.

   Builds into a folder of its own, so that it needs no build and spoils none. Sizes are gzipped, in kB of 1000 bytes,
   scripts and styles with all they import; the shell, which every page loads, counts with each of them. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const BUDGETS = { 'src/entries/editor.tsx': 200, 'src/entries/run.tsx': 150 };
const OTHER_PAGES = 40;
const SHELL = 'src/entries/shell.ts';

const outDir = mkdtempSync(join(tmpdir(), 'graflow-budget-'));
try {
  await build({ logLevel: 'error', build: { outDir } });
  const manifest = JSON.parse(readFileSync(join(outDir, 'manifest.json'), 'utf8'));
  const pages = Object.keys(manifest).filter((key) => manifest[key].isEntry);
  const heavy = pages.filter((page) => !fits(page, weigh(manifest, [page, SHELL])));
  if (heavy.length > 0) {
    console.error(
      'Too heavy. Load what is not needed at first on demand, or say in docs/adr why a page may be heavier.',
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(outDir, { recursive: true });
}

function fits(page, bytes) {
  const budget = BUDGETS[page] ?? OTHER_PAGES;
  const kilobytes = bytes / 1000;
  const verdict = kilobytes <= budget ? 'of' : 'ABOVE';
  console.log(`${kilobytes.toFixed(1).padStart(6)} kB ${verdict} ${budget} kB  ${page}`);
  return kilobytes <= budget;
}

function weigh(manifest, keys) {
  const files = new Set();
  const queue = [...keys];
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    const { file, css = [], imports = [] } = manifest[key];
    if (files.has(file)) continue;
    for (const name of [file, ...css]) files.add(name);
    queue.push(...imports);
  }
  return [...files].reduce((sum, name) => sum + gzipSync(readFileSync(join(outDir, name))).length, 0);
}
