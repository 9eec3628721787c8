/** The commands map, multimap, long, status and explain: what they do, print and answer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConnectError } from '../../src/base/errors.js';
import { rangesText } from '../../src/cli/explanation-text.js';
import { reportOf, viewOf } from '../policy/views.js';
import { FakeCli } from './fake-cli.js';

describe('elsegrid map', () => {
  it('does what its verbs say', async () => {
    const cli = new FakeCli();
    const lines: string[] = [];
    for (const line of [
      'set users alice {"age":42}',
      'get users alice',
      'get users bob',
      'put users alice 43',
      'putIfAbsent users alice 1',
      'putIfAbsent users bob true',
      'contains users bob',
      'size users',
      'keys users',
      'remove users bob',
      'contains users bob',
      'clear users',
      'size users',
      'keys users',
    ]) {
      const { exitCode, out, err } = await cli.run('map', ...line.split(' '));
      expect([exitCode, err]).toEqual([0, '']);
      lines.push(out.trimEnd());
    }
    expect(lines).toEqual([
      'OK',
      '{"age":42}',
      'null',
      '{"age":42}',
      '43',
      'null',
      'true',
      '2',
      '"alice"\n"bob"',
      'true',
      'false',
      'OK',
      '0',
      '',
    ]);
    expect(cli.openClients).toBe(0);
  });

  it('tells whether a key is locked, and unlocks it', async () => {
    const cli = new FakeCli();
    await cli.grid.getMap('users').lock('alice');
    const out = [];
    for (const verb of ['locked', 'force-unlock', 'locked'])
      out.push((await cli.run('map', verb, 'users', 'alice')).out.trimEnd());
    expect(out).toEqual(['true', 'OK', 'false']);
  });

  it('prints the entries that match a text, and what finding them took', async () => {
    const cli = new FakeCli();
    await cli.run('map', 'set', 'people', 'ann', '{"age":40,"name":"Ann"}');
    await cli.run('map', 'set', 'people', 'joe', '{"age":31,"name":"Joe"}');
    const where = "age > 30 AND name LIKE 'J%'";
    expect((await cli.run('map', 'query', 'people', where)).out).toBe(
      'key    value\n"joe"  {"age":31,"name":"Joe"}\n',
    );
    expect(JSON.parse((await cli.run('map', 'query', 'people', where, '--json')).out)).toEqual([
      ['joe', { age: 31, name: 'Joe' }],
    ]);
    expect((await cli.run('map', 'query', 'people', 'true')).out.trimEnd().split('\n')).toHaveLength(3);
    expect((await cli.run('map', 'explainQuery', 'people', where)).out).toBe(
      'matched  visited  partitions  by\n      1        2           7  all entries (7 partitions)\n',
    );
  });

  it('shows where a query cannot be read', async () => {
    const { exitCode, err } = await new FakeCli().run('map', 'query', 'people', 'age > AND');
    expect(exitCode).toBe(2);
    expect(err).toContain('at character 7, found AND\n  age > AND\n        ^');
  });

  it('prints entries as an aligned table, or as JSON', async () => {
    const cli = new FakeCli();
    await cli.run('map', 'set', 'm', 'a', '1');
    await cli.run('map', 'set', 'm', 'long key', '{"x":[]}');
    expect((await cli.run('map', 'entries', 'm')).out).toBe(
      'key         value\n"long key"  {"x":[]}\n"a"         1\n',
    );
    expect(JSON.parse((await cli.run('map', 'entries', 'm', '--json')).out)).toEqual([
      ['long key', { x: [] }],
      ['a', 1],
    ]);
  });

  it.each([
    ['42', '42'],
    ['"42"', '"42"'],
    ['alice', '"alice"'],
    ['[1', '"[1"'],
    ['-1.5', '-1.5'],
    ['12345678901234567890', '12345678901234567890'],
    ['', '""'],
  ])('takes the value %j as JSON where it is JSON', async (text, printed) => {
    const cli = new FakeCli();
    await cli.run('map', 'set', 'm', 'k', text);
    expect((await cli.run('map', 'get', 'm', 'k')).out.trimEnd()).toBe(printed);
  });

  it('takes everything as text with --text', async () => {
    const cli = new FakeCli();
    await cli.run('map', 'set', 'm', '1', '42', '--text');
    expect((await cli.run('map', 'get', 'm', '1')).out).toBe('null\n');
    expect((await cli.run('map', 'get', 'm', '1', '--text')).out).toBe('"42"\n');
  });
});

describe('elsegrid queue', () => {
  it('does what its verbs say', async () => {
    const cli = new FakeCli();
    const lines: string[] = [];
    for (const line of [
      'poll jobs',
      'offer jobs {"id":1}',
      'offer jobs two --wait 500ms',
      'offer jobs 3 --text',
      'size jobs',
      'in-flight jobs',
      'peek jobs',
      'contains jobs two',
      'list jobs',
      'poll jobs --wait 2m',
      'remove jobs two',
      'contains jobs two',
      'drain jobs',
      'list jobs',
      'clear jobs',
    ]) {
      const { exitCode, out, err } = await cli.run('queue', ...line.split(' '));
      expect([exitCode, err]).toEqual([0, '']);
      lines.push(out.trimEnd());
    }
    expect(lines).toEqual([
      'null',
      'true',
      'true',
      'true',
      '3',
      '0',
      '{"id":1}',
      'true',
      '{"id":1}\n"two"\n"3"',
      '{"id":1}',
      'true',
      'false',
      '"3"',
      '',
      'OK',
    ]);
    expect(cli.queueWaits).toEqual([0, 0, 500, 0, 120_000]);
    expect(cli.openClients).toBe(0);
  });

  it('prints items as JSON, and refuses a time that is none', async () => {
    const cli = new FakeCli();
    await cli.run('queue', 'offer', 'jobs', '7');
    expect(JSON.parse((await cli.run('queue', 'list', 'jobs', '--json')).out)).toEqual([7]);
    const { exitCode, err } = await cli.run('queue', 'poll', 'jobs', '--wait', 'long');
    expect([exitCode, err]).toEqual([2, expect.stringContaining('--wait: expected a time such as 500ms')]);
  });
});

describe('elsegrid multimap', () => {
  it('does what its verbs say', async () => {
    const cli = new FakeCli();
    const lines: string[] = [];
    for (const line of [
      'put tags a 1',
      'put tags a {"n":2}',
      'put tags a 1',
      'put tags b 1',
      'get tags a',
      'get tags c',
      'contains tags a 1',
      'count tags a',
      'size tags',
      'remove tags a 1',
      'remove tags a 1',
      'entries tags --json',
      'removeAll tags b',
      'keys tags',
      'clear tags',
      'size tags',
    ]) {
      const { exitCode, out, err } = await cli.run('multimap', ...line.split(' '));
      expect([exitCode, err]).toEqual([0, '']);
      lines.push(out.trimEnd());
    }
    const entries = JSON.parse(lines[11] as string) as [string, unknown][];
    expect(entries.sort()).toEqual([['a', { n: 2 }], ['b', 1]]); // biome-ignore format: one line
    expect(lines.toSpliced(11, 1)).toEqual([
      ...['true', 'true', 'false', 'true', '1\n{"n":2}', '', 'true', '2', '3', 'true', 'false'],
      ...['1', '"a"', 'OK', '0'],
    ]);
    expect(cli.openClients).toBe(0);
  });

  it('needs a value to remove one', async () => {
    const { exitCode, err } = await new FakeCli().run('multimap', 'remove', 'tags', 'a');
    expect(exitCode).toBe(2);
    expect(err).toContain('value');
  });
});

describe('elsegrid long', () => {
  it('does what its verbs say, also with negative and large numbers', async () => {
    const cli = new FakeCli();
    const lines: string[] = [];
    for (const line of [
      'get n',
      'set n 5',
      'add n -7',
      'incr n',
      'decr n',
      'cas n -2 9223372036854775807',
      'cas n 1 2',
      'get n',
    ]) {
      const { exitCode, out, err } = await cli.run('long', ...line.split(' '));
      expect([exitCode, err]).toEqual([0, '']);
      lines.push(out.trimEnd());
    }
    expect(lines).toEqual(['0', 'OK', '-2', '-1', '-2', 'true', 'false', '9223372036854775807']);
    expect((await cli.run('long', 'get', 'n', '--json')).out).toBe('"9223372036854775807"\n');
  });

  it('refuses what is no whole number', async () => {
    const { exitCode, err } = await new FakeCli().run('long', 'add', 'n', '1.5');
    expect([exitCode, err]).toEqual([2, 'elsegrid: delta: expected a whole number, got "1.5"\n']);
  });
});

describe('the connection of a command', () => {
  it('goes to the default member, or to those of the environment, or to those of the flag', async () => {
    const cli = new FakeCli({ env: { ELSEGRID_MEMBERS: 'a:1, b:2', ELSEGRID_CLUSTER_NAME: 'shop' } });
    await cli.run('long', 'get', 'n');
    await cli.run('long', 'get', 'n', '-m', 'c:3', '-c', 'test', '-t', '0.5');
    expect(cli.connects).toEqual([
      {
        members: ['a:1', 'b:2'],
        clusterName: 'shop',
        connectTimeoutMs: 10_000,
        timeoutMs: 10_000,
        logLevel: 'error',
      },
      { members: ['c:3'], clusterName: 'test', connectTimeoutMs: 500, timeoutMs: 500, logLevel: 'error' },
    ]);
    const plain = new FakeCli();
    await plain.run('long', 'get', 'n');
    expect(plain.connects[0]).toMatchObject({ members: ['127.0.0.1:5701'], clusterName: 'dev' });
  });

  it.each([
    [['-m', 'http://a:1'], 'elsegrid: --members: "http://a:1" is a URL; leave out "http://"\n'],
    [['-m', ''], 'elsegrid: --members: expected host:port\n'],
    [['-t', 'soon'], 'elsegrid: --timeout: expected a number of seconds above 0, got "soon"\n'],
  ])('with %j is refused', async (flags, message) => {
    const { exitCode, err, out } = await new FakeCli().run('long', 'get', 'n', ...flags);
    expect([exitCode, err, out]).toEqual([2, message, '']);
  });

  it('that fails is one clear message, or JSON, and never a stack', async () => {
    const connectFails = new ConnectError('no member was reached: 127.0.0.1:5701: connection refused');
    const cli = new FakeCli({ connectFails });
    const people = await cli.run('map', 'size', 'm');
    expect(people.exitCode).toBe(1);
    const hint = 'name the members of your cluster with --members or ELSEGRID_MEMBERS';
    expect(people.err).toBe(`elsegrid: ${connectFails.message}\n${hint} (ERR_CONNECT)\n`);
    const named = await cli.run('map', 'size', 'm', '--members', 'a:1');
    expect(named.err).toBe(`elsegrid: ${connectFails.message} (ERR_CONNECT)\n`);
    const programs = await cli.run('map', 'size', 'm', '--json');
    expect(JSON.parse(programs.err)).toEqual({
      error: { code: 'ERR_CONNECT', message: connectFails.message, definite: true, retryable: false },
    });
    expect(programs.out).toBe('');
    const debug = new FakeCli({ connectFails, env: { ELSEGRID_LOG_LEVEL: 'debug' } });
    expect((await debug.run('map', 'size', 'm')).err).toContain('    at ');
  });
});

describe('elsegrid status', () => {
  it('prints members, partitions and migrations', async () => {
    const { exitCode, out } = await new FakeCli().run('status');
    expect(exitCode).toBe(0);
    expect(out).toBe(`cluster dev, view 7, lineage 11111111-1111-4111-8111-111111111111

member  state      primaries  backups  syncing  entries   memory  heard by  id
host:1  up                 1        1        0        3  2.0 KiB  1 of 2    m0
host:2  up                 1        1        0        1    512 B  1 of 2    m1
host:3  no answer          1        0        1        -        -  0 of 2    m2

partitions                3  1 backup slot each
replicas missing          0
replicas syncing          1
being taken over          0
without a synced replica  0

migrating  from    to       copied       of  progress
        1  host:2  host:3  1.0 KiB  4.0 KiB  25 %

not safe: 1 replica is syncing; member host:3 does not answer
`);
  });

  it('prints the same as JSON', async () => {
    const cli = new FakeCli();
    expect(JSON.parse((await cli.run('status', '--json')).out)).toEqual(cli.status());
  });

  it('says first what a side of a split, or a cluster without the order to found it, refuses', async () => {
    const plain = new FakeCli().status();
    const textOf = async (more: object) =>
      (await new FakeCli({ statusAt: () => ({ ...plain, ...more }) }).run('status')).out.split('\n')[1];
    const parent = { lineage: plain.lineage, number: 6 };
    expect(await textOf({ parent, hasConsistent: true })).toBe(
      'FORK: this side has no majority; consistent (PC) structures are refused; see elsegrid cluster',
    );
    expect(await textOf({ hasConsistent: true })).toMatch(
      /^NOT FOUNDED BY ORDER: .* elsegrid cluster found$/,
    );
    expect(await textOf({ hasConsistent: true, ordered: true })).toBe('');
    expect(await textOf({})).toBe('');
  });

  it('waits until the grid is safe, and fails when it is not', async () => {
    const cli = new FakeCli();
    expect((await cli.run('status', '--wait', 'safe', '--timeout', '5')).exitCode).toBe(0);
    await cli.run('status', '--wait', 'safe');
    expect(cli.waits).toEqual([5_000, 60_000]);
    const late = await new FakeCli({ safe: false }).run('status', '--wait', 'safe', '--timeout', '5');
    expect([late.exitCode, late.err]).toEqual([
      1,
      'elsegrid: not safe after 5 s: 1 replica is syncing (ERR_NOT_SAFE)\n',
    ]);
    const wrong = await cli.run('status', '--wait', 'save');
    expect([wrong.exitCode, wrong.err]).toEqual([
      2,
      'elsegrid: --wait: unknown state "save"; did you mean --wait safe?\n',
    ]);
  });
});

describe('elsegrid explain', () => {
  it('says what holds, what does not, and what may be lost', async () => {
    const { exitCode, out } = await new FakeCli().run('explain', 'map', 'users');
    expect(exitCode).toBe(0);
    expect(out).toContain('map "users"\n\nPA/EC: writes wait for 1 sync backup');
    expect(out).toMatch(/Promised:\nG1 {2}[\s\S]*B is 1[\s\S]*Not promised:\nG3/);
    expect(out).toMatch(
      /May be lost:\nby 2 crashes before [^\n]*:\n {4}all entries [^\n]* \(decided by backups\.sync\)\n/,
    );
    expect(out).toMatch(/members that may crash at once with a majority left +1\n/);
  });

  it('says what does not apply, what calls may change, and what was measured', async () => {
    const table = Array.from({ length: 30 }, (_, i) => (i % 3 === 0 && i !== 27 ? '0' : '0 1'));
    const row = { place: 1, backups: 20, behind: 2, unknown: 1, positions: 12, bytes: 2_048, ageMs: 35 };
    const reports = new Map([['m0', reportOf(['m0'], { backups: [row], leftovers: 3, leftoverBytes: 10 })]]);
    const state = { view: viewOf(2, 1, table), reports };
    const { out } = await new FakeCli({ state }).run('explain', 'map', 'users');
    expect(out).toContain(
      'Not for this structure:\nG7  does not apply: it is for queues, counters and multimaps',
    );
    expect(out).toContain(
      "\nA call with { consistency: 'EL' } gains G8, gives up G1:\n    writes answer after",
    );
    const lines = out.split('\n').map((line) => line.replace(/ {2,}/, ': '));
    expect(lines).toContain('sync backups missing: 9 (partitions 0, 3, 6, 9, 12, 15, 18, 21 and more)');
    expect(lines).toContain('async backups missing: 0');
    expect(lines).toContain(
      'sync backups behind their primary: 2 of 20: 12 changes, 2.0 KiB, at most 35 ms old; 1 have not said where they are',
    );
    expect(lines).toContain('async backups behind their primary: -');
    expect(lines).toContain('replicas that wait to be merged: 3, 10 B');
    expect(lines).toContain('members that did not answer: host:2');
    expect(rangesText([1, 2, 3, 7, 9, 10])).toBe('1-3, 7, 9-10');
  });

  it('explains calls with the policy that is asked for', async () => {
    const { out } = await new FakeCli().run('explain', 'map', 'users', '--consistency', 'EL');
    expect(out).toContain("PA/EC, called with { consistency: 'EL' }: writes answer after the primary alone");
    const wrong = await new FakeCli().run('explain', 'map', 'users', '--consistency', 'XX');
    expect(wrong.exitCode).toBe(2);
    expect(wrong.err).toContain('Allowed choices are EC, EL');
  });

  it('names kinds as the commands do, and suggests the nearest', async () => {
    const cli = new FakeCli();
    const long = await cli.run('explain', 'long', 'visits', '--json');
    expect(JSON.parse(long.out)).toMatchObject({ kind: 'atomicLong', structure: 'visits', preset: 'PA/EC' });
    const wrong = await cli.run('explain', 'maps', 'users');
    expect([wrong.exitCode, wrong.err]).toEqual([
      2,
      'elsegrid: unknown kind of structure "maps"; did you mean map?\n',
    ]);
  });

  it('explains a file without a grid', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'elsegrid-explain-'));
    writeFileSync(join(cwd, 'grid.yaml'), 'maps: { "cache-*": { backups: { sync: 0 } } }\n');
    const cli = new FakeCli({ cwd });
    const { out } = await cli.run('explain', 'map', 'cache-a', '--config', 'grid.yaml', '--json');
    rmSync(cwd, { recursive: true });
    expect(JSON.parse(out)).toMatchObject({
      now: null,
      losses: [
        { failure: '1 crash', knob: 'backups.sync' },
        { knob: 'mergePolicy' },
        { knob: 'forkRetentionMs' },
        { knob: 'backups.sync' },
        { knob: 'none' },
      ],
    });
    expect(cli.connects).toEqual([]);
  });
});
