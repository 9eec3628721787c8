/**
 * Draws the case of a seed. Streams for different purposes are apart, so that a further fault does not change the
 * configuration. Called by the swarm. Invariant: `drawCase` is pure; equal seeds give equal cases.
 */
import { SeededRandom } from '../src/base/random.js';
import type { Case, ClientPlan, TogglePlan } from './case.js';
import { drawFaults } from './nemesis/schedule.js';
import { withoutSilences } from './nemesis/toggle-trouble.js';
import type { LinkOptions } from './sim/link.js';

const SUSPICION_MS = { lan: 2500, local: 1000 } as const;

/**
 * The case of a seed. `scale` shortens the workload: 0.3 is three tenths of its time. What is fixed takes the place of what
 * was drawn, before faults are drawn for it.
 */
export function drawCase(seed: number, scale = 1, fixed: Partial<Case> = {}): Case {
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
    ...fixed,
  } as const;
  return { ...plan, faults: drawFaults(new SeededRandom(seed, 'faults'), plan) };
}

/** The same case with presets that change under load. */
export function drawToggleCase(seed: number, scale = 1): Case {
  // Long enough for several windows.
  const usual = drawCase(seed, 2 * scale);
  const random = new SeededRandom(seed, 'toggles');
  const toggles = drawToggles(random, usual);
  // Backups that no write waits for are those that are behind.
  const maps =
    random.float() < 0.6 ? Math.min(1 + random.below(2), usual.members - 1 - usual.syncBackups) : 0;
  const embedded: ClientPlan[] = random.float() < 0.6 ? [{ kind: 'member', routing: 'all', workers: 2 }] : [];
  return {
    ...usual,
    asyncBackups: { ...usual.asyncBackups, maps },
    clients: [...usual.clients, ...embedded],
    toggles,
    faults: withoutSilences(usual.faults),
  };
}

function drawToggles(random: SeededRandom, { syncBackups, profile }: Case): TogglePlan {
  const draw = random.float();
  const isAll = random.float() < 0.25;
  // PC needs a sync backup; and what is PC is never given up by itself when all that hold it are gone.
  if (syncBackups === 0 || profile !== 'promised' || draw < 0.5)
    return { loose: ['PA/EL'], strict: ['PA/EC'], isAll };
  if (draw < 0.7) return { loose: ['PC/EL'], strict: ['PC/EC'], isAll };
  return { loose: ['PA/EL', 'PC/EL'], strict: ['PA/EC', 'PC/EC'], isAll };
}

export function drawLink(random: SeededRandom): Partial<LinkOptions> {
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
