/** The command as a user runs it, with real processes: three members, the commands that it prints, and Ctrl-C. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { connect } from '../../src/index.js';
import { Cli, commandsOf, healthOf, isAlive, membersOf } from './support/cli-process.js';

const cli = new Cli();
afterAll(() => cli.end());

it('start --members 3 runs three processes whose printed commands work, and ends them all at Ctrl-C', async () => {
  const grid = await cli.start('--members', '3', '--port', '0', '--timings', 'local');
  expect(grid.out()).toContain('cluster dev: 3 members are running');
  const members = membersOf(grid);
  expect(new Set(members.map(({ pid }) => pid)).size).toBe(3);
  expect(members.filter(({ pid }) => isAlive(pid))).toHaveLength(3);

  const [set, get, status] = commandsOf(grid) as [string, string, string];
  expect(await cli.shell(set)).toEqual({ code: 0, out: 'OK\n', err: '' });
  const [found, printed, safe] = await Promise.all([
    cli.shell(get),
    cli.shell(status),
    cli.shell(`${status} --wait safe --json`),
  ]);
  expect(found).toEqual({ code: 0, out: '{"age":42}\n', err: '' });
  expect(printed).toMatchObject({ code: 0, err: '' });
  for (const { address } of members) expect(printed.out).toContain(address);
  expect(JSON.parse(safe.out)).toMatchObject({ safe: true, unsafeReasons: [], migrations: [] });
  for (const { address } of members) {
    for (const page of ['live', 'ready', 'safe'] as const) {
      expect(await healthOf(address, page), `${address} ${page}`).toEqual({
        status: 200,
        ok: true,
        reasons: [],
      });
    }
  }

  const startMs = performance.now();
  grid.process.kill('SIGINT');
  expect(await grid.ended).toMatchObject({ code: 0 });
  expect(performance.now() - startMs).toBeLessThan(5_000);
  expect(members.filter(({ pid }) => isAlive(pid))).toEqual([]);
}, 60_000);

it.each([1, 3])(
  'start --members %i told to end tells stores what they lack',
  async (members) => {
    const dir = await mkdtemp(join(tmpdir(), 'elsegrid-cli-'));
    const file = join(dir, 'told.txt');
    await writeFile(
      join(dir, 'grid.json'),
      JSON.stringify({ maps: { m: { store: { name: 'file', mode: 'write-behind', delayMs: 60_000 } } } }),
    );
    await writeFile(
      join(dir, 'store.mjs'),
      `import { appendFileSync } from 'node:fs';
     export default (registry) => registry.mapStore('file', {
       load: () => null,
       store: (key) => appendFileSync(${JSON.stringify(file)}, key + '\\n'),
       delete: () => {},
     });`,
    );
    try {
      const config = ['--config', join(dir, 'grid.json'), '--load', join(dir, 'store.mjs')];
      const grid = await cli.start('--members', `${members}`, '--port', '0', '--timings', 'local', ...config);
      const client = await connect({ members: [...new Set(grid.out().match(/\d+(?:\.\d+){3}:\d+/g))] });
      const map = client.getMap<string, number>('m');
      for (let i = 0; i < 10; i++) await map.set(`k${i}`, i);
      await client.shutdown();
      grid.process.kill('SIGTERM');
      expect(await grid.ended).toMatchObject({ code: 0 });
      const told = (await readFile(file, 'utf8')).trim().split('\n');
      expect(new Set(told).size).toBe(10);
    } finally {
      await rm(dir, { recursive: true });
    }
  },
  60_000,
);
