/**
 * One case of the swarm as plain data: cluster, clients, workload and faults, all drawn from one seed. Streams for
 * different purposes are apart, so that a further fault does not change the configuration. Run by `run.ts`.
 * Invariant: `drawCase` is pure; equal seeds give equal cases.
 */
import { SeededRandom } from '../src/base/random.js';
import type { Fault } from './nemesis/fault.js';
import { drawFaults } from './nemesis/schedule.js';
import type { LinkOptions } from './sim/link.js';

/**
 * What the faults of a case go up to. `promised`: what all guarantees hold for. `suspicion`: pauses and holds that
 * may make a healthy member look dead, after which linearizability is not promised. `beyond`: more crashes than
 * sync backups; only agreement, convergence and the return of service are judged.
 */
export type Profile = 'promised' | 'suspicion' | 'beyond';

export interface ClientPlan {
  /** A client of its own, or the API of a member. */
  readonly kind: 'client' | 'member';
  readonly routing: 'all' | 'single';
  /** Loops that call one operation after the other. */
  readonly workers: number;
}

export interface Case {
  readonly seed: number;
  readonly profile: Profile;
  readonly members: number;
  readonly partitionCount: number;
  readonly timings: 'lan' | 'local';
  /** Silence after which a member is suspected. */
  readonly suspicionMs: number;
  /** The same for all structures: the B of the guarantees. */
  readonly syncBackups: number;
  readonly asyncBackups: { readonly maps: number; readonly atomicLongs: number };
  readonly minSynced: number;
  readonly backupTimeoutMs: number;
  readonly link: Partial<LinkOptions>;
  readonly drift: number;
  readonly clients: readonly ClientPlan[];
  readonly keys: number;
  readonly counters: number;
  /** Mean pause of a worker between two calls. */
  readonly thinkMs: number;
  /** Share of calls of unknown outcome that are asked about. */
  readonly resolveShare: number;
  /** Of the workload, from the first call to the heal. */
  readonly durationMs: number;
  readonly faults: readonly Fault[];
}

const SUSPICION_MS = { lan: 2500, local: 1000 } as const;

/** The case of a seed. `scale` shortens the workload: 0.3 is three tenths of its time. */
export function drawCase(seed: number, scale = 1): Case {
  const random = new SeededRandom(seed, 'case');
  const chance = (share: number) => random.float() < share;
  const pick = <T>(...values: readonly T[]) => values[random.below(values.length)] as T;
  const profileDraw = random.float();
  const profile = profileDraw < 0.86 ? 'promised' : profileDraw < 0.95 ? 'suspicion' : 'beyond';
  const timings = chance(0.12) ? 'lan' : 'local';
  const syncBackups = pick(0, 1, 1, 1, 2, 2);
  const members = chance(0.7) ? 5 : 3 + random.below(5);
  const suspicionMs = SUSPICION_MS[timings];
  const durationMs = scale * (timings === 'lan' ? 8000 + random.below(5000) : 3000 + random.below(3000));
  const minSynced = chance(0.15) ? random.below(syncBackups + 1) : 0;
  const plan = {
    seed,
    profile,
    members,
    partitionCount: 3 + random.below(15),
    timings,
    suspicionMs,
    syncBackups,
    asyncBackups: { maps: chance(0.25) ? 1 : 0, atomicLongs: chance(0.25) ? 1 : 0 },
    minSynced,
    backupTimeoutMs: pick(300, 1000, 3000, 5000),
    link: drawLink(random),
    drift: pick(0, 0.001, 0.02),
    clients: drawClients(random),
    keys: 3 + random.below(6),
    counters: 1 + random.below(2),
    thinkMs: timings === 'lan' ? 60 + random.below(60) : 25 + random.below(30),
    resolveShare: pick(0.5, 0.8, 1),
    durationMs,
  } as const;
  return { ...plan, faults: drawFaults(new SeededRandom(seed, 'faults'), plan) };
}

function drawLink(random: SeededRandom): Partial<LinkOptions> {
  const chance = (share: number) => random.float() < share;
  const meanLatencyMs = 0.3 + random.float() * (chance(0.3) ? 12 : 1.5);
  return {
    meanLatencyMs,
    minLatencyMs: meanLatencyMs * (0.2 + 0.5 * random.float()),
    loss: chance(0.4) ? 0.05 * random.float() : 0,
    reorder: chance(0.4) ? 0.15 * random.float() : 0,
    duplicate: chance(0.3) ? 0.1 * random.float() : 0,
  };
}

function drawClients(random: SeededRandom): ClientPlan[] {
  const clients: ClientPlan[] = [{ kind: 'client', routing: 'all', workers: 2 + random.below(2) }];
  const more = 1 + random.below(3);
  for (let i = 0; i < more; i++) {
    const draw = random.float();
    const kind = draw < 0.3 ? 'member' : 'client';
    clients.push({ kind, routing: draw < 0.6 ? 'all' : 'single', workers: 1 + random.below(3) });
  }
  return clients;
}
