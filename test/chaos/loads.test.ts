/** The check of loads finds each way in which one can break its promise; and the loads of some seeds break none. */
import { describe, expect, it } from 'vitest';
import { checkLoads, type LoadsInput, storesOf } from '../../chaos/checker/loads.js';
import { explainResult } from '../../chaos/run.js';
import { replayCommand, runSwarm } from '../../chaos/swarm.js';
import type { LoadRead, LoadRun } from '../../chaos/workload/load.js';

const run = (changes: Partial<LoadRun>): LoadRun => ({
  k: 'load/a',
  value: 'first',
  fence: 1n,
  host: 'c1',
  calledMs: 90,
  fromMs: 100,
  toMs: 200,
  outcome: 'value',
  abortedMs: null,
  ...changes,
});
const first = run({});
const second = run({ value: 'second', fence: 2n, host: 'c2', calledMs: 140, fromMs: 150, toMs: 300 });
const later = { ...second, calledMs: 240, fromMs: 250 };

const read = (changes: Partial<LoadRead>): LoadRead => ({
  k: 'load/a',
  callMs: 210,
  retMs: 220,
  value: 'first',
  mayBeStale: false,
  ...changes,
});

const check = (input: Partial<LoadsInput>) =>
  checkLoads({ runs: [first, later], reads: [], changes: [], stops: [], ...input });

describe('the check of loads', () => {
  it('accepts loaders one after the other, and what they brought', () => {
    expect(check({ reads: [read({}), read({ value: 'second', callMs: 310 })] })).toEqual([]);
  });

  it.each([
    ['whose key was written', { changes: [{ k: 'load/a', callMs: 110, retMs: 120 }] }],
    ['whose key was perhaps written', { changes: [{ k: 'load/a', callMs: 95, retMs: null }] }],
    ['whose process crashed', { stops: [{ host: 'c1', fromMs: 120 }] }],
    ['that was told to stop', { runs: [run({ abortedMs: 140 }), second] }],
  ] as const)('accepts another loader beside one %s', (_what, input) => {
    expect(check({ runs: [first, second], ...input })).toEqual([]);
  });

  it.each([
    ['two loaders at once', { runs: [first, second] }, 'began while'],
    [
      'a loader that never ended beside another one',
      { runs: [run({ toMs: null, outcome: null }), later] },
      'began while',
    ],
    [
      'a write of another key or time that excuses nothing',
      {
        runs: [first, second],
        changes: [
          { k: 'load/b', callMs: 110, retMs: 120 },
          { k: 'load/a', callMs: 10, retMs: 20 },
          { k: 'load/a', callMs: 160, retMs: 170 },
        ],
      },
      'began while',
    ],
    ['a fence that was given twice', { runs: [first, { ...later, fence: 1n }] }, 'have the same fence'],
    [
      'a fence that is smaller than an earlier one',
      { runs: [first, { ...later, fence: 0n }] },
      'began while',
    ],
    ['what was taken over from', { reads: [read({ callMs: 260 })] }, "after 'second'"],
  ] as const)('finds %s', (_what, input, text) => {
    expect(check(input).join()).toContain(text);
  });

  it('lets a call that takes what is stale have it', () => {
    expect(check({ reads: [read({ callMs: 260, mayBeStale: true })] })).toEqual([]);
  });

  it('counts a value as stored when somebody got it, else as perhaps stored', () => {
    const stores = storesOf([first, later, run({ outcome: 'failed' })], [read({}), read({ retMs: 215 })]);
    expect(stores.map(({ v, type, call, ret }) => [v, type, call, ret])).toEqual([
      ['first', 'ok', 200e6, 215e6],
      ['second', 'info', 300e6, null],
    ]);
  });
});

describe('loads under crashes, migrations and a bad network', () => {
  it('keep what they promise', async () => {
    const result = await runSwarm({ seeds: 12, firstSeed: 1, workload: 'map-load' });
    const stories = result.failed.map((each) =>
      explainResult(each, replayCommand(each.seed, undefined, 'map-load')),
    );
    expect(stories.join('\n\n')).toBe('');
    const always = ['loader brought a value', 'loader failed', 'value of a loader elsewhere', 'promotion'];
    expect(result.reached.missing([...always, 'value that may be stale', 'value that was refused'])).toEqual(
      [],
    );
  }, 60_000);
});
