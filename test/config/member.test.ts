/** Options of members and clients: defaults, and what is refused with which words. */
import { describe, expect, it } from 'vitest';
import { clientConfig } from '../../src/config/client.js';
import { type MemberOptions, memberConfig } from '../../src/config.js';
import { configErrorOf } from './problem-of.js';

const refused = (options: unknown) => configErrorOf(() => memberConfig(options as MemberOptions));

describe('the configuration of a member', () => {
  it('is complete when nothing was given', () => {
    expect(memberConfig()).toEqual({
      clusterName: 'dev',
      host: '127.0.0.1',
      port: 5701,
      join: [],
      partitionCount: 271,
      consistency: 'PA/EC',
      splitBrainProtections: {},
      nearCaches: {},
      founds: false,
      timings: { preset: 'lan', heartbeatMs: 500, suspicionMs: 2_500, leaseMs: 2_000 },
      partitionLossTimeoutMs: 60_000,
      forkRetentionMs: 600_000,
      mergeReportMaxBytes: 268_435_456,
      antiEntropy: {
        enabled: true,
        intervalMs: 30_000,
        maxCpuShare: 0.05,
        maxBytesPerSecond: 4_194_304,
        scrubIntervalMs: 3_600_000,
      },
      leaveTimeoutMs: 60_000,
      sessionTtlMs: 300_000,
      limits: {
        maxConnections: 10_000,
        logBytes: 268_435_456,
        outboxBytes: 268_435_456,
      },
      lockHolderTimeoutMs: 30_000,
      logLevel: 'info',
      modules: [],
      maps: {},
      atomicLongs: {},
      queues: {},
      multimaps: {},
      topics: {},
    });
  });

  it('fills in what a row of a structure leaves out', () => {
    const { maps } = memberConfig({ maps: { users: { backups: { async: 2 } } } });
    expect(maps.users).toMatchObject({ backups: { sync: 1, async: 2 }, minSynced: 0 });
  });

  it('gives each structure the preset of the grid unless it has its own', () => {
    const { consistency, maps, atomicLongs } = memberConfig({
      consistency: 'PC/EC',
      maps: {
        users: {},
        sessions: { consistency: 'PA/EL', backups: { sync: 0, async: 1 } },
        carts: { consistency: undefined },
      },
      atomicLongs: { ids: { consistency: 'PC/EL' } },
    });
    expect(consistency).toBe('PC/EC');
    expect(Object.entries({ ...maps, ...atomicLongs }).map(([name, row]) => [name, row.consistency])).toEqual(
      [
        ['users', 'PC/EC'],
        ['sessions', 'PA/EL'],
        ['carts', 'PC/EC'],
        ['ids', 'PC/EL'],
      ],
    );
    expect(memberConfig({ maps: { users: {} } }).maps.users?.consistency).toBe('PA/EC');
  });

  it.each(['PA/EC', 'PA/EL', 'PC/EC', 'PC/EL'] as const)(
    'takes the preset %s, for all and for one',
    (preset) => {
      expect(memberConfig({ consistency: preset, maps: { a: {} } }).maps.a?.consistency).toBe(preset);
      expect(memberConfig({ maps: { a: { consistency: preset } } }).maps.a?.consistency).toBe(preset);
    },
  );

  it('can be given to memberConfig again', () => {
    const config = memberConfig({ timings: { preset: 'local', heartbeatMs: 50 }, maps: { 'a*': {} } });
    expect(memberConfig(config as MemberOptions)).toEqual(config);
  });

  it('cannot be changed afterwards, and leaves the given options as they were', () => {
    const given = { join: ['127.0.0.1:5702'], limits: { maxConnections: 5 } };
    const config = memberConfig(given);
    expect(() => (config.join as string[]).push('x')).toThrow(TypeError);
    expect(Object.isFrozen(config.limits)).toBe(true);
    expect(Object.isFrozen(given.join)).toBe(false);
    given.limits.maxConnections = 6;
    expect(config.limits.maxConnections).toBe(5);
  });

  it('takes timings as a word, as an object, and as a word with exceptions', () => {
    expect(memberConfig({ timings: 'local' }).timings).toEqual({
      preset: 'local',
      heartbeatMs: 100,
      suspicionMs: 1_000,
      leaseMs: 800,
    });
    expect(memberConfig({ timings: { suspicionMs: 9_000 } }).timings).toEqual({
      preset: 'lan',
      heartbeatMs: 500,
      suspicionMs: 9_000,
      leaseMs: 2_000,
    });
    expect(memberConfig({ timings: { preset: 'local', heartbeatMs: 200 } }).timings).toMatchObject({
      heartbeatMs: 200,
      suspicionMs: 1_000,
    });
  });
});

