/**
 * Many seeds of the suite with splits: draws a case from each, runs it, and adds up what they reached and measured. A
 * suite passes when no run found anything and every required state was reached by some seed. Called by tests, the
 * command line and campaigns.
 */
import { formatFault } from '../nemesis/fault.js';
import { runSeeds, type SeedsOptions, type SeedsResult } from '../seeds.js';
import type { SplitPreset } from './case.js';
import { drawSplitCase, type SplitWishes } from './draw.js';
import { addFigures, type Figures } from './figures.js';
import type { SwarmFault } from './planted.js';
import { requiredStates } from './reached.js';
import type { SplitResult } from './result.js';
import { runSplitCase, type SplitRunOptions } from './run.js';

export interface SplitSwarmOptions extends SeedsOptions<SplitResult> {
  readonly wishes: SplitWishes;
  readonly planted?: SwarmFault | undefined;
}

export interface SplitSwarmResult extends SeedsResult<SplitResult> {
  /** Required states that no seed reached. */
  readonly missing: readonly string[];
  readonly figures: Figures;
}

const SHOWN_FINDINGS = 8;

export async function runSplitSwarm({
  wishes,
  planted,
  ...options
}: SplitSwarmOptions): Promise<SplitSwarmResult> {
  const figures: Figures = {};
  const total = await runSeeds(options, async (seed) => {
    const result = await runSplitSeed(seed, wishes, { planted });
    addFigures(figures, result.figures);
    return result;
  });
  return { ...total, figures, missing: total.reached.missing(requiredStates(wishes)) };
}

export function runSplitSeed(
  seed: number,
  wishes: SplitWishes,
  options: SplitRunOptions = {},
): Promise<SplitResult> {
  return runSplitCase(drawSplitCase(seed, wishes), options);
}

/** The command that runs a seed again. */
export function splitReplay(seed: number, wishes: SplitWishes, planted?: SwarmFault): string {
  const { preset, workloads, nemeses, members, timeMs } = wishes;
  const parts = [
    `node dist/chaos/main.js --suite partition --preset ${preset} --seeds 1 --seed ${seed}`,
    ...(workloads === undefined ? [] : [`--workload ${workloads.join(',')}`]),
    ...(nemeses === undefined ? [] : [`--nemesis ${nemeses.join(',')}`]),
    ...(members === undefined ? [] : [`--members ${members}`]),
    ...(timeMs === undefined ? [] : [`--time ${timeMs}`]),
    ...(planted === undefined ? [] : [`--fault ${planted}`]),
  ];
  return `${parts.join(' ')} --verbose`;
}

/** The whole story of a run, for people. */
export function explainSplit(result: SplitResult, command: string): string {
  const { plan, findings, faults, reached, figures } = result;
  const { members, partitionCount, syncBackups, timings, preset, mergePolicy } = plan;
  const rounds = plan.rounds.map(({ shape, fromMs, toMs }) => {
    return `${shape} ${fromMs.toFixed(0)}..${toMs === null ? 'end' : toMs.toFixed(0)}`;
  });
  return [
    `seed ${result.seed}: ${findings.length} findings after ${result.virtualMs.toFixed(0)} ms of virtual time`,
    `  ${preset}, ${mergePolicy}; ${members} members, ${partitionCount} partitions, ${syncBackups} sync backups, timings ${timings}, drift ${plan.drift}`,
    `  cuts (since the workload began): ${rounds.join(', ') || 'none'}`,
    ...findings
      .slice(0, SHOWN_FINDINGS)
      .map(({ guarantee, text }) => `- ${guarantee}: ${text.slice(0, 3000)}`),
    ...(findings.length > SHOWN_FINDINGS ? [`- and ${findings.length - SHOWN_FINDINGS} more`] : []),
    'faults:',
    ...faults.map((fault) => `  ${formatFault(fault)}`),
    `figures: ${JSON.stringify(figures)}`,
    'reached:',
    reached.format(),
    `replay: ${command}`,
  ].join('\n');
}

/** Whether this suite holds runs against the promises of a preset. */
export function isSplitPreset(text: string): text is SplitPreset {
  return text === 'PA/EC' || text === 'PC/EC';
}
