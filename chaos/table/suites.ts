/**
 * The runs that hold a row of the table against its promises: crashes and slow links for G1, G2 and G9, splits for G3 to
 * G7 and G9, reads that may be behind for G8. Each run is given by its row, its suite and a seed.
 */

import { classOf } from '../../src/policy/class.js';
import { drawCase } from '../draw.js';
import { ackedThenCrashed, readAtOldBackup } from '../nemesis/directed-losses.js';
import { loneMember } from '../nemesis/directed-sides.js';
import { runCase } from '../run.js';
import { NEMESES, type NemesisName, type SplitPreset, type WorkloadName } from '../split/case.js';
import { runSplitSeed } from '../split/swarm.js';
import { overload } from './overload.js';
import { caseOf, promisesOf, type Row } from './rows.js';
import type { SuiteRun } from './suite-run.js';

export const SUITES = [
  'crash',
  'split as PA',
  'split as PC',
  'behind',
  'overload',
  'lost write',
  'old backup',
  'lone member',
] as const;
export type SuiteName = (typeof SUITES)[number];

/** Share of the usual time of the workload with crashes. */
const SCALE = 0.35;
/** Within a cut, the others give up for lost what only a member had that is cut off. */
const LOSS_MS = 2000;

export function runSuite(row: Row, suite: SuiteName, seed: number): Promise<SuiteRun> {
  switch (suite) {
    case 'crash':
      return runCase(drawCase(seed, SCALE, { ...caseOf(row), profile: 'promised' }));
    case 'split as PA':
      return runSplit(row, 'PA/EC', seed);
    case 'split as PC':
      return runSplit(row, 'PC/EC', seed);
    case 'behind':
      return runSplit(row, presetOf(row), seed, ['map-behind']);
    case 'overload':
      return overload(row, seed);
    case 'lost write':
      return ackedThenCrashed({ ...caseOf(row), seed });
    case 'old backup':
      return readAtOldBackup({ ...caseOf(row), seed });
    case 'lone member':
      return loneMember({ ...caseOf(row), seed });
  }
}

function presetOf({ knobs }: Row): SplitPreset {
  return knobs.consistency.startsWith('PC') ? 'PC/EC' : 'PA/EC';
}

/** Splits, with the steps and the judge of a preset. */
function runSplit(row: Row, preset: SplitPreset, seed: number, workloads?: readonly WorkloadName[]) {
  const isSurvived = promisesOf(row).some(({ id, holds }) => id === 'G2' && holds);
  // What a crash takes is no matter of splits: where one takes acknowledged writes there is none, but for reads.
  const isCrashed = isSurvived || workloads !== undefined;
  const nemeses = NEMESES.filter((name: NemesisName) => isCrashed || name !== 'crash');
  const fixed = {
    ...caseOf(row),
    ...(preset === 'PC/EC' && isAlone(row) ? { partitionLossTimeoutMs: LOSS_MS } : {}),
  };
  return runSplitSeed(seed, { preset, nemeses, fixed, ...(workloads === undefined ? {} : { workloads }) });
}

/** Nobody else has what a member has: only with time the others begin anew without it. */
function isAlone({ sync, async, knobs }: Row): boolean {
  return sync + async === 0 && knobs.consistency.startsWith('PA');
}

/** Suites that say something about promises that the row keeps. */
export function suitesOf(row: Row): SuiteName[] {
  const { reads, p } = classOf({ consistency: row.knobs.consistency, backups: row }, row.knobs.call);
  return [
    'crash',
    p === 'available' ? 'split as PA' : 'split as PC',
    ...(promisesOf(row).some(({ id, holds }) => id === 'G5' && holds) ? (['lone member'] as const) : []),
    ...(reads === 'latency' ? (['behind'] as const) : []),
    'overload',
  ];
}

/** The suites that judge each promise; one that the row breaks has a seed that shows it in one of them. */
export const JUDGED_BY: Readonly<Record<string, readonly SuiteName[]>> = {
  G1: ['lost write', 'old backup', 'crash'],
  G2: ['lost write', 'crash'],
  G3: ['split as PC'],
  G4: ['split as PC'],
  G5: ['lone member', 'split as PA'],
  G6: ['split as PA'],
  G7: ['split as PA'],
  G8: ['behind'],
  G9: ['crash', 'split as PA', 'split as PC'],
  G12: ['overload'],
};
