/** Options from file, environment and flags: which one counts, where it came from, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentName } from '../../src/config/environment.js';
import { loadConfig } from '../../src/config/load.js';
import { configErrorOf } from './problem-of.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'elsegrid-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fileWith(text: string, name = 'grid.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('a configuration file', () => {
  it('is read as YAML and as JSON, with the same result', () => {
    const yaml = fileWith('port: 6000\njoin: [a:1]\nmaps:\n  "cache-*": { backups: { sync: 0 } }\n');
    const json = fileWith(
      '{"port": 6000, "join": ["a:1"], "maps": {"cache-*": {"backups": {"sync": 0}}}}',
      'grid.json',
    );
    const { config } = loadConfig({ file: yaml });
    expect(config).toMatchObject({
      port: 6000,
      join: ['a:1'],
      maps: { 'cache-*': { backups: { sync: 0 } } },
    });
    expect(loadConfig({ file: json }).config).toEqual(config);
  });

  it('may be empty, or hold comments only', () => {
    expect(loadConfig({ file: fileWith('') }).config.port).toBe(5701);
    expect(loadConfig({ file: fileWith('# nothing yet\n') }).config.port).toBe(5701);
  });

  it.each([
    ['that is not there', undefined, /configuration file .*nowhere.yaml: there is no such file/],
    ['with a wrong form', 'port: 1\njoin: [a\nb: 2\n', /grid\.yaml:\d+:\d+: /],
    ['with one key twice', 'port: 1\nport: 2\n', /grid\.yaml:2:1: .*unique/],
    ['that is a list', '- 1\n', /grid\.yaml:1:1: expected options by name/],
    ['that is broken JSON', '{"port": 1,, }', /grid\.yaml:1:\d+: /],
    [
      'with a wrong value',
      'host: a\nlimits:\n  logBytes: much\n',
      /limits\.logBytes: expected an integer, got "much" \(from .*grid\.yaml:3:3\)/,
    ],
    [
      'with an unknown option',
      'maps:\n  users:\n    backup: 1\n',
      /maps\.users\.backup: unknown option; did you mean maps\.users\.backups\? \(from .*grid\.yaml:3:5\)/,
    ],
    [
      'with a wrong element',
      'join:\n  - a:1\n  - b\n',
      /join\[1\]: "b" has no port.*\(from .*grid\.yaml:3:5\)/,
    ],
    [
      'that grows without end',
      `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefgh'
        .split('')
        .map((c, i) => `${c}: &${c} [${`*${'abcdefgh'[i]},`.repeat(9)}]`)
        .join('\n')}\n`,
      /grid\.yaml: .*alias/i,
    ],
  ])('%s is refused with its place', (_, text, message) => {
    const file = text === undefined ? join(folder, 'nowhere.yaml') : fileWith(text);
    expect(configErrorOf(() => loadConfig({ file })).message).toMatch(message);
  });
});

describe('environment variables', () => {
  it('are the paths in capitals', () => {
    expect(environmentName(['limits', 'logBytes'])).toBe('ELSEGRID_LIMITS_LOG_BYTES');
    expect(environmentName(['clusterName'])).toBe('ELSEGRID_CLUSTER_NAME');
  });

  it('set single values and lists', () => {
    const env = {
      ELSEGRID_CLUSTER_NAME: 'shop',
      ELSEGRID_PORT: '6000',
      ELSEGRID_JOIN: 'a:1, b:2,',
      ELSEGRID_LIMITS_LOG_BYTES: '2_000_000',
      ELSEGRID_TIMINGS: 'local',
      ELSEGRID_TIMINGS_HEARTBEAT_MS: '50',
      PATH: '/bin',
      OTHER: undefined,
    };
    expect(loadConfig({ env }).config).toMatchObject({
      clusterName: 'shop',
      port: 6000,
      join: ['a:1', 'b:2'],
      limits: { logBytes: 2_000_000, maxConnections: 10_000 },
      timings: { preset: 'local', heartbeatMs: 50, suspicionMs: 1_000 },
    });
  });

  it('that are no options are refused, all of them, with the nearest right one', () => {
    const env = { ELSEGRID_PROT: '1', ELSEGRID_CLUSTERNAME: 'x', ELSEGRID_QQQ: '' };
    expect(configErrorOf(() => loadConfig({ env })).message.split('\n')).toEqual([
      'unknown environment variable ELSEGRID_CLUSTERNAME; did you mean ELSEGRID_CLUSTER_NAME?',
      'unknown environment variable ELSEGRID_PROT; did you mean ELSEGRID_PORT?',
      'unknown environment variable ELSEGRID_QQQ; unset it',
    ]);
  });

  it('with a wrong value are named', () => {
    const error = configErrorOf(() => loadConfig({ env: { ELSEGRID_PORT: 'x', ELSEGRID_JOIN: 'a' } }));
    expect(error.message).toMatch(
      /^port: expected an integer, got "x" \(from ELSEGRID_PORT\)\njoin\[0\]: .* \(from ELSEGRID_JOIN\)$/,
    );
  });

  it('that Kubernetes makes for a service called elsegrid are left alone', () => {
    const env = {
      ELSEGRID_SERVICE_HOST: '10.0.0.1',
      ELSEGRID_SERVICE_PORT: '5701',
      ELSEGRID_SERVICE_PORT_GRID: '5701',
      ELSEGRID_PORT: 'tcp://10.0.0.1:5701',
      ELSEGRID_PORT_5701_TCP: 'tcp://10.0.0.1:5701',
      ELSEGRID_PORT_5701_TCP_ADDR: '10.0.0.1',
    };
    expect(loadConfig({ env }).config.port).toBe(5701);
  });

  it('of other uses are left alone', () => {
    const env = { ELSEGRID_MEMBERS: 'a:1', ELSEGRID_CONFIG: 'x', ELSEGRID_TEST_REPORT: 'y' };
    expect(loadConfig({ env }).diff()).toEqual([]);
  });
});

describe('of several sources', () => {
  const flag = (path: string, value: unknown) => ({ flag: `--${path}`, path, value });

  it('flags win over the environment, it over the file, the file over the defaults', () => {
    const file = fileWith('port: 1\nhost: file\nclusterName: file\n');
    const env = { ELSEGRID_PORT: '2', ELSEGRID_HOST: 'env' };
    const loaded = loadConfig({ file, env, flags: [flag('port', '3')] });
    expect(loaded.config).toMatchObject({ port: 3, host: 'env', clusterName: 'file', partitionCount: 271 });
    expect(['port', 'host', 'clusterName', 'partitionCount'].map((path) => loaded.sourceOf(path))).toEqual([
      { kind: 'flag', where: '--port' },
      { kind: 'environment', where: 'ELSEGRID_HOST' },
      { kind: 'file', where: `${file}:3:1` },
      { kind: 'default', where: '' },
    ]);
  });

  it('a flag reaches into a group of the file, and leaves the rest of it', () => {
    const file = fileWith('timings: local\nmaps:\n  users: { minSynced: 1 }\n');
    const flags = [flag('timings.heartbeatMs', '50'), flag('maps.users.backups.sync', '2')];
    expect(loadConfig({ file, flags }).config).toMatchObject({
      timings: { preset: 'local', heartbeatMs: 50 },
      maps: { users: { minSynced: 1, backups: { sync: 2, async: 0 } } },
    });
  });

  it.each([
    ['prot', 'prot: unknown option; did you mean port? (from --prot)'],
    ['port.x', 'port: is a single value, not a group of options (from --port.x)'],
    ['__proto__.x', '__proto__: is a single value, not a group of options (from --__proto__.x)'],
  ])('a flag for %s is refused', (path, message) => {
    expect(configErrorOf(() => loadConfig({ flags: [flag(path, '1')] })).message).toBe(message);
  });
});

describe('the difference from the defaults', () => {
  it('lists what was set, and what follows from it, with sources', () => {
    const file = fileWith('port: 5701\ntimings: local\nmaps:\n  users: { backups: { sync: 2 } }\n');
    const rows = loadConfig({ file, env: { ELSEGRID_JOIN: 'a:1' } }).diff();
    expect(
      rows.map(({ path, value, default: standard, source }) => [path, value, standard, source.where]),
    ).toEqual([
      ['port', 5701, 5701, `${file}:1:1`],
      ['join', ['a:1'], [], 'ELSEGRID_JOIN'],
      ['timings.preset', 'local', 'lan', `${file}:2:1`],
      ['timings.heartbeatMs', 100, 500, `${file}:2:1`],
      ['timings.suspicionMs', 1_000, 2_500, `${file}:2:1`],
      ['timings.leaseMs', 800, 2_000, `${file}:2:1`],
      ['maps.users.backups.sync', 2, 1, `${file}:4:23`],
    ]);
  });

  it('is empty when nothing was set', () => {
    expect(loadConfig().diff()).toEqual([]);
  });
});
