/** `elsegrid start`: ports, processes, signals and exit codes. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HandshakeRefusedError } from '../../src/base/errors.js';
import { FakeCli, type FakeOptions } from './fake-cli.js';

const ends = (cli: FakeCli) => cli.members.map(({ end }) => end);
const addresses = (cli: FakeCli) => cli.members.map(({ address }) => address);

/** Starts, and waits until it says that it runs. */
async function started(options: FakeOptions, ...args: string[]) {
  const cli = new FakeCli(options);
  const ended = cli.run('start', ...args);
  await cli.until(() => cli.out !== '');
  return { cli, ended };
}

describe('one member', () => {
  it('runs until a signal, then leaves', async () => {
    const { cli, ended } = await started({}, '--cluster', 'shop');
    expect(cli.out).toContain('cluster shop: 1 member is running');
    expect(cli.out).toContain('npx elsegrid status --members 127.0.0.1:5701 --cluster shop\n');
    expect(cli.members[0]?.options).toMatchObject({ clusterName: 'shop', logLevel: 'info' });
    cli.signal('SIGTERM');
    expect(await ended).toMatchObject({ exitCode: 0 });
    expect(ends(cli)).toEqual(['left']);
  });

  it('ends at once at the second signal', async () => {
    const { cli, ended } = await started({ leaveHangs: true });
    cli.signal('SIGINT');
    cli.nowMs += 1_000;
    cli.signal('SIGINT');
    expect(await ended).toMatchObject({ exitCode: 1 });
    expect(ends(cli)).toEqual(['terminated']);
  });

  it.each([
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGTERM'],
    ['SIGINT', 'SIGTERM'],
  ] as const)('takes %s, and %s within a second, as one', async (first, again) => {
    const { cli, ended } = await started({ leaveHangs: true });
    cli.signal(first);
    for (const laterMs of [3, 500, 490]) {
      cli.nowMs += laterMs;
      cli.signal(again);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ends(cli)).toEqual(['up']);
    cli.nowMs += 10;
    cli.signal(again);
    expect(await ended).toMatchObject({ exitCode: 1 });
    expect(ends(cli)).toEqual(['terminated']);
  });

  it('takes the next free port and says so, unless a port was asked for', async () => {
    const { cli, ended } = await started({ takenPorts: [5701, 5702] });
    expect(addresses(cli)).toEqual(['127.0.0.1:5703']);
    expect(cli.err).toContain('port 5701 is taken');
    expect(cli.err).toContain('--join 127.0.0.1:5701 joins it');
    cli.signal('SIGTERM');
    await ended;
    for (const args of [
      ['--port', '5701'],
      ['--set', 'port=5701'],
    ]) {
      const taken = await new FakeCli({ takenPorts: [5701] }).run('start', ...args);
      expect([taken.exitCode, taken.err]).toEqual([
        1,
        'elsegrid: port 5701 of 127.0.0.1 is taken (ERR_PORT_IN_USE)\n',
      ]);
    }
  });

  it('gets the options of flags, environment and --set', async () => {
    const { cli, ended } = await started(
      { env: { ELSEGRID_HOST: '0.0.0.0' }, cwd: '/home/me' },
      ...['--port', '0', '-j', 'a:1,b:2', '-j', 'c:3'],
      ...['--set', 'maps.users.backups.sync=2', '--set', 'limits.logBytes=2000000', '--log-level', 'error'],
    );
    expect(cli.members[0]?.options).toMatchObject({
      host: '0.0.0.0',
      port: 0,
      join: ['a:1', 'b:2', 'c:3'],
      maps: { users: { backups: { sync: 2, async: 0 } } },
      limits: { logBytes: 2_000_000 },
      logLevel: 'error',
    });
    cli.signal('SIGTERM');
    await ended;
  });

  it.each([
    [[], false],
    [['--founds'], true],
  ])('with %j founds by order: %s', async (flags, founds) => {
    const { cli, ended } = await started({}, ...flags);
    expect(cli.members[0]?.options.founds).toBe(founds);
    cli.signal('SIGTERM');
    await ended;
  });

  it('takes modules of a file from where the file is, others from where the command runs', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'elsegrid-modules-'));
    mkdirSync(join(cwd, 'conf'));
    writeFileSync(join(cwd, 'conf/grid.yaml'), 'modules: [./grid.mjs]\n');
    for (const args of [
      ['--load', 'conf/grid.mjs'],
      ['--config', 'conf/grid.yaml'],
    ]) {
      const { cli, ended } = await started({ cwd }, ...args);
      expect(cli.members[0]?.options.modules).toEqual([join(cwd, 'conf/grid.mjs')]);
      cli.signal('SIGTERM');
      await ended;
    }
    rmSync(cwd, { recursive: true });
  });

  it('that is refused ends with the reason', async () => {
    const startFails = () => new HandshakeRefusedError('the cluster is called "shop", this member "dev"');
    const { exitCode, err } = await new FakeCli({ startFails }).run('start');
    expect([exitCode, err]).toEqual([
      1,
      'elsegrid: the cluster is called "shop", this member "dev" (ERR_HANDSHAKE_REFUSED)\n',
    ]);
  });

  it.each([
    [['--port', 'x'], 'elsegrid: port: expected an integer, got "x" (from --port) (ERR_CONFIG)\n'],
    [['--set', 'prot=1'], 'elsegrid: prot: unknown option; did you mean port? (from --set) (ERR_CONFIG)\n'],
    [['--set', 'port'], 'elsegrid: --set: expected option=value, got "port"\n'],
    [
      ['--consistency', 'PC/CE'],
      'elsegrid: consistency: unknown value "PC/CE"; did you mean "PC/EC"? (from --consistency) (ERR_CONFIG)\n',
    ],
    [
      ['--consistency', 'PC/EC', '--set', 'maps.a.backups.sync=0'],
      'elsegrid: maps.a.backups.sync: 0 does not go with PC/EC: the crash of one member would take acknowledged writes with it; use 1 or more, or a PA preset for this structure (from --set) (ERR_CONFIG)\n',
    ],
    [['--members', '0'], 'elsegrid: --members: expected a number from 1 to 100, got "0"\n'],
    [
      ['--members', 'a:1'],
      'elsegrid: --members: expected a number from 1 to 100, got "a:1"; addresses of members to join go to --join\n',
    ],
    [
      ['--members', '2', '--advertise', 'a:1'],
      'elsegrid: advertisedAddress is the address of one member; it does not go with --members\n',
    ],
  ])('is not started with %j', async (args, message) => {
    const cli = new FakeCli();
    const { exitCode, err, out } = await cli.run('start', ...args);
    expect([exitCode, err, out, cli.members, cli.children]).toEqual([2, message, '', [], []]);
  });
});

