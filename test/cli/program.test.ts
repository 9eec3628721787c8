/** The command line as a whole: help, version, wrong usage, configuration. */
import { describe, expect, it } from 'vitest';
import { bytesText, jsonText, table, valueText } from '../../src/cli/output.js';
import { argumentValue, bigintOf, secondsOf } from '../../src/cli/values.js';
import { FakeCli } from './fake-cli.js';

describe('the program', () => {
  it('lists its commands and exit codes', async () => {
    const { exitCode, out } = await new FakeCli().run('--help');
    expect(exitCode).toBe(0);
    for (const name of ['start', 'status', 'cluster', 'map', 'queue', 'long', 'explain', 'config', 'chaos'])
      expect(out).toContain(`  ${name} `);
    expect(out).toContain(
      'Exit codes: 0 done, 1 failed, 2 wrong usage or configuration; chaos run also 3: nothing was proved.',
    );
    expect(out).not.toContain('member-process');
  });

  it('prints its version', async () => {
    expect(await new FakeCli().run('--version')).toEqual({ exitCode: 0, out: '1.2.3\n', err: '' });
  });

  it.each([
    [[], /^Usage: elsegrid/],
    [['stat'], /^elsegrid: unknown command 'stat'\n\(Did you mean (start|status)\?\)/],
    [['map', 'gte', 'm', 'k'], /^elsegrid: unknown command 'gte'\n\(Did you mean get\?\)/],
    [['map', 'get', 'm'], /^elsegrid: missing required argument 'key'/],
    [['map', 'get', 'm', 'k', 'v'], /^elsegrid: too many arguments/],
    [['status', '--jsn'], /^elsegrid: unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['member-process'], /^elsegrid: member-process is for start --members only/],
  ])('with %j ends with exit code 2 and says why', async (args, message) => {
    const { exitCode, err, out } = await new FakeCli().run(...args);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(message);
  });
});

describe('elsegrid config', () => {
  it('lists what differs from the defaults, with its source', async () => {
    const cli = new FakeCli({ env: { ELSEGRID_TIMINGS: 'local' } });
    const { exitCode, out } = await cli.run('config', 'diff', '--port', '6000');
    expect(exitCode).toBe(0);
    expect(out).toBe(
      [
        'option               value    default  source',
        'port                 6000     5701     --port',
        'timings.preset       "local"  "lan"    ELSEGRID_TIMINGS',
        'timings.heartbeatMs  100      500      ELSEGRID_TIMINGS',
        'timings.suspicionMs  1000     2500     ELSEGRID_TIMINGS',
        'timings.leaseMs      800      2000     ELSEGRID_TIMINGS',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await cli.run('config', 'diff', '--json')).out)[0]).toEqual({
      path: 'timings.preset',
      value: 'local',
      default: 'lan',
      source: { kind: 'environment', where: 'ELSEGRID_TIMINGS' },
    });
  });

  it('shows the preset that a structure has from the grid', async () => {
    const { out } = await new FakeCli().run(
      'config',
      'diff',
      '--consistency',
      'PC/EC',
      '--set',
      'maps.a.minSynced=1',
    );
    expect(out).toMatch(/^consistency +"PC\/EC" +"PA\/EC" +--consistency$/m);
    expect(out).toMatch(/^maps\.a\.consistency +"PC\/EC" +"PA\/EC" +follows from another option$/m);
  });

  it('says when nothing differs, and refuses what is wrong', async () => {
    expect((await new FakeCli().run('config', 'diff')).out).toBe('every option has its default\n');
    const { exitCode, err } = await new FakeCli().run('config', 'diff', '--config', 'nowhere.yaml');
    expect(exitCode).toBe(2);
    expect(err).toContain('configuration file /project/nowhere.yaml: there is no such file');
  });

  it('prints the schema', async () => {
    const { out } = await new FakeCli().run('config', 'schema');
    expect(JSON.parse(out)).toMatchObject({ type: 'object', properties: { port: { default: 5701 } } });
  });
});

describe('what people see', () => {
  it('is an aligned table, numbers to the right', () => {
    expect(
      table(
        ['name', 'n'],
        [
          ['a', 5],
          ['long name', 100],
          ['b', null],
        ],
      ),
    ).toBe('name         n\na            5\nlong name  100\nb            -');
    expect(table(['name'], [])).toBe('name');
  });

  it.each([
    [null, null],
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_536, '1.5 KiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
  ])('of %j bytes is %j', (sizeBytes, text) => {
    expect(bytesText(sizeBytes)).toBe(text);
  });

  it.each<[unknown, string]>([
    ['a\nb', '"a\\nb"'],
    [Number.NaN, 'NaN'],
    [{ a: [1, null] }, '{"a":[1,null]}'],
    [new Map([['a', 1]]), "Map(1) { 'a' => 1 }"],
    [[new Date(0)], '[ 1970-01-01T00:00:00.000Z ]'],
  ])('of the value %j is on one line', (value, text) => {
    expect(valueText(value)).toBe(text);
  });

  it('of a bigint is its digits', () => {
    expect(valueText(5n)).toBe('5');
  });

  it('is one JSON document for programs, whatever the value is', () => {
    const value = {
      a: 5n,
      b: 2n ** 60n,
      c: new Map([[1, 2]]),
      d: new Set([1]),
      e: new Uint8Array([7]),
      f: Number.NaN,
    };
    expect(JSON.parse(jsonText(value))).toEqual({
      a: '5',
      b: '1152921504606846976',
      c: [[1, 2]],
      d: [1],
      e: [7],
      f: 'NaN',
    });
    expect(jsonText(undefined)).toBe('null');
  });
});

describe('arguments', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['007', '007'],
    ['1e400', Number.POSITIVE_INFINITY],
  ])('%s is understood', (text, value) => {
    expect(argumentValue(text)).toBe(value);
  });

  it('that JSON would round become bigints', () => {
    expect(argumentValue('-9007199254740993')).toBe(-9007199254740993n);
  });

  it('that are numbers are checked', () => {
    expect(bigintOf('n', '+5')).toBe(5n);
    expect(() => bigintOf('n', '')).toThrow('n: expected a whole number');
    expect(secondsOf('-t', '0.001')).toBe(1);
    expect(() => secondsOf('-t', '0')).toThrow('above 0');
    expect(() => secondsOf('-t', '')).toThrow('above 0');
  });
});
