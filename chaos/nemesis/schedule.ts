/**
 * Draws the faults of a case. Called by `case.ts`. Invariant: in the profile `promised` nothing lasts so long that
 * a healthy member looks dead: silences are shorter than half of the suspicion time, and no two are near each other.
 */
import type { SeededRandom } from '../../src/base/random.js';
import type { Case } from '../case.js';
import type { Fault } from './fault.js';

type Plan = Omit<Case, 'faults'>;

/** Share of the suspicion time that one silence may take under the promise. */
const LONGEST_SILENCE = 0.5;

export function drawFaults(random: SeededRandom, plan: Plan): Fault[] {
  const faults = [
    ...drawMembership(random, plan),
    ...drawSilences(random, plan),
    ...drawTrap(random, plan),
    ...drawBursts(random, plan),
    ...drawClientTrouble(random, plan),
  ];
  return faults.sort((a, b) => a.atMs - b.atMs);
}

function drawMembership(random: SeededRandom, plan: Plan): Fault[] {
  const faults: Fault[] = [];
  const latestMs = plan.durationMs * 0.85;
  const at = () => random.float() * latestMs;
  const crashes =
    plan.profile === 'beyond' ? 2 + random.below(2) : plan.syncBackups === 0 ? 0 : random.below(4);
  for (let i = 0; i < crashes; i++) {
    const atMs = at();
    // One that is not allowed yet waits until the cluster is safe again.
    faults.push({
      atMs,
      kind: 'crash',
      scope: drawVictims(random, plan),
      durationMs: plan.durationMs - atMs,
    });
    if (random.float() < 0.6) faults.push(restartAfter(random, plan, atMs));
  }
  const joins = random.below(3);
  for (let i = 0; i < joins; i++) {
    const atMs = at();
    faults.push({ atMs, kind: 'join', scope: 'new', durationMs: 0 });
    // A crash or a leave in the middle of the migration that the join starts.
    if (random.float() < 0.4 && plan.syncBackups > 0) {
      const crashMs = atMs + random.float() * plan.suspicionMs;
      faults.push({ atMs: crashMs, kind: 'crash', scope: drawVictims(random, plan), durationMs: 200 });
    }
  }
  const leaves = random.below(3);
  for (let i = 0; i < leaves; i++) {
    const atMs = at();
    faults.push({ atMs, kind: 'leave', scope: drawVictim(random, plan), durationMs: 0 });
    if (random.float() < 0.5) faults.push(restartAfter(random, plan, atMs + plan.suspicionMs));
  }
  return faults;
}

function restartAfter(random: SeededRandom, plan: Plan, atMs: number): Fault {
  const soon = random.float() < 0.4;
  const delayMs = soon ? 20 + random.float() * 200 : random.float() * 2.5 * plan.suspicionMs;
  return { atMs: atMs + delayMs, kind: 'restart', scope: `ended:${random.below(4)}`, durationMs: 0 };
}

function drawVictims(random: SeededRandom, plan: Plan): string {
  const first = drawVictim(random, plan);
  return plan.syncBackups > 1 && random.float() < 0.5 ? `${first}+${drawVictim(random, plan)}` : first;
}

function drawVictim(random: SeededRandom, plan: Plan): string {
  const draw = random.float();
  if (draw < 0.25) return 'oldest';
  if (draw < 0.35) return 'youngest';
  if (draw < 0.6) return `primary:${random.below(plan.partitionCount)}`;
  if (draw < 0.7) return `backup:${random.below(plan.partitionCount)}`;
  return `any:${random.below(7)}`;
}

/** Pauses, holds and large delays: one after the other, with time to breathe between them. */
function drawSilences(random: SeededRandom, plan: Plan): Fault[] {
  const faults: Fault[] = [];
  const { suspicionMs, durationMs } = plan;
  const breathMs = suspicionMs * 0.8;
  for (let atMs = random.float() * durationMs * 0.6; atMs < durationMs * 0.8; ) {
    const longest = plan.profile === 'suspicion' ? 2.5 : LONGEST_SILENCE;
    const shortest = plan.profile === 'suspicion' && random.float() < 0.7 ? 1 : 0.05;
    const lengthMs = suspicionMs * (shortest + random.float() * (longest - shortest));
    faults.push(...drawSilence(random, plan, atMs, lengthMs));
    atMs += lengthMs + breathMs + random.float() * suspicionMs;
    if (random.float() < 0.35) break;
  }
  return faults;
}

