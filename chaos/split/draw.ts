/**
 * Draws a case with splits from a seed. Streams for different purposes are apart, so that another fault does not
 * change the configuration. Called by the swarm and by campaigns. Invariant: pure; equal seeds and wishes give equal
 * cases.
 */
import { SeededRandom } from '../../src/base/random.js';
import type { ClientPlan } from '../case.js';
import { drawLink } from '../draw.js';
import type { Fault } from '../nemesis/fault.js';
import {
  MERGE_POLICIES,
  NEMESES,
  type NemesisName,
  type Round,
  type SplitCase,
  type SplitPreset,
  WORKLOADS,
  type WorkloadName,
} from './case.js';
import { withNearClocks } from './expiring.js';
import { withListeners } from './listening.js';
import { ONE_WAY_SHAPES, type Shape, shapeFaults, TWO_WAY_SHAPES } from './shapes.js';

export interface SplitWishes {
  readonly preset: SplitPreset;
  readonly workloads?: readonly WorkloadName[];
  readonly nemeses?: readonly NemesisName[];
  readonly members?: number;
  /** Of the workload; default: drawn. */
  readonly timeMs?: number;
  /** Takes the place of what is drawn, before cuts and faults are drawn for it. */
  readonly fixed?: Partial<SplitCase>;
}

const TIMINGS = {
  lan: { suspicionMs: 2500, leaseMs: 2000 },
  local: { suspicionMs: 1000, leaseMs: 800 },
} as const;

/** Until the first cut everything is whole. */
const QUIET_START = 1.2;
/** After the last heal of a workload that goes on, in suspicion times. */
const QUIET_END = 1;
/** A cut that is not healed is looked at for so long: service within 10 s, and then owners that do not change. */
const LASTING_MS = 13_000;
const LONG_LOOK_MS = 40_000;
/** In a cut of this length each side has to serve, and long enough to be judged by its calls. */
const SIDES_SERVE_MS = 11_000;
/** A fault without an end of its own: the end of the run ends it. */
const FOR_GOOD_MS = 3_600_000;
const MAX_WALL_STEP_MS = 300_000;

export function drawSplitCase(seed: number, wishes: SplitWishes): SplitCase {
  const { preset } = wishes;
  const random = new SeededRandom(seed, 'split case');
  const chance = (share: number) => random.float() < share;
  const pick = <T>(...values: readonly T[]) => values[random.below(values.length)] as T;
  const timings = chance(0.1) ? 'lan' : 'local';
  const plan = {
    seed,
    profile: 'promised',
    preset,
    mergePolicy: pick('LatestUpdate', ...MERGE_POLICIES),
    members: wishes.members ?? 5,
    partitionCount: 3 + random.below(6),
    timings,
    ...TIMINGS[timings],
    syncBackups: pick(1, 1, 2),
    asyncBackups: { maps: 0, atomicLongs: 0 },
    minSynced: 0,
    backupTimeoutMs: pick(1000, 3000, 5000),
    // Connections do not double what they carry; with refusals that come twice nobody could tell which attempt they are of.
    link: { ...drawLink(random), duplicate: 0 },
    drift: pick(0, 0.001, 0.02),
    wallOffsetMs: pick(0, 50, 5000),
    clients: drawClients(random),
    keys: preset === 'PC/EC' ? 8 + random.below(6) : 4 + random.below(8),
    counters: 2 + random.below(2),
    thinkMs: timings === 'lan' ? 110 + random.below(60) : 60 + random.below(40),
    resolveShare: pick(0.5, 1),
    workloads: wishes.workloads ?? WORKLOADS,
    ...wishes.fixed,
  } as const;
  const nemeses = new Set(wishes.nemeses ?? NEMESES);
  const { rounds, durationMs } = drawRounds(new SeededRandom(seed, 'rounds'), plan, nemeses, wishes.timeMs);
  const faults = drawFaults(new SeededRandom(seed, 'split faults'), { ...plan, rounds, durationMs }, nemeses);
  const listens = plan.workloads.includes('map-listen');
  const drawn = { ...plan, rounds, durationMs, faults: listens ? withListeners(faults) : faults };
  return plan.workloads.includes('map-expiry') ? withNearClocks(drawn) : drawn;
}

