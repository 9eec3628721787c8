/** The getters of structures, their options, and that their types reach users of the built package. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { installStructures, MAX_NAME_BYTES, StructureRegistry } from '../../client/core/grid.js';
import { SERVICES } from '../../partitions/services/index.js';
import { InMemoryInvoker } from './in-memory-invoker.js';

const project = fileURLToPath(new URL('../..', import.meta.url));

describe('the getters', () => {
  it('give one proxy per name, and maps and longs of one name apart', async () => {
    const grid = installStructures({ other: 1 }, new InMemoryInvoker());
    expect(grid.other).toBe(1);
    expect(grid.getMap('a')).toBe(grid.getMap('a'));
    expect(grid.getMap('a')).not.toBe(grid.getMap('b'));
    expect(grid.getAtomicLong('a')).toBe(grid.getAtomicLong('a'));
    await grid.getMap('a').set('k', 1);
    await grid.getAtomicLong('a').set(5);
    expect([await grid.getMap('a').get('k'), await grid.getMap('b').get('k')]).toEqual([1, null]);
    expect([await grid.getAtomicLong('a').get(), await grid.getAtomicLong('b').get()]).toEqual([5n, 0n]);
    expect(grid.getMultiMap('a')).toBe(grid.getMultiMap('a'));
    await grid.getMultiMap('a').put('k', 2);
    expect([await grid.getMultiMap('a').get('k'), await grid.getMap('a').get('k')]).toEqual([[2], 1]);
  });

  it('give a new proxy after the structure was destroyed, also through a view', async () => {
    const grid = installStructures({}, new InMemoryInvoker());
    const [map, long] = [grid.getMap('a'), grid.getAtomicLong('a')];
    await map.set('k', 1);
    await map.with({ timeoutMs: 5 }).destroy();
    await long.destroy();
    expect(grid.getMap('a')).not.toBe(map);
    expect(grid.getAtomicLong('a')).not.toBe(long);
    expect(await grid.getMap('a').size()).toBe(0);
    const later = grid.getMap('a');
    await map.destroy();
    expect(grid.getMap('a')).toBe(later);
  });

  it('refuse what cannot be a name at once', () => {
    const grid = installStructures({}, new InMemoryInvoker());
    for (const wrong of ['', 5, null, undefined, 'x'.repeat(MAX_NAME_BYTES + 1), 'ü'.repeat(121), '\ud800']) {
      expect(() => grid.getMap(wrong as string)).toThrow(TypeError);
      expect(() => grid.getAtomicLong(wrong as string)).toThrow(/^name: /);
    }
    expect(grid.getMap('ü'.repeat(120)).name).toHaveLength(120);
  });

  it('pass on the options of calls that set none', async () => {
    const invoker = new InMemoryInvoker();
    const registry = new StructureRegistry(invoker, { timeoutMs: 70 });
    const [mapModule] = SERVICES;
    const map = registry.get(mapModule, 'a') as ReturnType<typeof mapModule.createProxy>;
    await map.get('k');
    expect(invoker.sent.map(({ options }) => options)).toEqual([{ timeoutMs: 70 }]);
  });
});

describe('the list of structures', () => {
  it('gives each its own number, name, getter and key of the configuration', () => {
    for (const of of [
      SERVICES.map(({ service }) => service.id),
      SERVICES.map(({ service }) => service.name),
      SERVICES.map(({ getter }) => getter),
      SERVICES.map(({ configKey }) => configKey),
    ]) {
      expect(new Set<unknown>(of).size).toBe(SERVICES.length);
    }
  });

  it.each(SERVICES.map(({ configKey, options }) => [configKey, options] as const))(
    'checks the common options of %s',
    (_key, options) => {
      const problems = (given: unknown) =>
        options.safeParse(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ??
        [];
      expect(problems({ consistency: 'PA/EC', backups: { sync: 2, async: 4 }, minSynced: 2 })).toEqual([]);
      for (const consistency of ['PA/EL', 'PC/EC', 'PC/EL']) expect(problems({ consistency })).toEqual([]);
      expect(problems({ consistency: 'PC/EC', backups: { sync: 0 }, onBackupTimeout: 'success' })).toEqual([
        expect.stringMatching(/^backups\.sync: 0 does not go with PC\/EC/),
        expect.stringMatching(/^onBackupTimeout: success does not go with PC\/EC/),
      ]);
      expect(problems({ consistency: 'XX/YY' })).toHaveLength(1);
      expect(problems({ backups: { sync: 3, async: 4 } })).toEqual([
        'backups: sync and async together are at most 6',
      ]);
      expect(problems({ minSynced: 2 })).toEqual([
        'minSynced: minSynced is 2, but there are only 1 sync backups',
      ]);
      for (const wrong of [{ backups: { sync: 7 } }, { backups: { sync: 1.5 } }, { minSynced: -1 }]) {
        expect(problems(wrong)).not.toEqual([]);
      }
      for (const wrong of [{ backupTimeoutMs: 99 }, { backupTimeoutMs: 600_001 }, { onBackupTimeout: 'x' }]) {
        expect(problems(wrong)).toHaveLength(1);
      }
      expect(problems({ backups: { synk: 1 } })).toHaveLength(1);
      for (const [name, field] of Object.entries(options.shape)) {
        expect((field as { description?: string }).description ?? '', name).toMatch(/\w{3,}/);
      }
    },
  );
});

describe('the declarations of the built package', () => {
  const options: ts.CompilerOptions = {
    ...ts.convertCompilerOptionsFromJson(
      ts.readConfigFile(join(project, 'tsconfig.json'), ts.sys.readFile).config.compilerOptions,
      project,
    ).options,
    sourceMap: false,
  };

  it('let a user of the grid see every getter and nothing else', () => {
    const built = new Map<string, string>();
    const from = ts.createProgram([join(project, 'client/core/grid.ts')], {
      ...options,
      emitDeclarationOnly: true,
    });
    from.emit(undefined, (path, text) => built.set(path.replace(`${join(project, 'dist')}/`, ''), text));
    expect(built.size).toBeGreaterThan(10);

    // The declarations and their user are laid out in a folder that is only in memory.
    const folder = join(project, 'declared');
    const use = `import type { Grid } from './client/core/grid.js';
export async function f(grid: Grid): Promise<[number | null, bigint]> {
  return [await grid.getMap<string, number>('a').get('k'), await grid.getAtomicLong('b').addAndGet(1)];
}
export async function g(grid: Grid): Promise<void> {
  // @ts-expect-error keys are strings here
  await grid.getMap<string, number>('a').get(1);
  const values: number[] = await grid.getMultiMap<string, number>('c').get('k');
  // @ts-expect-error there is no such structure
  grid.getNothing(values);
}
`;
    const files = new Map([...built].map(([path, text]) => [join(folder, path), text]));
    files.set(join(folder, 'use.ts'), use);
    const host = ts.createCompilerHost(options);
    const folders = new Set([...files.keys()].flatMap((path) => [dirname(path), dirname(dirname(path))]));
    const { fileExists, readFile, directoryExists } = host;
    host.fileExists = (path) => files.has(path) || fileExists(path);
    host.readFile = (path) => files.get(path) ?? readFile(path);
    host.directoryExists = (path) => folders.has(path) || directoryExists?.(path) === true;
    const { getSourceFile } = host;
    host.getSourceFile = (path, language) => {
      const text = files.get(path);
      return text === undefined ? getSourceFile(path, language) : ts.createSourceFile(path, text, language);
    };
    const program = ts.createProgram([join(folder, 'use.ts')], { ...options, noEmit: true }, host);
    const messages = ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
    expect(messages).toEqual([]);
    expect(program.getSourceFile(join(folder, 'client/core/grid.d.ts'))).toBeDefined();
  });
});
