/** The rules of the house over every source file, and each rule over a planted violation. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  bannedInCore,
  EXCEPTIONS,
  HABIT_LINES,
  LIMIT_LINES,
  leftovers,
  lineCount,
  missingOpening,
  type SourceFile,
  switchedOff,
  tooLong,
} from './tidy-rules.js';

const project = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS =
  'src partitions replication nearcache listeners client chaos bench demo test tools bin examples models'.split(
    ' ',
  );
const SOURCE = /\.(ts|mts|js|mjs)$/;

function readTree(): SourceFile[] {
  const files: SourceFile[] = [];
  const present = new Set(readdirSync(project));
  for (const folder of FOLDERS.filter((name) => present.has(name))) {
    for (const entry of readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })) {
      const path = relative(project, join(project, folder, entry)).replaceAll('\\', '/');
      if (SOURCE.test(path) && !path.includes('node_modules/')) {
        files.push({ path, text: readFileSync(join(project, path), 'utf8') });
      }
    }
  }
  return files;
}

const tree = readTree();
const sources = tree.filter(({ path }) => !path.startsWith('test/'));
const longer = sources.filter((file) => lineCount(file) > HABIT_LINES).map(({ path }) => path);

describe('the tree', () => {
  it('was read', () => {
    expect(tree.length).toBeGreaterThan(30);
    expect(tree.filter(({ path }) => path.startsWith('src/')).length).toBeGreaterThan(10);
  });

  it('uses no clock, chance, timer, promise or global of Node in the core', () => {
    expect(tree.flatMap(bannedInCore)).toEqual([]);
  });

  it('has no unfinished work', () => {
    expect(tree.flatMap(leftovers)).toEqual([]);
  });

  it('has no test that is switched off', () => {
    expect(tree.flatMap(switchedOff)).toEqual([]);
  });

  it('opens every file with a comment that says what it is for', () => {
    expect(tree.flatMap(missingOpening)).toEqual([]);
  });

  it(`keeps every source file within ${LIMIT_LINES} lines (above the habit of ${HABIT_LINES}: ${longer.join(', ') || 'none'})`, () => {
    expect(sources.flatMap(tooLong)).toEqual([]);
  });
});

/** Words are put together here so that this file does not contain what it looks for. */
const word = (...parts: string[]) => parts.join('');

describe('the rules', () => {
  const core = (text: string, path = 'src/cluster/view.ts') => bannedInCore({ path, text });

  it.each([
    ['const t = Date.now();', 'Date'],
    ['const t = new Date();', 'Date'],
    ['const t = new Date;', 'Date'],
    ['const t = Date();', 'Date'],
    ['const n = Math.random();', 'Math.random'],
    ['setTimeout(() => {}, 1);', 'setTimeout'],
    ['const id = setInterval(fn, 1);', 'setInterval'],
    ['setImmediate(fn);', 'setImmediate'],
    ['queueMicrotask(fn);', 'queueMicrotask'],
    ['const t = performance.now();', 'performance'],
    ['const p = process.pid;', 'process'],
    ["console.log('x');", 'console'],
    ['const id = crypto.randomUUID();', 'crypto'],
    ["const t = globalThis['Date'];", 'globalThis'],
    ["const r = fetch('x');", 'fetch'],
    ['async function f() {}', 'async'],
    ['const f = async () => {};', 'async'],
    ['const x = await y;', 'async'],
    ['for await (const x of y) {}', 'async'],
    ['let p: Promise<number>;', 'Promise'],
    ['const p = new Promise(() => {});', 'Promise'],
  ])('find in the core: %s', (text, name) => {
    expect(core(`/** Planted. */\n${text}\n`).join('\n')).toContain(`src/cluster/view.ts:2 uses ${name}`);
  });

  it('see no global in comments, in strings or in names of our own', () => {
    const text = `// Date.now() and setTimeout
      const s = 'process.exit';
      const a = { console: 1, fetch() {}, process: 2 };
      class Job { performance = 1; Date(): void {} }
      a.console + clock.process + job.performance;`;
    expect(core(text)).toEqual([]);
  });

  it('let the core carry dates as values', () => {
    expect(core('const d = value instanceof Date ? new Date(value.getTime()) : new Date(0);')).toEqual([]);
  });

  it('let platform, doors and proxies use what the core may not, and nobody else', () => {
    const text = 'export async function get(): Promise<void> { await 1; }';
    for (const path of ['src/platform/x.ts', 'src/member/x.ts', 'partitions/services/map/proxy.ts']) {
      expect(core(text, path)).toEqual([]);
    }
    for (const path of ['partitions/services/map/state.ts', 'replication/x.ts', 'nearcache/x.ts']) {
      expect(core(text, path).length).toBeGreaterThan(2);
    }
    expect(core('const t = Date.now();', 'partitions/services/map/proxy.ts')).toHaveLength(1);
  });

  it('make no exception without a reason, nor for a file that is gone', () => {
    for (const exception of EXCEPTIONS) {
      expect(exception.why.length).toBeGreaterThan(20);
      const used = tree.some(({ path }) => exception.path.test(path));
      expect(used || exception.path.source.includes('proxy'), exception.path.source).toBe(true);
    }
  });

  it('find unfinished work', () => {
    for (const mark of [word('TO', 'DO'), word('FIX', 'ME'), word('XX', 'X')]) {
      expect(leftovers({ path: 'a.ts', text: `const a = 1; // ${mark}: later\n` })).toHaveLength(1);
    }
    expect(leftovers({ path: 'a.ts', text: 'const todos = 1;\n' })).toEqual([]);
  });

  it('find tests that are switched off', () => {
    const off = [
      word('it', '.skip(1)'),
      word('describe', '.only(1)'),
      word('it', '.each([1]).skip(1)'),
      word('test', '.todo(1)'),
      word('it', '.skipIf(x)(1)'),
      word('x', 'it(1)'),
    ];
    for (const text of off) expect(switchedOff({ path: 'a.test.ts', text }), text).toHaveLength(1);
    expect(
      switchedOff({ path: 'a.test.ts', text: "it.each([1])('skips the rest', f); list.skip(2);" }),
    ).toEqual([]);
  });

  it('find a file without an opening comment', () => {
    expect(missingOpening({ path: 'a.ts', text: 'export const a = 1;\n' })).toHaveLength(1);
    expect(missingOpening({ path: 'a.ts', text: '/** A. */\nexport const a = 1;\n' })).toHaveLength(1);
    expect(
      missingOpening({ path: 'a.ts', text: '// What this file is for.\nexport const a = 1;\n' }),
    ).toEqual([]);
    expect(missingOpening({ path: 'a.js', text: '#!/usr/bin/env node\n/* What it is for. */\n' })).toEqual(
      [],
    );
  });

  it('find a file that is too long, unless it is a test', () => {
    const text = '// a line\n'.repeat(LIMIT_LINES + 1);
    expect(tooLong({ path: 'src/a.ts', text })).toHaveLength(1);
    expect(tooLong({ path: 'test/a.test.ts', text })).toEqual([]);
    expect(tooLong({ path: 'src/a.ts', text: '// a line\n'.repeat(LIMIT_LINES) })).toEqual([]);
  });
});
