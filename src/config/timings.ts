/**
 * How fast members notice each other's silence: named presets, and single values that override them.
 * Invariant: `suspicionMs` is at least three heartbeats, so that one lost frame never costs a member its place.
 */
import { z } from 'zod';

export interface Timings {
  readonly preset: TimingPreset;
  readonly heartbeatMs: number;
  readonly suspicionMs: number;
  readonly leaseMs: number;
}

export type TimingPreset = 'lan' | 'local';

export const TIMING_PRESETS: Readonly<Record<TimingPreset, Omit<Timings, 'preset'>>> = {
  lan: { heartbeatMs: 500, suspicionMs: 2_500, leaseMs: 2_000 },
  local: { heartbeatMs: 100, suspicionMs: 1_000, leaseMs: 800 },
};

/** Heartbeats that must fit into the suspicion time. */
export const HEARTBEATS_PER_SUSPICION = 3;

const DEFAULT_PRESET: TimingPreset = 'lan';

const preset = z
  .enum(['lan', 'local'])
  .describe(
    'Where the values below come from unless they are given. lan: members on several machines; a crash is noticed after 2.5 s. local: all members on one machine, for development and tests; noticed after 1 s, and a process that stalls for a second is taken for dead.',
  );

const fields = z.strictObject({
  preset: preset.optional(),
  heartbeatMs: z
    .int()
    .min(10)
    .max(60_000)
    .optional()
    .describe(
      'Time between two heartbeats to every other member. Shorter: changes of membership are agreed sooner, for more messages (members squared per interval).',
    ),
  suspicionMs: z
    .int()
    .min(100)
    .max(600_000)
    .optional()
    .describe(
      'Silence after which a member is taken for gone. Shorter: a crash is repaired sooner; longer: pauses (garbage collection, a busy machine, a network that stutters) remove no healthy member. At least 3 times heartbeatMs.',
    ),
  leaseMs: z
    .int()
    .min(50)
    .max(600_000)
    .optional()
    .describe(
      'How long a member serves consistent structures after a majority last acknowledged its heartbeat. Shorter: a side that was cut off refuses sooner; longer: a stutter of the network interrupts nothing. Between 2 times heartbeatMs and suspicionMs.',
    ),
});

/** The name of a preset alone, or an object with `preset` and single values. */
export const timingsSchema = z
  .union([preset, fields])
  .default(DEFAULT_PRESET)
  .transform((given): Timings => {
    const chosen = typeof given === 'string' ? { preset: given } : given;
    const name = chosen.preset ?? DEFAULT_PRESET;
    const heartbeatMs = chosen.heartbeatMs ?? TIMING_PRESETS[name].heartbeatMs;
    const suspicionMs = chosen.suspicionMs ?? TIMING_PRESETS[name].suspicionMs;
    const { leaseMs: usualMs } = TIMING_PRESETS[name];
    const leaseMs = chosen.leaseMs ?? Math.max(Math.min(usualMs, suspicionMs), 2 * heartbeatMs);
    return { preset: name, heartbeatMs, suspicionMs, leaseMs };
  })
  .superRefine(({ preset: name, heartbeatMs, suspicionMs, leaseMs }, context) => {
    if (leaseMs < 2 * heartbeatMs || leaseMs > suspicionMs) {
      const message = `${leaseMs} is not between 2 times heartbeatMs (${heartbeatMs}) and suspicionMs (${suspicionMs})`;
      context.addIssue({ code: 'custom', path: ['leaseMs'], message });
    }
    const least = HEARTBEATS_PER_SUSPICION * heartbeatMs;
    if (suspicionMs >= least) return;
    const message = `${suspicionMs} is less than ${HEARTBEATS_PER_SUSPICION} times heartbeatMs (${heartbeatMs}, preset ${name}); use at least ${least}`;
    context.addIssue({ code: 'custom', path: ['suspicionMs'], message });
  })
  .describe(
    'How fast silence is noticed: the name of a preset (lan, local), or an object with single values.',
  );
