/** What must hold when five members come apart and together again: the same tests for every world. */
import { beforeAll, expect, it } from 'vitest';
import type { Transpiled } from '../real/support/transpiled.js';
import * as judge from './split-judge.js';
import { AVAILABLE, CONSISTENT, runSplit, type SplitOutcome } from './split-run.js';
import type { World } from './split-world.js';

const SPLIT_MS = 20_000;
/** One lease of the timings `lan`, and half a second for calls that were answered just before. */
const CONSISTENT_LIMIT_MS = 2_500;
const WHOLE_LIMIT_MS = 15_000;
/** Acknowledged writes in a quarter of the split that show that a side serves; calls to missing partitions hold up others. */
const LIVELY = 30;
const RUN_LIMIT_MS = 180_000;

/** Refusals of a consistent structure on the side without the majority, bare or as the cause of a timeout. */
const REFUSALS =
  /(?:^|\/)ERR_(?:NO_LEASE|IN_FORK|NO_MAJORITY|NOT_SERVING|OTHER_LINEAGE|WRONG_TARGET|PARTITION_UNAVAILABLE|TIMEOUT)$/;

export interface Stage {
  readonly world: World;
  /** Clients that connect afterwards are observers, which belong to no side. */
  readonly observing: () => void;
  /** Sync backups of all maps. */
  readonly syncBackups: 1 | 2;
}

/** To be called inside a `describe`. */
export function describeSplit(stage: () => Promise<Stage>, sources: Transpiled): void {
  let outcome: SplitOutcome;
  let backups: number;
  const errors = (side: string, map: string) => judge.errorsDuring(outcome, side, map);
  const text = (counts: Map<string, number>) =>
    [...counts].map(([error, count]) => `${count} x ${error}`).join(', ');

  beforeAll(async () => {
    const { world, observing, syncBackups } = await stage();
    backups = syncBackups;
    await using _gone = world;
    outcome = await runSplit(world, sources, observing, { splitMs: SPLIT_MS, syncBackups });
  }, RUN_LIMIT_MS);

  it('PC: the minority acknowledges nothing after its lease', () => {
    const windowMs = judge.acknowledgedForMs(outcome, CONSISTENT);
    console.log(`PC: the minority's last write was acknowledged ${Math.round(windowMs)} ms after the cut`);
    expect(windowMs).toBeLessThan(CONSISTENT_LIMIT_MS);
    expect(judge.acknowledgedLate(outcome, 'right', CONSISTENT)).toBe(0);
  });

  it('PC: refusals on the side of the minority are typed', () => {
    const counts = errors('right', CONSISTENT);
    console.log(`PC: the minority's client got ${text(counts)}`);
    const definite = [...counts.keys()].filter((error) => REFUSALS.test(error));
    expect(definite).not.toEqual([]);
    expect(
      [...counts.keys()].filter((error) => !REFUSALS.test(error) && !/^ERR_INDETERMINATE/.test(error)),
    ).toEqual([]);
  });

  it('PC: the majority serves', () => {
    console.log(`PC: the majority's client got ${text(errors('left', CONSISTENT))}`);
    expect(judge.acknowledgedLate(outcome, 'left', CONSISTENT)).toBeGreaterThan(LIVELY);
  });

  it('PC: no acknowledged write is lost', () => {
    expect(
      judge.lostWrites({ ...outcome, reports: { ...outcome.reports, discarded: [] } }, CONSISTENT),
    ).toEqual([]);
    expect(judge.inventedValues(outcome, CONSISTENT)).toEqual([]);
  });

  it('PA: both sides serve', () => {
    console.log(
      `PA: errors of the majority's client: ${text(errors('left', AVAILABLE))}; ` +
        `of the minority's: ${text(errors('right', AVAILABLE))}`,
    );
    expect(judge.acknowledgedLate(outcome, 'left', AVAILABLE)).toBeGreaterThan(LIVELY);
    expect(judge.acknowledgedLate(outcome, 'right', AVAILABLE)).toBeGreaterThan(LIVELY);
  });

  it('PA: with two backups, the majority serves every key', () => {
    const missing = [...errors('left', AVAILABLE).keys()].filter((error) =>
      /PARTITION_UNAVAILABLE/.test(error),
    );
    // With one backup, both replicas of some partitions are with the minority.
    if (backups === 2) expect(missing).toEqual([]);
    else expect(judge.acknowledgedLate(outcome, 'left', AVAILABLE)).toBeGreaterThan(LIVELY);
  });

  it('PA: one lineage, nothing left to merge and safe soon after the heal', () => {
    console.log(`PA: whole and safe ${Math.round(outcome.wholeAfterMs)} ms after the heal`);
    expect(outcome.wholeAfterMs).toBeLessThan(WHOLE_LIMIT_MS);
  });

  it('PA: every acknowledged write is there or in a merge report', () => {
    const { reports } = outcome;
    console.log(`PA: ${reports.merges} merge reports with ${reports.discarded.length} discarded entries`);
    expect(reports.isTruncated).toBe(false);
    expect(judge.lostWrites(outcome, AVAILABLE)).toEqual([]);
    expect(judge.inventedValues(outcome, AVAILABLE)).toEqual([]);
  });

  it('PA: keys that only one side wrote are as it left them', () => {
    const solo = judge.lostWrites({ ...outcome, reports: { ...outcome.reports, discarded: [] } }, AVAILABLE);
    expect(solo.filter((line) => line.includes('-solo-'))).toEqual([]);
  });

  it('PA: both sides wrote the same keys, so something was discarded', () => {
    expect(outcome.reports.discarded.filter(({ key }) => key.startsWith('shared-')).length).toBeGreaterThan(
      0,
    );
  });
}
