/** `elsegrid cluster`: the sides of a split, orders that ask first, and merge reports. */
import { describe, expect, it } from 'vitest';
import { ConnectError } from '../../src/base/errors.js';
import type { ListedDiscard, ListedMerge } from '../../src/cli/grid-api.js';
import { type GridStatus, statusFromView } from '../../src/policy/status.js';
import { reportOf, viewOf } from '../policy/views.js';
import { FakeCli } from './fake-cli.js';

const CHAIN = '11111111-1111-4111-8111-111111111111';
const FORK = '22222222-2222-4222-8222-222222222222';

const whole = { ...viewOf(3, 1, ['0 1', '1 2', '2 0']), ordered: true };

/** The whole cluster, in which m1 does not hear m2 and m2 does not answer. */
const majority = statusFromView(
  'dev',
  whole,
  new Map([
    ['m0', reportOf(['m0', 'm1', 'm2'], { leaseMs: 1_800.4, leftovers: 2 })],
    ['m1', reportOf(['m0', 'm1'])],
  ]),
);

const forkView = { ...viewOf(1, 1, ['0', '']), lineage: FORK, parent: { lineage: CHAIN, number: 6 } };
const fork: GridStatus = statusFromView(
  'dev',
  { ...forkView, members: [{ id: 'm2', address: 'host:3', leaving: false }] },
  new Map([['m2', reportOf(['m2'], { lineage: FORK })]]),
);

describe('elsegrid cluster', () => {
  it('shows lineage, leases, and who hears whom', async () => {
    const cli = new FakeCli({
      statusAt: (address) => (address === 'host:3' ? fork : majority),
    });
    const { exitCode, out, err } = await cli.run('cluster', '-m', 'host:1,host:2');
    expect([exitCode, err]).toEqual([0, '']);
    expect(out).toBe(`cluster dev, view 7, lineage ${CHAIN}
founded by order: consistent (PC) structures are served

member  state      lease         to merge  primaries  id
host:1  up         1800 ms left         2          1  m0
host:2  up         none                 0          1  m1
host:3  no answer  -                    -          1  m2

who hears whom  1  2  3
1 host:1        .  +  +
2 host:2        +  .  -
3 host:3        ?  ?  .
`);
    expect(cli.openClients).toBe(0);
  });

  it('shows every side that can be reached, and what cannot', async () => {
    const statusAt = (address: string) => {
      if (address === 'host:4') return new ConnectError('no member could be reached:\n  host:4: refused');
      return address === 'host:3' ? fork : majority;
    };
    const cli = new FakeCli({ statusAt });
    const flags = ['cluster', 'show', '-m', 'host:1,host:4'];
    expect(JSON.parse((await cli.run(...flags, '--json')).out)).toMatchObject({
      sides: [{ lineage: CHAIN, parent: null }],
      unreachable: [{ address: 'host:4', reason: 'host:4: refused' }],
    });
    const { out } = await cli.run('cluster', '-m', 'host:1,host:3,host:4');
    expect(out).toMatch(/no answer +reason\nhost:4 +host:4: refused\n$/);
  });

  it('asks a member that says to be in another lineage', async () => {
    const elsewhere = statusFromView('dev', whole, new Map([['m2', reportOf(['m2'], { lineage: FORK })]]));
    const cli = new FakeCli({ statusAt: (address) => (address === 'host:3' ? fork : elsewhere) });
    const { out } = await cli.run('cluster', '-m', 'host:1');
    expect(out).toMatch(/^2 sides of a split answer\n/);
    expect(out).toMatch(/host:3 +in another lineage +none/);
    expect(out).toContain(
      `lineage ${FORK}\nfork: left lineage ${CHAIN} at view 6; serves available (PA) structures`,
    );
    expect(cli.connects.map(({ members }) => members)).toEqual([['host:1'], ['host:3']]);
  });

  it('names who is missing from the last majority, and the command to go on without them', async () => {
    const missing = [{ id: 'm0', address: 'host:1' }];
    const cli = new FakeCli({ statusAt: () => ({ ...fork, missing }) });
    expect((await cli.run('cluster', '-m', 'host:3')).out).toContain(`missing from the last majority:
  m0 host:1
This side goes on as the cluster when enough of them are back. If they never come back:
  elsegrid cluster recover --members host:3 --dead m0
`);
  });

  it('says how to found a cluster by order', async () => {
    const { out } = await new FakeCli().run('cluster');
    expect(out).toContain('not founded by order: consistent (PC) structures answer ERR_NOT_FOUNDED');
  });

  it('refuses unknown subcommands with the nearest one', async () => {
    const { exitCode, err } = await new FakeCli().run('cluster', 'fuond');
    expect([exitCode, err]).toEqual([2, "elsegrid: unknown command 'fuond'\n(Did you mean found?)\n"]);
  });
});