/** Two clients that cuts place on sides, and one that reaches everyone; perhaps a member's own API. */
function drawClients(random: SeededRandom): ClientPlan[] {
  const routing = () => (random.float() < 0.75 ? 'all' : 'single');
  const clients: ClientPlan[] = [
    { kind: 'client', routing: routing(), workers: 2 },
    { kind: 'client', routing: routing(), workers: 2 },
    { kind: 'client', routing: routing(), workers: 1 },
  ];
  if (random.float() < 0.4) clients.push({ kind: 'member', routing: 'all', workers: 1 });
  return clients;
}

type Ground = Omit<SplitCase, 'faults' | 'rounds' | 'durationMs'>;

function drawRounds(
  random: SeededRandom,
  plan: Ground,
  nemeses: ReadonlySet<NemesisName>,
  timeMs: number | undefined,
): { rounds: Round[]; durationMs: number } {
  const { suspicionMs } = plan;
  const shapes: Shape[] = [
    ...(nemeses.has('partition') ? TWO_WAY_SHAPES : []),
    // Halves are what users think of first, and what forks and merges most.
    ...(nemeses.has('partition') ? (['halves', 'halves', 'three parts'] as const) : []),
    ...(nemeses.has('one-way') ? ONE_WAY_SHAPES : []),
  ];
  const rounds: Round[] = [];
  const startMs = suspicionMs * (QUIET_START + random.float());
  if (shapes.length === 0) return { rounds, durationMs: timeMs ?? 12 * suspicionMs };
  const count = 1 + (random.float() < 0.5 ? 1 : 0) + (random.float() < 0.12 ? 1 : 0);
  const isLasting = plan.preset === 'PC/EC' && random.float() < 0.45;
  const lookMs = random.float() < 0.1 ? LONG_LOOK_MS : LASTING_MS;
  let atMs = startMs;
  for (let i = 0; timeMs === undefined ? i < count : atMs < timeMs; i++) {
    const shape = shapes[random.below(shapes.length)] as Shape;
    const isLast = timeMs === undefined && i === count - 1 && isLasting;
    // 8 to 30 s with the timings of a local network: longer than suspicion and fork together.
    const drawnMs = suspicionMs * (3.2 + random.float() ** 3 * 8.8);
    const isLong = plan.preset === 'PA/EC' && random.float() < 0.4;
    const lengthMs = isLast ? lookMs : isLong ? Math.max(drawnMs, SIDES_SERVE_MS) : drawnMs;
    rounds.push({ shape, fromMs: atMs, toMs: isLast ? null : atMs + lengthMs });
    const breathMs = suspicionMs * (random.float() < 0.3 ? 0.3 + random.float() : 2 + 5 * random.float());
    atMs += lengthMs + (isLast ? 0 : breathMs);
  }
  const endMs = rounds.at(-1)?.toMs === null ? atMs : atMs + QUIET_END * suspicionMs;
  return { rounds, durationMs: timeMs === undefined ? endMs : Math.max(timeMs, endMs) };
}

type Plan = Omit<SplitCase, 'faults'>;