function drawSilence(random: SeededRandom, plan: Plan, atMs: number, durationMs: number): Fault[] {
  const draw = random.float();
  const n = random.below(7);
  if (draw < 0.3) return [{ atMs, kind: 'pause', scope: drawVictim(random, plan), durationMs }];
  if (draw < 0.5) return [{ atMs, kind: 'hold', scope: `link:${n}:${random.below(6)}`, durationMs }];
  if (draw < 0.6) return [{ atMs, kind: 'hold', scope: `into:any:${n}`, durationMs }];
  if (draw < 0.66) return [{ atMs, kind: 'hold', scope: `outof:any:${n}`, durationMs }];
  if (draw < 0.7) return [{ atMs, kind: 'cut', scope: `link:${n}:${random.below(6)}`, durationMs }];
  if (draw < 0.85) {
    const amount = Math.min(durationMs, plan.suspicionMs * 0.4);
    const scope = random.float() < 0.5 ? `outof:any:${n}` : `link:${n}:${random.below(6)}`;
    return [{ atMs, kind: 'delay', scope, durationMs, amount }];
  }
  return swizzle(random, atMs, durationMs);
}

/** A primary whose words no longer reach the other members, though its clients hear it, and which then dies. */
function drawTrap(random: SeededRandom, plan: Plan): Fault[] {
  if (plan.syncBackups === 0 || random.float() < 0.6) return [];
  const primary = `primary:${random.below(plan.partitionCount)}`;
  const atMs = random.float() * plan.durationMs * 0.7;
  const durationMs = plan.suspicionMs * (0.1 + random.float() * 0.4);
  return [
    { atMs, kind: 'cut', scope: `outof:${primary}`, durationMs },
    { atMs: atMs + random.float() * durationMs, kind: 'crash', scope: primary, durationMs: 0 },
  ];
}

/** Links of a random subset stop one by one and come back in another order. */
function swizzle(random: SeededRandom, atMs: number, durationMs: number): Fault[] {
  const links = 2 + random.below(4);
  return Array.from({ length: links }, () => {
    const from = random.float() * durationMs * 0.5;
    const to = durationMs * (0.5 + random.float() * 0.5);
    const scope = `link:${random.below(7)}:${random.below(6)}`;
    return { atMs: atMs + from, kind: 'hold', scope, durationMs: to - from } as const;
  });
}

/** Loss, reordering, duplicates and small delays, between members. */
function drawBursts(random: SeededRandom, plan: Plan): Fault[] {
  const faults: Fault[] = [];
  const count = random.below(4);
  for (let i = 0; i < count; i++) {
    const atMs = random.float() * plan.durationMs * 0.8;
    const durationMs = plan.suspicionMs * (0.2 + random.float() * 1.5);
    const scope = ['all', `outof:any:${random.below(7)}`, `around:any:${random.below(7)}`][
      random.below(3)
    ] as string;
    const draw = random.float();
    if (draw < 0.25)
      faults.push({ atMs, kind: 'loss', scope, durationMs, amount: 0.05 + 0.1 * random.float() });
    else if (draw < 0.5)
      faults.push({ atMs, kind: 'reorder', scope, durationMs, amount: 0.4 * random.float() });
    else if (draw < 0.7)
      faults.push({ atMs, kind: 'duplicate', scope, durationMs, amount: 0.5 * random.float() });
    else {
      const amount = plan.suspicionMs * 0.12 * random.float();
      faults.push({ atMs, kind: 'delay', scope, durationMs, amount });
    }
  }
  return faults;
}

/** What happens between a client and the members costs nobody his membership, so it may last. */
function drawClientTrouble(random: SeededRandom, plan: Plan): Fault[] {
  const faults: Fault[] = [];
  const count = random.below(3);
  for (let i = 0; i < count; i++) {
    const atMs = random.float() * plan.durationMs * 0.8;
    const scope = `client:${random.below(4)}`;
    const durationMs = 100 + random.float() * 2500;
    if (random.float() < 0.5) faults.push({ atMs, kind: 'hold', scope, durationMs });
    else faults.push({ atMs, kind: 'loss', scope, durationMs, amount: 0.1 + 0.3 * random.float() });
  }
  return faults;
}
