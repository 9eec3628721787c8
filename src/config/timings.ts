/**
 * How fast members notice each other's silence: named presets, and single values that override them.
 * Invariant: `suspicionMs` is at least three heartbeats, so that one lost frame never costs a member its place.
 */
import { z } from 'zod';

export interface Timings {
  readonly preset: TimingPreset;
  readonly heartbeatMs: number;
  readonly suspicionMs: number;
}

export type TimingPreset = 'lan' | 'local';

export const TIMING_PRESETS: Readonly<Record<TimingPreset, Omit<Timings, 'preset'>>> = {
  lan: { heartbeatMs: 500, suspicionMs: 2_500 },
  local: { heartbeatMs: 100, suspicionMs: 1_000 },
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
    return { preset: name, heartbeatMs, suspicionMs };
  })
  .superRefine(({ preset: name, heartbeatMs, suspicionMs }, context) => {
    const least = HEARTBEATS_PER_SUSPICION * heartbeatMs;
    if (suspicionMs >= least) return;
    const message = `${suspicionMs} is less than ${HEARTBEATS_PER_SUSPICION} times heartbeatMs (${heartbeatMs}, preset ${name}); use at least ${least}`;
    context.addIssue({ code: 'custom', path: ['suspicionMs'], message });
  })
  .describe(
    'How fast silence is noticed: the name of a preset (lan, local), or an object with single values.',
  );
