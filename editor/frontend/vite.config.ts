import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const ENTRIES = new URL('./src/entries/', import.meta.url);

/** Every module in src/entries is one page's entry: a new page needs no change here. */
function entries(): string[] {
  return readdirSync(ENTRIES)
    .filter((name) => /\.tsx?$/.test(name) && !/\.test\./.test(name))
    .map((name) => fileURLToPath(new URL(name, ENTRIES)));
}

export default defineConfig({
  base: '/static/dist/',
  plugins: [react()],
  build: {
    outDir: '../../static/dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    target: 'es2022',
    // The content security policy allows no inline script, and the chunks are few: no preload helper needed.
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: { input: entries() },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
  },
});
