/**
 * The command with real processes, at length: taken ports, a killed member, signals of every kind, and a member
 * that may not join.
 */
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Cli,
  commandsOf,
  healthOf,
  isAlive,
  type MemberLine,
  membersOf,
  type Started,
} from '../real/support/cli-process.js';

const cli = new Cli();
afterAll(() => cli.end());

/** Takes a port of this machine; undefined when somebody else has it already. */
function occupy(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

const alive = (members: readonly MemberLine[]) => members.filter(({ pid }) => isAlive(pid));

/** Says how the command ended, and how long that took after the signal. */
async function endOf(grid: Started, signal: () => void): Promise<{ code: number | null; tookMs: number }> {
  const startMs = performance.now();
  signal();
  const { code } = await grid.ended;
  return { code, tookMs: performance.now() - startMs };
}

describe('start --members 3 while 5701 to 5703 are taken', () => {
  const servers: (Server | undefined)[] = [];
  let grid: Started;
  let members: MemberLine[];
  let flags: string[];

  beforeAll(async () => {
    for (const port of [5701, 5702, 5703]) servers.push(await occupy(port));
    grid = await cli.start('--members', '3');
    members = membersOf(grid);
    flags = ['--members', members.map(({ address }) => address).join(',')];
  });
  afterAll(() => {
    for (const server of servers) server?.close();
  });

  it('prints three members on the next free ports', () => {
    const ports = members.map(({ address }) => Number(address.split(':')[1]));
    expect(new Set(ports).size).toBe(3);
    for (const port of ports) expect(port).toBeGreaterThan(5703);
    expect(alive(members)).toHaveLength(3);
    expect(grid.err()).toBe('');
  });

  it('prints commands that work as they stand there', async () => {
    const [set, get, status, kill] = commandsOf(grid) as [string, string, string, string];
    expect(commandsOf(grid)).toHaveLength(4);
    expect(kill).toContain(`kill -9 ${members[2]?.pid} `);
    expect(await cli.shell(set)).toEqual({ code: 0, out: 'OK\n', err: '' });
    expect(await cli.shell(get)).toEqual({ code: 0, out: '{"age":42}\n', err: '' });
    const { code, out, err } = await cli.shell(status);
    expect([code, err]).toEqual([0, '']);
    for (const { address } of members) expect(out).toMatch(new RegExp(`^${address} +up `, 'm'));
    expect(out).toMatch(/^partitions +\d+ +1 backup slot each$/m);
  });

  it('status waits until the grid is safe, and tells programs what people read', async () => {
    const waited = await cli.run('status', '--wait', 'safe', ...flags);
    expect([waited.code, waited.err]).toEqual([0, '']);
    expect(waited.out).toContain('\nsafe: all replicas that the cluster can hold are synced\n');
    const { code, out } = await cli.run('status', '--json', ...flags);
    expect(code).toBe(0);
    const status = JSON.parse(out);
    expect(status).toMatchObject({ clusterName: 'dev', safe: true, unsafeReasons: [] });
    expect(status.partitions).toMatchObject({ slots: 1, missingReplicas: 0, syncingReplicas: 0, lost: 0 });
    const byAddress = (a: string, b: string) => a.localeCompare(b);
    expect(status.members.map((member: MemberLine) => member.address).sort(byAddress)).toEqual(
      members.map(({ address }) => address).sort(byAddress),
    );
    const primaries = status.members.map((member: { primaries: number }) => member.primaries);
    expect(primaries.reduce((sum: number, count: number) => sum + count, 0)).toBe(status.partitions.count);
  });

  it('map and long read and write', async () => {
    const outputs: [string[], string][] = [
      [['map', 'set', 'stock', 'apples', '5'], 'OK\n'],
      [['map', 'set', 'stock', 'pears', '{"kilos":7}'], 'OK\n'],
      [['map', 'get', 'stock', 'pears'], '{"kilos":7}\n'],
      [['map', 'get', 'stock', 'plums'], 'null\n'],
      [['map', 'size', 'stock'], '2\n'],
      [['long', 'incr', 'visits'], '1\n'],
      [['long', 'incr', 'visits'], '2\n'],
    ];
    for (const [args, out] of outputs) {
      expect(await cli.run(...args, ...flags), args.join(' ')).toEqual({ code: 0, out, err: '' });
    }
  });

  it('every member is live, ready and safe over HTTP', async () => {
    for (const { address } of members) {
      for (const page of ['live', 'ready', 'safe'] as const) {
        const health = await healthOf(address, page);
        expect(health, `${address} ${page}`).toEqual({ status: 200, ok: true, reasons: [] });
      }
    }
    expect((await fetch(`http://${members[0]?.address}/health/other`)).status).toBe(404);
  });

  it('the printed kill -9 loses nothing, and start says who is gone', async () => {
    const kill = commandsOf(grid)[3] as string;
    const [victim, ...rest] = [...members].reverse() as [MemberLine, ...MemberLine[]];
    expect(await cli.shell(kill)).toMatchObject({ code: 0, err: '' });
    const left = ['--members', rest.map(({ address }) => address).join(',')];
    expect(await cli.run('map', 'get', 'stock', 'pears', ...left)).toMatchObject({ out: '{"kilos":7}\n' });
    expect(await cli.run('map', 'get', 'users', 'alice', ...left)).toMatchObject({ out: '{"age":42}\n' });
    expect(await cli.run('map', 'size', 'stock', ...left)).toMatchObject({ out: '2\n' });
    expect(await cli.run('long', 'get', 'visits', ...left)).toMatchObject({ out: '2\n' });
    const safe = await cli.run('status', '--wait', 'safe', '--json', ...left);
    expect(JSON.parse(safe.out)).toMatchObject({ safe: true, partitions: { missingReplicas: 0 } });
    expect(JSON.parse(safe.out).members).toHaveLength(2);
    expect(grid.err()).toContain(
      `member ${victim.address} (pid ${victim.pid}) was ended by SIGKILL; 2 still run\n`,
    );
    expect(alive(members)).toHaveLength(2);
  });

  it('Ctrl-C in a terminal, which reaches every process, ends them all within 5 s', async () => {
    const { code, tookMs } = await endOf(grid, () => process.kill(-(grid.process.pid as number), 'SIGINT'));
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(5_000);
    expect(alive(members)).toEqual([]);
    expect(grid.err()).toContain(
      '2 members leave; another Ctrl-C or SIGTERM, after a second, ends what is left at once\n',
    );
  });
});

describe('start and signals', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s to start alone ends all three within 5 s', async (signal) => {
    const grid = await cli.start('--members', '3', '--port', '0');
    const members = membersOf(grid);
    expect(alive(members)).toHaveLength(3);
    const { code, tookMs } = await endOf(grid, () => grid.process.kill(signal));
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(5_000);
    expect(alive(members)).toEqual([]);
  });

  it('a second SIGINT ends at once what does not leave', async () => {
    const grid = await cli.start('--members', '3', '--port', '0');
    const members = membersOf(grid);
    // A member that is stopped cannot leave, so the first signal alone would wait for it.
    process.kill((members[0] as MemberLine).pid, 'SIGSTOP');
    grid.process.kill('SIGINT');
    await sleep(50);
    grid.process.kill('SIGINT');
    await sleep(1_000);
    expect(isAlive((members[0] as MemberLine).pid), 'two signals of one key press are one').toBe(true);
    const { code, tookMs } = await endOf(grid, () => grid.process.kill('SIGINT'));
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(2_000);
    expect(alive(members)).toEqual([]);
  });

  it('members leave when the start that runs them is killed', async () => {
    const grid = await cli.start('--members', '2', '--port', '0', '--timings', 'local');
    const members = membersOf(grid);
    grid.process.kill('SIGKILL');
    const deadlineMs = performance.now() + 10_000;
    while (alive(members).length > 0 && performance.now() < deadlineMs) await sleep(50);
    expect(alive(members)).toEqual([]);
  });
});

describe('start that cannot start', () => {
  it('names the port that was asked for and is taken', async () => {
    const server = (await occupy(0)) as Server;
    const { port } = server.address() as { port: number };
    for (const more of [[], ['--members', '3']]) {
      const { code, out, err } = await cli.run('start', '--port', String(port), ...more);
      expect([code, out], more.join(' ')).toEqual([1, '']);
      expect(err).toContain(`elsegrid: port ${port} on 127.0.0.1 is in use by another process`);
    }
    server.close();
  });

  it('says why a cluster of another name does not take it', async () => {
    const grid = await cli.start('--port', '0', '--cluster', 'shop');
    const address = /^ {2}(127\.0\.0\.1:\d+)$/m.exec(grid.out())?.[1] as string;
    for (const more of [[], ['--members', '2']]) {
      const flags = ['--join', address, '--cluster', 'store', '--port', '0', '--log-level', 'silent'];
      const { code, out, err } = await cli.run('start', ...flags, ...more);
      expect([code, out], more.join(' ')).toEqual([1, '']);
      expect(err).toMatch(/^elsegrid: .*cluster 'shop', not to 'store'/);
    }
    const { code } = await endOf(grid, () => grid.process.kill('SIGINT'));
    expect(code).toBe(0);
  });
});
