import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { build, type PluginOption } from 'vite';
import { defineConfig } from 'vitest/config';

const SOURCES = fileURLToPath(new URL('./src/', import.meta.url));
const ENTRIES = new URL('./src/entries/', import.meta.url);
const MANIFEST = 'manifest.json';

/** The two pages that are applications of their own. All others stay small: they are built against Preact. */
const LARGE: ReadonlySet<string> = new Set(['editor.tsx', 'run.tsx']);
const SMALL = 'small';
const SMALL_MANIFEST = 'manifest.small.json';
const PREACT = {
  'react/jsx-runtime': 'preact/jsx-runtime',
  'react-dom/client': 'preact/compat/client',
  'react-dom': 'preact/compat',
  react: 'preact/compat',
};

/** Every module in src/entries is one page's entry: a new page needs no change here. */
function entries(isSmall: boolean): string[] {
  return readdirSync(ENTRIES)
    .filter((name) => /\.tsx?$/.test(name) && !/\.test\./.test(name) && LARGE.has(name) !== isSmall)
    .map((name) => fileURLToPath(new URL(name, ENTRIES)));
}

/** After the large pages the small ones, into the same folder and the same manifest: `vite build` makes all. */
function smallPages(): PluginOption {
  let outDir = '';
  let logLevel: 'info' | 'warn' | 'error' | 'silent' | undefined;
  return {
    name: 'graflow:small-pages',
    apply: 'build',
    configResolved(config) {
      outDir = resolve(config.root, config.build.outDir);
      logLevel = config.logLevel;
    },
    buildStart() {
      // `vite build --watch` sees only what the large pages import.
      for (const name of readdirSync(SOURCES, { recursive: true }))
        this.addWatchFile(resolve(SOURCES, `${name}`));
    },
    async closeBundle() {
      await build({
        mode: SMALL,
        ...(logLevel ? { logLevel } : {}),
        build: { outDir, emptyOutDir: false, manifest: SMALL_MANIFEST },
      });
      const all = readJson(join(outDir, MANIFEST));
      const more = readJson(join(outDir, SMALL_MANIFEST));
      const doubled = Object.keys(more).filter((key) => key in all && all[key]?.file !== more[key]?.file);
      if (doubled.length > 0) throw new Error(`Both builds have made ${doubled.join(', ')}.`);
      writeFileSync(join(outDir, MANIFEST), JSON.stringify({ ...all, ...more }, null, 2));
      rmSync(join(outDir, SMALL_MANIFEST));
    },
  };
}

function readJson(path: string): Record<string, { file: string }> {
  return JSON.parse(readFileSync(path, 'utf8')) as Record<string, { file: string }>;
}

export default defineConfig(({ mode }) => {
  const isSmall = mode === SMALL;
  return {
    base: '/static/dist/',
    plugins: [react(), ...(isSmall ? [] : [smallPages()])],
    resolve: { alias: isSmall ? PREACT : {} },
    build: {
      outDir: '../../static/dist',
      emptyOutDir: true,
      manifest: MANIFEST,
      target: 'es2022',
      // The content security policy allows no inline script, and the chunks are few: no preload helper needed.
      modulePreload: false,
      assetsInlineLimit: 0,
      rolldownOptions: { input: entries(isSmall) },
    },
    test: {
      environment: 'happy-dom',
      include: ['src/**/*.test.{ts,tsx}'],
    },
  };
});