describe('several members', () => {
  it('run as processes on the next free ports, and join the first', async () => {
    const { cli, ended } = await started({ takenPorts: [5701, 5703] }, '--members', '3');
    expect(addresses(cli).sort()).toEqual(['127.0.0.1:5702', '127.0.0.1:5704', '127.0.0.1:5705']);
    expect(cli.members.map(({ options }) => options.join)).toEqual([
      [],
      ['127.0.0.1:5702'],
      ['127.0.0.1:5702'],
    ]);
    expect(cli.members.map(({ options }) => options.logLevel)).toEqual(['warn', 'warn', 'warn']);
    expect(cli.out).toContain('cluster dev: 3 members are running');
    expect(cli.out).toMatch(/member +pid\n127\.0\.0\.1:5702 +1000\n/);
    expect(cli.out).toContain('npx elsegrid status --members 127.0.0.1:5702\n');
    expect(cli.openClients).toBe(0);
    cli.signal('SIGINT');
    expect(await ended).toMatchObject({ exitCode: 0 });
    expect(ends(cli)).toEqual(['left', 'left', 'left']);
    expect(cli.kills).toEqual(['1000 SIGTERM', '1001 SIGTERM', '1002 SIGTERM']);
  });

  it.each<[string[], boolean[]]>([
    [[], [true, false, false]],
    [
      ['--join', 'other:5701'],
      [false, false, false],
    ],
    [
      ['--join', 'other:5701', '--founds'],
      [true, false, false],
    ],
  ])('with %j found the cluster by order: %j', async (flags, founds) => {
    const { cli, ended } = await started({}, '-n', '3', ...flags);
    expect(cli.members.map(({ options }) => options.founds)).toEqual(founds);
    cli.signal('SIGTERM');
    await ended;
  });

  it('are printed as JSON', async () => {
    const { cli, ended } = await started({}, '-n', '2', '--json');
    expect(JSON.parse(cli.out)).toEqual({
      clusterName: 'dev',
      members: [
        { address: '127.0.0.1:5701', pid: 1_000 },
        { address: '127.0.0.1:5702', pid: 1_001 },
      ],
    });
    cli.signal('SIGTERM');
    await ended;
  });

  it('leave all at one key press, although each of them gets it as well', async () => {
    const { cli, ended } = await started({ leaveHangs: true }, '-n', '2');
    for (const child of cli.children) child.interrupt();
    expect(cli.kills).toEqual([]);
    cli.signal('SIGINT');
    for (const child of cli.children) child.interrupt();
    await cli.until(() => cli.kills.length === 2);
    expect(ends(cli)).toEqual(['up', 'up']);
    cli.nowMs += 1_000;
    cli.signal('SIGTERM');
    expect(await ended).toMatchObject({ exitCode: 1 });
    expect(cli.kills.slice(2)).toEqual(['1000 SIGKILL', '1001 SIGKILL']);
    expect(ends(cli)).toEqual(['killed', 'killed']);
  });

  it('go on when one of them crashes, and leave gracefully afterwards', async () => {
    const { cli, ended } = await started({}, '-n', '3');
    cli.children[1]?.crash();
    await cli.until(() => cli.err !== '');
    expect(cli.err).toMatch(/^member 127\.0\.0\.1:570\d \(pid 1001\) was ended by SIGKILL; 2 still run\n$/);
    cli.signal('SIGTERM');
    expect(await ended).toMatchObject({ exitCode: 0 });
    expect(ends(cli).sort()).toEqual(['killed', 'left', 'left']);
  });

  it('that all crashed are a failure', async () => {
    const { cli, ended } = await started({}, '-n', '2');
    for (const child of cli.children) child.crash();
    const { exitCode, err } = await ended;
    expect(exitCode).toBe(1);
    expect(err).toContain('; none is left\n');
  });

  it('are all ended when one fails to start, with its reason', async () => {
    const startFails = ({ port }: { port?: number | undefined }) =>
      port === 5702 ? new HandshakeRefusedError('refused by 127.0.0.1:5701') : undefined;
    const cli = new FakeCli({ startFails });
    const { exitCode, err, out } = await cli.run('start', '-n', '3');
    expect([exitCode, err, out]).toEqual([1, 'elsegrid: refused by 127.0.0.1:5701\n', '']);
    expect(cli.kills.filter((kill) => kill.endsWith('SIGKILL')).length).toBe(3);
    expect(ends(cli)).not.toContain('up');
  });

  it('are not started on other ports when the port that was asked for is taken', async () => {
    const cli = new FakeCli({ takenPorts: [6000] });
    const { exitCode, err } = await cli.run('start', '-n', '3', '--port', '6000');
    expect([exitCode, err]).toEqual([1, 'elsegrid: port 6000 of 127.0.0.1 is taken\n']);
    expect(cli.members).toEqual([]);
  });

  it('leave when their parent has gone', async () => {
    const { cli, ended } = await started({}, '-n', '2');
    for (const child of cli.children) child.parentEnds();
    await ended;
    expect(ends(cli)).toEqual(['left', 'left']);
  });
});
