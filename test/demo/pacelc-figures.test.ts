/** The figures of the table, and which of them break a promise. */
import { describe, expect, it } from 'vitest';
import { figuresOf, percentile, spreadOf } from '../../demo/pacelc/figures.js';
import { PRESETS } from '../../demo/pacelc/plan.js';
import type { Outcome } from '../../demo/pacelc/records.js';
import { brokenPromises } from '../../demo/pacelc/verdict.js';
import { outcomeOf, read, write } from './records.js';

const LEASE_MS = 800;

describe('percentiles', () => {
  it('are by the nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
    expect([0.5, 0.99, 1].map((part) => percentile(hundred, part))).toEqual([50, 99, 100]);
    expect(spreadOf([30, 10, 20])).toEqual({ p50: 20, p99: 30, max: 30 });
    expect(spreadOf([7])).toEqual({ p50: 7, p99: 7, max: 7 });
    expect(spreadOf([])).toBeNull();
  });
});

/** Every side of every map was written to in the split, each on a key of its own. */
const LIVELY = PRESETS.flatMap((preset) =>
  (preset.startsWith('PA') ? (['majority', 'minority'] as const) : (['majority'] as const)).map((side) =>
    write(1, 2_000, 2_004, { preset, side, key: side }),
  ),
);

const figures = (outcome: Outcome) => figuresOf(outcome, LEASE_MS);
const broken = (outcome: Outcome) => brokenPromises(figures(outcome));

describe('figures', () => {
  it('count calls for the side and the phase in which they ended', () => {
    const writes = [
      write(1, 100, 104),
      write(2, 990, 1_100),
      write(3, 1_200, 1_300, { outcome: 'refused', error: 'InForkError' }),
      write(1, 1_200, 1_210, { side: 'minority' }),
      write(4, 4_900, 5_100),
      write(5, 6_500, 6_501),
    ];
    const { together, split, whole, healing } = figures(outcomeOf(writes)).presets['PA/EC'];
    expect(together.writes).toMatchObject({ acknowledged: 1, latencyMs: { p50: 4, max: 4 } });
    expect(split.majority.writes).toMatchObject({
      acknowledged: 1,
      refused: 1,
      unknown: 0,
      latencyMs: { p50: 110 },
      errors: { InForkError: 1 },
    });
    expect(split.minority.writes.acknowledged).toBe(1);
    expect([healing, whole].map((calls) => calls.writes.acknowledged)).toEqual([1, 1]);
  });

  it('tell where reads came from, and apart which side they were behind', () => {
    const writes = [write(1, 100, 104, { preset: 'PC/EL' }), write(2, 2_000, 2_004, { preset: 'PC/EL' })];
    const minority = { preset: 'PC/EL', side: 'minority', source: 'backup', boundMs: 1_500 } as const;
    const reads = [read('majority:1', 3_004, minority), read('majority:2', 3_004, minority)];
    const { reads: of } = figures(outcomeOf(writes, reads)).presets['PC/EL'].split.minority;
    expect(of).toMatchObject({ answered: 2, refused: 0, fromBackups: 2, fromNearCache: 0 });
    expect(of.stale.count).toBe(0);
    expect(of.behindOther).toEqual({
      count: 1,
      ageMs: { p50: 1_000, p99: 1_000, max: 1_000 },
      boundMs: { p50: 1_500, p99: 1_500, max: 1_500 },
    });
  });

  it('show no bound where one answer told none, and under PA none for what the other side wrote', () => {
    const boundOf = (preset: 'PA/EL' | 'PC/EL', boundMs: number) => {
      const writes = [write(1, 0, 1, { preset }), write(2, 2_000, 2_001, { preset })];
      const reads = [read('majority:1', 3_000, { preset, side: 'minority', boundMs })];
      return figures(outcomeOf(writes, reads)).presets[preset].split.minority.reads.behindOther;
    };
    expect(boundOf('PC/EL', Number.POSITIVE_INFINITY)).toMatchObject({ count: 1, boundMs: null });
    expect(boundOf('PA/EL', 20)).toMatchObject({ count: 1, boundMs: null });
    expect(boundOf('PC/EL', 1_200)).toMatchObject({ boundMs: { max: 1_200 } });
  });

  it('tell acknowledged writes that were discarded from those of unknown outcome', () => {
    const writes = [write(1, 2_000, 2_001), write(2, 2_100, 2_900, { outcome: 'unknown' })];
    const discarded = ['k=majority:1', 'k=majority:2'];
    const merged = new Map([['PA/EC', { taken: 3, discarded }]] as const);
    expect(figures(outcomeOf(writes, [], { merged })).presets['PA/EC']).toMatchObject({
      merged: 3,
      discarded: ['k=majority:1'],
      discardedUnknown: ['k=majority:2'],
    });
  });

  it('say for how long the minority acknowledged', () => {
    const late = write(1, 1_200, 1_300, { preset: 'PC/EC', side: 'minority' });
    expect(figures(outcomeOf([late])).presets['PC/EC'].minorityAcknowledgedForMs).toBe(300);
    expect(figures(outcomeOf([])).presets['PC/EC'].minorityAcknowledgedForMs).toBeNull();
  });
});