describe('an order', () => {
  const unordered = statusFromView('dev', viewOf(3, 1, ['0 1', '', '2 0', '']));
  const statusAt = () => unordered;

  it('is given when the person agrees, after what may be lost', async () => {
    const cli = new FakeCli({ statusAt, answer: 'y' });
    const { exitCode, out, err } = await cli.run('cluster', 'found');
    expect([exitCode, out]).toEqual([0, 'done\n']);
    expect(err).toContain(`cluster dev (3 members, lineage ${CHAIN}) would count as founded by order: `);
    expect(err).toContain('do it once per cluster');
    expect(cli.questions).toEqual(['Go on? (y/N) ']);
    expect(cli.orders).toEqual([{ kind: 'found' }]);
  });

  it.each(['', 'n', 'yeah'])('is not given at the answer %j', async (answer) => {
    const cli = new FakeCli({ statusAt, answer });
    const { exitCode, err } = await cli.run('cluster', 'found');
    expect([exitCode, err.split('\n').at(-2)]).toEqual([1, 'elsegrid: nothing was done']);
    expect(cli.orders).toEqual([]);
  });

  it('needs --yes where nobody can be asked', async () => {
    const cli = new FakeCli({ statusAt });
    const { exitCode, err } = await cli.run('cluster', 'accept-loss');
    expect(exitCode).toBe(2);
    expect(err).toContain('with --yes the order is given');
    expect(cli.orders).toEqual([]);
    const agreed = await cli.run('cluster', 'accept-loss', '--yes', '--json');
    expect([agreed.exitCode, agreed.err]).toEqual([0, '']);
    expect(JSON.parse(agreed.out)).toEqual({
      ok: true,
      text: 'done',
      details: {},
      warning: expect.stringContaining('2 partitions would start empty in cluster dev'),
    });
    expect(cli.orders).toEqual([{ kind: 'acceptLoss', partitions: [1, 3] }]);
  });

  it('that the cluster refuses is a failure, with its reason', async () => {
    const adminReply = { ok: false, text: 'host:3 is still heard', details: {} };
    const cli = new FakeCli({ statusAt: () => fork, adminReply });
    const { exitCode, err } = await cli.run('cluster', 'recover', '--dead', 'host:1', '-y');
    expect(exitCode).toBe(1);
    expect(err).toContain('elsegrid: the cluster refused the order: host:3 is still heard');
  });

  it('to recover sends names as given: another process may be at an address by now', async () => {
    const ids = ['aaaa1111-0000-4000-8000-000000000000', 'aaaa2222-0000-4000-8000-000000000000'];
    const missing = ids.map((id, i) => ({ id, address: `host:${i + 1}` }));
    const members = [{ id: 'bbbb', address: 'host:2', leaving: false }];
    const status = { ...statusFromView('dev', { ...forkView, table: [], target: [], members }), missing };
    const cli = new FakeCli({ statusAt: () => status });
    const { exitCode, err } = await cli.run('cluster', 'recover', '-y', '--dead', 'aaaa1,host:2', 'gone:9');
    expect(exitCode).toBe(0);
    expect(cli.orders).toEqual([{ kind: 'recover', dead: [ids[0], 'host:2', 'gone:9'] }]);
    expect(err).toContain(
      `  host:1 (${ids[0]})\n  host:2 (${ids[1]})\n  gone:9\nCould be lost: acknowledged writes`,
    );
    const twice = await cli.run('cluster', 'recover', '-y', '--dead', 'aaaa');
    expect([twice.exitCode, twice.err]).toEqual([
      2,
      "elsegrid: --dead: more than one member's id begins with aaaa\n",
    ]);
  });

  it.each<[string, string[], GridStatus, number, RegExp]>([
    ['without --dead', ['recover'], unordered, 2, /required option '--dead/],
    ['to found a fork', ['found'], fork, 1, /this side is a fork/],
    [
      'to give up a partition that is there',
      ['accept-loss', '--partition', '1', '0'],
      unordered,
      1,
      /partition 0 is not lost/,
    ],
    [
      'to give up a partition that the cluster does not have',
      ['accept-loss', '--partition', '999'],
      unordered,
      2,
      /there is no partition 999: this cluster has 4, from 0 to 3/,
    ],
    [
      'to give up no partition',
      ['accept-loss', '--partition', 'x'],
      unordered,
      2,
      /--partition: expected a whole number/,
    ],
  ])('%s is not given', async (_, args, status, code, message) => {
    const cli = new FakeCli({ statusAt: () => status });
    const { exitCode, err } = await cli.run('cluster', ...args);
    expect(exitCode).toBe(code);
    expect(err).toMatch(message);
    expect(cli.orders).toEqual([]);
  });

  it.each([
    ['found', majority, 'the cluster is already founded by order'],
    ['accept-loss', majority, 'no partition is lost'],
  ])('%s that changes nothing is done without a question', async (order, status, text) => {
    const cli = new FakeCli({ statusAt: () => status });
    expect(await cli.run('cluster', order)).toEqual({ exitCode: 0, out: `${text}\n`, err: '' });
    expect(JSON.parse((await cli.run('cluster', order, '--json')).out)).toMatchObject({ ok: true, text });
    expect(cli.orders).toEqual([]);
  });
});

describe('elsegrid cluster merges', () => {
  const acknowledged: string[] = [];
  const discards: ListedDiscard[] = [
    {
      structure: 'users',
      key: 'alice',
      kept: { age: 2 },
      discarded: { age: 1 },
      side: 'source',
      reason: 'LatestUpdate',
    },
    { structure: 'users', key: 5n, kept: null, discarded: 'x', side: 'owner', reason: 'Discard' },
  ];
  const report = (id: string, truncated = false): ListedMerge => ({
    id,
    fromLineage: FORK,
    toLineage: CHAIN,
    structures: [{ service: 'map', name: 'users', merged: 10, discarded: 2, resurrected: 1, failed: 0 }],
    truncated,
    firstKeys: ['alice', 5n],
    entries: async function* () {
      yield* discards;
    },
    ack: async () => void acknowledged.push(id),
  });
  const cli = new FakeCli({ merges: [report('aa11'), report('aa22', true)] });

  it('lists reports with figures for each structure', async () => {
    const { out } = await cli.run('cluster', 'merges');
    expect(out).toContain(`merge aa11
  lineage ${FORK} into ${CHAIN}
structure  merged  discarded  resurrected  failed
map users      10          2            1       0
first keys: "alice", 5
`);
    expect(out.match(/truncated: more was discarded/g)?.length).toBe(1);
    expect(JSON.parse((await cli.run('cluster', 'merges', '--json')).out)).toMatchObject([
      { id: 'aa11', truncated: false, structures: [{ discarded: 2 }], firstKeys: ['alice', '5'] },
      { id: 'aa22', truncated: true },
    ]);
    expect((await new FakeCli().run('cluster', 'merges')).out).toBe(
      'no merge report waits to be acknowledged\n',
    );
  });

  it('prints what was not kept, with both values', async () => {
    const { out } = await cli.run('cluster', 'merges', '--entries', 'aa1');
    expect(out).toBe(
      'users "alice": kept {"age":2}, discarded {"age":1} of the source (LatestUpdate)\n' +
        'users 5: kept null, discarded "x" of the owner (Discard)\n',
    );
    const json = await cli.run('cluster', 'merges', '--entries', 'aa11', '--json');
    expect(JSON.parse(json.out)).toMatchObject([{ key: 'alice' }, { key: '5' }]);
  });

  it('acknowledges one report', async () => {
    expect((await cli.run('cluster', 'merges', '--ack', 'aa22')).out).toBe('acknowledged merge aa22\n');
    expect(acknowledged).toEqual(['aa22']);
  });

  it.each([
    ['aa', 'more than one merge report begins with aa'],
    ['bb', 'there is no merge report bb'],
  ])('refuses the id %s', async (id, message) => {
    const { exitCode, err } = await cli.run('cluster', 'merges', '--ack', id);
    expect(exitCode).toBe(1);
    expect(err).toContain(message);
    expect(acknowledged).toEqual(['aa22']);
  });
});
