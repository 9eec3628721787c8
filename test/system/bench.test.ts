import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { transpileSources } from '../real/support/transpiled.js';

const sources = transpileSources();
const folder = mkdtempSync(join(tmpdir(), 'elsegrid-bench-'));
afterAll(() => {
  sources.remove();
  rmSync(folder, { recursive: true, force: true });
});

const SHORT = ['--rounds', '2', '--seconds', '0.05', '--in-flight', '1,64', '--value-bytes', '100'];

interface Row {
  readonly operation: string;
  readonly inFlight: number;
  readonly system: string;
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly ratioToRedis: number | null;
  readonly ratioToAutoPipelining: number | null;
  readonly ratiosToRedis: readonly number[];
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const script = fileURLToPath(new URL('bench/main.js', sources.url));
  // A process group of its own, so that a test can press Ctrl-C on all of it.
  const child = spawn(process.execPath, [script, ...args], { detached: true, env });
  const run = { output: '', table: '' };
  child.stdout.on('data', (data) => {
    run.table += data;
  });
  child.stderr.on('data', (data) => {
    run.output += data;
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, ended, text: () => run.output, tableText: () => run.table };
}

/** Processes that run a file of this test's folder, or a Redis server that was not there before. */
function leftOver(redisBefore: readonly string[]): string[] {
  const ours = processes().filter(({ command }) => command.includes(fileURLToPath(sources.url)));
  const redis = redisServers().filter((pid) => !redisBefore.includes(pid));
  return [...ours.map(({ pid }) => pid), ...redis];
}

function redisServers(): string[] {
  return processes()
    .filter(({ command }) => command.startsWith('redis-server'))
    .map(({ pid }) => pid);
}

function processes(): { pid: string; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [{ pid, command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
      } catch {
        return [];
      }
    });
}

async function until(what: () => boolean): Promise<void> {
  for (let waits = 0; !what(); waits++) {
    if (waits > 400) throw new Error('waited for too long');
    await sleep(50);
  }
}

describe('the benchmark', () => {
  let redisBefore: string[] = [];
  beforeAll(() => {
    redisBefore = redisServers();
  });

  it('measures every system in every cell, prints a table and JSON, and leaves no process', async () => {
    const file = join(folder, 'all.json');
    const run = start([...SHORT, '--json', file]);
    expect(await run.ended, run.text()).toBe(0);
    const { rows, rounds } = JSON.parse(readFileSync(file, 'utf8')) as { rows: Row[]; rounds: number };
    const systems = ['member', 'members', 'redis', 'redis-auto', 'echo'];
    expect(rows.map((row) => `${row.operation} ${row.inFlight} ${row.system}`).sort()).toEqual(
      ['get', 'set']
        .flatMap((operation) =>
          [1, 64].flatMap((n) => systems.map((system) => `${operation} ${n} ${system}`)),
        )
        .sort(),
    );
    for (const row of rows) {
      expect(row.opsPerSecond).toBeGreaterThan(0);
      expect(row.p50Us).toBeGreaterThan(0);
      expect(row.p99Us).toBeGreaterThanOrEqual(row.p50Us);
      expect(row.ratiosToRedis).toHaveLength(rounds);
      if (row.system === 'redis') expect(row.ratioToRedis).toBe(1);
      else expect(row.ratioToRedis).toBeGreaterThan(0);
      expect(row.ratioToAutoPipelining).toBeGreaterThan(0);
    }
    expect(run.tableText()).toContain('get, values of 100 bytes');
    expect(run.tableText()).toMatch(/64 {2}elsegrid, 1 member +[\d,]+ +[\d,]+ +[\d,]+ +\d+\.\d\d +\d+\.\d\d/);
    expect(leftOver(redisBefore)).toEqual([]);
  });

  it('says how to install Redis where it is missing, and measures the rest', async () => {
    const file = join(folder, 'without.json');
    const args = [...SHORT, '--only', 'member,redis', '--operations', 'get', '--json', file];
    const run = start(args, { ...process.env, PATH: folder });
    expect(await run.ended, run.text()).toBe(0);
    expect(run.text()).toContain('apt-get install -y redis-server');
    const { rows } = JSON.parse(readFileSync(file, 'utf8')) as { rows: Row[] };
    expect(rows.map(({ system, ratioToRedis }) => [system, ratioToRedis])).toEqual([
      ['member', null],
      ['member', null],
    ]);
  });

  it.each(['SIGINT', 'SIGKILL'] as const)('leaves no process behind after %s', async (signal) => {
    const run = start(['--seconds', '5']);
    await until(() => run.text().includes('warming up redis'));
    const { pid } = run.child;
    // Ctrl-C reaches the whole group; a kill reaches one process.
    process.kill(signal === 'SIGINT' ? -(pid as number) : (pid as number), signal);
    expect(await run.ended).toBe(signal === 'SIGINT' ? 130 : null);
    await until(() => leftOver(redisBefore).length === 0);
    expect(leftOver(redisBefore)).toEqual([]);
  });

  it.each([
    [['--only', 'memcached'], /--only: there is no 'memcached'; there are member, members/],
    [['--in-flight', '0'], /--in-flight: '0' is no number of at least 1/],
    [['--speed'], /--speed/],
  ])('refuses %j', async (args, message) => {
    const run = start(args);
    expect(await run.ended).toBe(2);
    expect(run.text()).toMatch(message);
    expect(run.text()).toContain('npm run bench');
  });
});