describe('the verdict', () => {
  it('finds nothing in a run that kept everything', () => {
    expect(broken(outcomeOf(LIVELY))).toEqual([]);
  });

  it('finds a lost write, and under PA not one that was reported', () => {
    const both = (['PA/EL', 'PC/EL'] as const).map((preset) =>
      write(2, 2_100, 2_101, { preset, key: 'gone' }),
    );
    const found = new Map(outcomeOf(LIVELY).found);
    const merged = new Map(
      (['PA/EL', 'PC/EL'] as const).map((preset) => [preset, { taken: 0, discarded: ['gone=majority:2'] }]),
    );
    const outcome = outcomeOf([...LIVELY, ...both], [], { found });
    expect(broken(outcome)).toEqual([
      'PA/EL: 1 acknowledged writes are lost: gone=majority:2',
      'PC/EL: 1 acknowledged writes are lost: gone=majority:2',
    ]);
    expect(broken({ ...outcome, merged })).toEqual([
      'PC/EL: 1 acknowledged writes are lost: gone=majority:2',
    ]);
  });

  it('finds a value that nobody wrote', () => {
    const outcome = outcomeOf(LIVELY);
    const found = new Map([...outcome.found, ['PA/EC', new Map([['majority', 'majority:9']])]] as const);
    expect(broken({ ...outcome, found }).join()).toContain('nobody wrote');
  });

  it('finds a stale read where none is promised, and leaves out times in which members were taken for dead', () => {
    const writes = (['PA/EC', 'PC/EC'] as const).flatMap((preset) => [
      write(1, 0, 10, { preset, key: 's' }),
      write(2, 20, 30, { preset, key: 's' }),
    ]);
    const reads = (['PA/EC', 'PC/EC'] as const).map((preset) =>
      read('majority:1', 100, { preset, key: 's' }),
    );
    const outcome = outcomeOf([...LIVELY, ...writes], reads);
    expect(broken(outcome)).toEqual([
      'PA/EC: 1 stale reads while nobody was cut off',
      'PC/EC: 1 reads were older than their answers said',
      'PC/EC: 1 stale reads, and none is promised',
    ]);
    expect(broken({ ...outcome, isDisturbed: true }).join()).not.toContain('PA/EC');
  });

  it('finds a hit that is older than the near cache allows', () => {
    const writes = [...LIVELY, write(1, 0, 10, { preset: 'PA/EL', key: 'n' })];
    const hit = read('majority:1', 900, { preset: 'PA/EL', key: 'n', source: 'nearCache', boundMs: 501 });
    expect(broken(outcomeOf(writes, [hit]))).toEqual([
      'PA/EL: 1 hits of the near cache were older than it allows',
    ]);
  });

  it('finds what a consistent minority answered after its lease, and not what it answered before', () => {
    const minority = { preset: 'PC/EC', side: 'minority', key: 'm' } as const;
    expect(broken(outcomeOf([...LIVELY, write(1, 1_750, 1_790, minority)]))).toEqual([]);
    expect(broken(outcomeOf([...LIVELY, write(1, 1_810, 1_820, minority)]))).toHaveLength(1);
    expect(broken(outcomeOf([...LIVELY, write(1, 4_990, 5_020, minority)]))).toEqual([]);
  });

  it('finds a side that did not serve', () => {
    const idle = LIVELY.filter(({ preset, side }) => preset !== 'PA/EL' || side !== 'minority');
    expect(broken(outcomeOf(idle))).toEqual(['PA/EL: the minority acknowledged nothing while it was apart']);
  });

  it('does not take a report for whole that says that it is not', () => {
    expect(broken(outcomeOf(LIVELY, [], { isTruncated: true })).join()).toContain('no room');
  });
});