describe('a wrong option of a member is refused', () => {
  it.each<[string, unknown, string]>([
    ['an unknown name', { prot: 1 }, 'prot: unknown option; did you mean port?'],
    [
      'a name of another level',
      { heartbeatMs: 1 },
      'heartbeatMs: unknown option here; did you mean timings.heartbeatMs?',
    ],
    [
      'an unknown name in a group',
      { limits: { logByte: 1 } },
      'limits.logByte: unknown option; did you mean limits.logBytes?',
    ],
    [
      'an unknown name in a row',
      { maps: { users: { backup: {} } } },
      'maps.users.backup: unknown option; did you mean maps.users.backups?',
    ],
    [
      'an unknown name deep in a row',
      { maps: { 'a b': { backups: { snyc: 1 } } } },
      'maps["a b"].backups.snyc: unknown option; did you mean maps["a b"].backups.sync?',
    ],
    ['an unknown kind of structure', { map: {} }, 'map: unknown option; did you mean maps?'],
    ['a text for a number', { port: '5701' }, 'port: expected an integer, got "5701"; leave out the quotes'],
    ['a fraction', { port: 1.5 }, 'port: expected an integer, got 1.5'],
    ['nothing', { port: null }, 'port: expected an integer, got nothing (null)'],
    ['NaN', { port: Number.NaN }, 'port: expected an integer, got NaN'],
    [
      'a port that is too high',
      { port: 70_000 },
      'port: 70000 is not in the range 0 to 65535; the nearest is 65535',
    ],
    [
      'no partitions',
      { partitionCount: 0 },
      'partitionCount: 0 is not in the range 1 to 20000; the nearest is 1',
    ],
    ['a single address', { join: 'a:1' }, 'join: expected a list, got "a:1"; write ["a:1"]'],
    [
      'an address without port',
      { join: ['a:1', 'b'] },
      'join[1]: "b" has no port; write host:port, for example 127.0.0.1:5701',
    ],
    ['a URL', { join: ['ws://a:1'] }, 'join[0]: "ws://a:1" is a URL; leave out "ws://"'],
    [
      'IPv6 without brackets',
      { join: ['::1:5701'] },
      'join[0]: "::1:5701" is an IPv6 address without brackets; write [::1]:5701',
    ],
    [
      'a host with a path',
      { advertisedAddress: 'a/b:1' },
      'advertisedAddress: "a/b:1" is not host:port; "a/b" is not a host',
    ],
    [
      'a consistent structure without sync backup',
      { maps: { a: { consistency: 'PC/EC', backups: { sync: 0 } } } },
      'maps.a.backups.sync: 0 does not go with PC/EC: the crash of one member would take acknowledged writes with it',
    ],
    [
      'no sync backup in a consistent grid',
      { consistency: 'PC/EL', maps: { a: { backups: { sync: 0, async: 2 } } } },
      'maps.a.backups.sync: 0 does not go with PC/EL',
    ],
    [
      'success after a timeout of a consistent structure',
      { consistency: 'PC/EC', atomicLongs: { default: { onBackupTimeout: 'success' } } },
      'atomicLongs.default.onBackupTimeout: success does not go with PC/EC: a write would be acknowledged that a crash can take back; use indeterminate',
    ],
    [
      'a wrong preset in a row',
      { maps: { a: { consistency: 'PC/CE' } } },
      'maps.a.consistency: unknown value "PC/CE"; did you mean "PC/EC"?',
    ],
    [
      'an unknown split-brain protection',
      {
        splitBrainProtections: { quorum: { minimumClusterSize: 3 } },
        maps: { a: { splitBrainProtection: 'qourum' } },
      },
      'maps.a.splitBrainProtection: unknown split-brain protection "qourum"; did you mean "quorum"?',
    ],
    [
      'a split-brain protection where none is defined',
      { maps: { a: { splitBrainProtection: 'three' } } },
      'maps.a.splitBrainProtection: unknown split-brain protection "three"; define it under splitBrainProtections',
    ],
    [
      'a split-brain protection that one member satisfies',
      { splitBrainProtections: { one: { minimumClusterSize: 1 } } },
      'splitBrainProtections.one.minimumClusterSize: 1 is not in the range 2 to 1000; the nearest is 2',
    ],
    [
      'a split-brain protection without a size',
      { splitBrainProtections: { one: {} } },
      'splitBrainProtections.one.minimumClusterSize: is missing; expected an integer',
    ],
    [
      'a split-brain protection of other calls',
      { splitBrainProtections: { one: { minimumClusterSize: 2, protectOn: 'WRITES' } } },
      'splitBrainProtections.one.protectOn: unknown value "WRITES"; did you mean "WRITE"?',
    ],
    ['a wrong preset', { consistency: 'PA-EC' }, 'consistency: unknown value "PA-EC"; did you mean "PA/EC"?'],
    ['a wrong word', { logLevel: 'warning' }, 'logLevel: unknown value "warning"; did you mean "warn"?'],
    [
      'a word that is nothing like it',
      { logLevel: 'x' },
      'logLevel: expected "debug", "info", "warn", "error" or "silent", got "x"',
    ],
    ['wrong timings', { timings: 'wan' }, 'timings: unknown value "wan"; did you mean "lan"?'],
    [
      'timings of a wrong type',
      { timings: 5 },
      'timings: expected "lan" or "local" or a group of options, got 5',
    ],
    [
      'suspicion that is too short',
      { timings: { heartbeatMs: 1_000 } },
      'timings.suspicionMs: 2500 is less than 3 times heartbeatMs (1000, preset lan); use at least 3000',
    ],
    [
      'more backups than there are',
      { maps: { a: { backups: { sync: 4, async: 3 } } } },
      'maps.a.backups: sync and async together are at most 6',
    ],
    [
      'two rows for everything',
      { maps: { default: {}, '*': {} } },
      'maps.*: default and * mean the same; keep one of them',
    ],
    ['a row without name', { maps: { '': {} } }, 'maps[""]: a wrong name'],
    [
      'a name that objects cannot keep',
      JSON.parse('{"maps":{"__proto__":{}}}'),
      'maps.__proto__: this name cannot be used',
    ],
    ['a list', [], 'expected a group of options, got a list'],
    ['no object', 5, 'expected a group of options, got 5'],
  ])('%s', (_, options, message) => {
    expect(refused(options).message).toContain(message);
  });

  it('with all problems at once, and the path of the first', () => {
    const error = refused({ port: -1, prot: 1, maps: { users: { backups: { sync: 9 } } } });
    expect(error.message.split('\n')).toEqual([
      'port: -1 is not in the range 0 to 65535; the nearest is 0',
      'maps.users.backups.sync: 9 is not in the range 0 to 6; the nearest is 6',
      'maps.users.backups: sync and async together are at most 6',
      'prot: unknown option; did you mean port?',
    ]);
    expect(error.path).toBe('port');
    expect(error.code).toBe('ERR_CONFIG');
  });
});

describe('the configuration of a client', () => {
  it('needs members only', () => {
    expect(clientConfig({ members: ['127.0.0.1:5701'] })).toEqual({
      clusterName: 'dev',
      members: ['127.0.0.1:5701'],
      connectTimeoutMs: 10_000,
      timeoutMs: 10_000,
      routing: 'all',
      maxInFlightCalls: 65_536,
      nearCaches: {},
      logLevel: 'warn',
    });
  });

  it.each<[string, unknown, string]>([
    ['no members', {}, 'members: is missing; expected a list'],
    ['an empty list of members', { members: [] }, 'members: expected 1 to 1000 of them, got 0'],
    [
      'an unknown option',
      { members: ['a:1'], timeout: 5 },
      'timeout: unknown option; did you mean timeoutMs?',
    ],
    [
      'a wrong routing',
      { members: ['a:1'], routing: 'one' },
      'routing: expected "all" or "single", got "one"',
    ],
    [
      'a serializer without functions',
      { members: ['a:1'], serializer: {} },
      'serializer: expected an object with',
    ],
  ])('is refused with %s', (_, options, message) => {
    expect(configErrorOf(() => clientConfig(options as never)).message).toContain(message);
  });
});
