/**
 * What a consistent preset promises whatever is cut: linearizable keys over the whole history, nothing acknowledged is
 * lost, and no acknowledgement outside of the majority later than one lease after the cut. Called by `judge.ts`.
 */
import { atomicLongModel, registerModel } from '../checker/models.js';
import { judgeDeliveries, judgeKeys, judgeLoss, judgeQueues, judgeSizes } from '../judge.js';
import { readsBehind } from '../knobs.js';
import type { Finding } from '../workload/recorder.js';
import type { Connectivity } from './connectivity.js';
import type { SplitContext } from './context.js';
import type { SplitFinal } from './final.js';
import type { Judged } from './judged.js';
import { isPowerIn, powerlessPeriods } from './power.js';

/** What a frame may take between two hosts that are joined, beside delays put in on purpose. */
const WAY_MS = 100;

export function judgeConsistent(run: SplitContext, final: SplitFinal, connectivity: Connectivity): Judged {
  const keys = [
    ...judgeKeys(run, 'register/', registerModel),
    ...judgeKeys(run, 'bulk/', registerModel),
    ...judgeKeys(run, 'counter/', atomicLongModel),
  ].map(({ text }) => ({ guarantee: 'G3 linearizable always', text }));
  const outside = judgeOutside(run, connectivity);
  const { entries } = run.recorder;
  const linearizable = entries.filter(({ k, type }) => type === 'ok' && !k.startsWith('readback/')).length;
  const findings = [
    ...keys,
    ...judgeLoss(run, final),
    ...judgeQueues(run, final),
    // Clients that are cut off are not heard.
    ...judgeDeliveries(run, final, new Map(), () => false),
    ...judgeSizes(run),
    ...outside.findings,
  ];
  return { findings, figures: { linearizable, ...outside.figures } };
}

/** Acknowledgements to callers that could reach no member that may still have a lease. */
function judgeOutside(run: SplitContext, connectivity: Connectivity): Judged {
  const { plan, recorder } = run;
  const delays = plan.faults.filter(({ kind }) => kind === 'delay').map(({ amount }) => amount ?? 0);
  const wayMs = WAY_MS + 2 * Math.max(0, ...delays);
  const graceMs = plan.leaseMs * (1 + 2 * plan.drift) + wayMs;
  const pauses = run.nemesis.log.filter(({ fault }) => fault.kind === 'pause');
  const hosts = [...new Set(recorder.entries.map(({ caller }) => caller.host))];
  const periods = hosts.flatMap((host) => powerlessPeriods(run, connectivity, host));
  const findings: Finding[] = [];
  let refusedOutside = 0;
  for (const { host, fromMs, toMs } of periods) {
    const late = recorder.entries.filter(({ f, caller, callMs, retMs, isPart, isWrite }) => {
      const isLate = retMs !== null && retMs > fromMs + graceMs && retMs <= toMs;
      // Reads that may be behind go on, and tell their age.
      const mayGoOn = !isWrite && (readsBehind(plan) || f === 'glance');
      if (!isLate || mayGoOn || caller.host !== host || isPart) return false;
      // Answered before the cut, and read or passed on by a member that was paused from then on.
      const isHeldUp = pauses.some(({ fromMs: sinceMs, toMs: endMs, met }) => {
        const isOnWay = met.includes(host) || caller.kind === 'one-member routing';
        const hasJustEnded = endMs !== null && endMs <= retMs && retMs <= endMs + wayMs;
        return isOnWay && hasJustEnded && sinceMs !== null && sinceMs < fromMs;
      });
      if (isHeldUp && callMs < fromMs) return false;
      // The majority may answer what it was asked before the cut, where only the way back is open.
      return callMs >= fromMs || !mayHearPower(run, connectivity, host, retMs);
    });
    refusedOutside += late.filter(({ type }) => type === 'fail').length;
    for (const { k, f, type, resolution, retMs } of late) {
      if (type !== 'ok' && resolution === undefined) continue;
      const afterMs = ((retMs as number) - fromMs).toFixed(0);
      const text = `${f} of ${k} by ${host} was answered ${afterMs} ms after its side lost the majority; the lease is ${plan.leaseMs} ms`;
      findings.push({ guarantee: 'G4 nothing is acknowledged outside of the majority', text });
    }
  }
  const powerlessMs = periods.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  return { findings, figures: { powerlessMs, refusedOutside } };
}

/** Whether an answer of somebody who may have a lease could come to the host then. */
function mayHearPower(run: SplitContext, connectivity: Connectivity, host: string, atMs: number): boolean {
  const stretch = connectivity.stretches.find(({ fromMs, toMs }) => fromMs <= atMs && atMs <= toMs);
  if (stretch === undefined) return false;
  return isPowerIn(run, connectivity, stretch, connectivity.heardBy(stretch, host));
}
