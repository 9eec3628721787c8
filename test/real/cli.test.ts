/** The command as a user runs it, with real processes: three members, the commands that it prints, and Ctrl-C. */
import { afterAll, expect, it } from 'vitest';
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