function drawFaults(random: SeededRandom, plan: Plan, nemeses: ReadonlySet<NemesisName>): Fault[] {
  const faults: Fault[] = [];
  for (const round of plan.rounds) {
    const lengthMs = (round.toMs ?? plan.durationMs) - round.fromMs;
    const durationMs = round.toMs === null ? FOR_GOOD_MS : lengthMs;
    const { members, partitionCount } = plan;
    const input = { random, members, partitionCount, atMs: round.fromMs, durationMs };
    faults.push(...shapeFaults(round.shape as Shape, input));
    // What lasts is looked at by itself: service has to come back although nothing else gets better.
    if (round.toMs === null) continue;
    if (nemeses.has('crash')) faults.push(...drawCrash(random, round.fromMs, lengthMs, plan));
    if (nemeses.has('pause')) faults.push(...drawPause(random, round.fromMs, lengthMs, plan));
  }
  if (nemeses.has('clock')) faults.push(...drawWallSteps(random, plan));
  if (nemeses.has('delay')) faults.push(...drawBurst(random, plan, 'delay'));
  if (nemeses.has('loss')) faults.push(...drawBurst(random, plan, 'loss'));
  if (plan.rounds.length === 0) {
    if (nemeses.has('crash')) faults.push(...drawCrash(random, 0, plan.durationMs, plan));
    if (nemeses.has('pause')) faults.push(...drawPause(random, 0, plan.durationMs, plan));
  }
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** At the cut, in the middle, or while the sides are being merged; one that is not allowed yet waits a while. */
function drawCrash(random: SeededRandom, fromMs: number, lengthMs: number, plan: Plan): Fault[] {
  if (random.float() < 0.5) return [];
  const { suspicionMs } = plan;
  const draw = random.float();
  const sinceMs =
    draw < 0.2
      ? random.float() * suspicionMs - suspicionMs / 2
      : draw < 0.6
        ? random.float() * lengthMs
        : lengthMs + random.float() * suspicionMs * 1.5;
  const atMs = Math.max(0, fromMs + sinceMs);
  // Merges are short: whoever has something to merge is met as soon as there is somebody.
  const isInMerge = draw >= 0.6 && random.float() < 0.5;
  const scope = isInMerge ? `leftover:${random.below(3)}` : drawVictim(random, plan);
  const faults: Fault[] = [{ atMs, kind: 'crash', scope, durationMs: 3 * suspicionMs }];
  if (random.float() < 0.7) {
    const laterMs = random.float() < 0.4 ? 50 + random.float() * 300 : random.float() * 4 * suspicionMs;
    faults.push({ atMs: atMs + laterMs, kind: 'restart', scope: 'ended:0', durationMs: 0 });
  }
  return faults;
}

function drawPause(random: SeededRandom, fromMs: number, lengthMs: number, plan: Plan): Fault[] {
  if (random.float() < 0.55) return [];
  const sinceMs = random.float() * (lengthMs + 2 * plan.suspicionMs) - plan.suspicionMs;
  const durationMs = plan.suspicionMs * (0.2 + 2.8 * random.float());
  const scope = drawVictim(random, plan);
  return [{ atMs: Math.max(0, fromMs + sinceMs), kind: 'pause', scope, durationMs }];
}

function drawVictim(random: SeededRandom, plan: Plan): string {
  const draw = random.float();
  if (draw < 0.2) return 'oldest';
  if (draw < 0.5) return `primary:${random.below(plan.partitionCount)}`;
  return `host:m${1 + random.below(plan.members)}`;
}

/** From a second to five minutes, forth or back. */
function drawWallSteps(random: SeededRandom, plan: Plan): Fault[] {
  return Array.from({ length: random.below(4) }, () => {
    const size = Math.exp(Math.log(1000) + random.float() * Math.log(MAX_WALL_STEP_MS / 1000));
    const amount = Math.round(random.float() < 0.5 ? -size : size);
    const scope = `host:m${1 + random.below(plan.members)}`;
    return { atMs: random.float() * plan.durationMs, kind: 'wall', scope, durationMs: 0, amount } as const;
  });
}

function drawBurst(random: SeededRandom, plan: Plan, kind: 'delay' | 'loss'): Fault[] {
  if (random.float() < 0.6) return [];
  const atMs = random.float() * plan.durationMs;
  const durationMs = plan.suspicionMs * (0.5 + 3 * random.float());
  const scope = random.float() < 0.5 ? 'all' : `around:host:m${1 + random.below(plan.members)}`;
  const amount = kind === 'loss' ? 0.05 + 0.15 * random.float() : plan.suspicionMs * 0.15 * random.float();
  return [{ atMs, kind, scope, durationMs, amount }];
}
