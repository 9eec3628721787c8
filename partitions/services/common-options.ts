/**
 * The options that every structure has: how many backups it keeps, what a write waits for, and its preset. Each
 * structure's `options.ts` puts its own beside them; configuration refuses everything else.
 */
import { z } from 'zod';
import { AVAILABLE_PRESETS, presetOf } from '../../src/policy/presets.js';
import type { StructureOptions } from '../service.js';

/** Replica indexes go from 0, the primary, to 6. */
const MAX_BACKUPS = 6;

const backups = z
  .strictObject({
    sync: z
      .int()
      .min(0)
      .max(MAX_BACKUPS)
      .default(1)
      .describe('Backups that a write waits for, 0 to 6: acknowledged data survives that many crashes.'),
    async: z
      .int()
      .min(0)
      .max(MAX_BACKUPS)
      .default(0)
      .describe('Further backups, 0 to 6, that follow without a write waiting for them.'),
  })
  .refine(
    ({ sync, async }) => sync + async <= MAX_BACKUPS,
    `sync and async together are at most ${MAX_BACKUPS}`,
  )
  .prefault({})
  .describe('Copies of each entry besides the primary; sync and async together are at most 6.');

const consistency = z
  .enum(AVAILABLE_PRESETS, {
    error: ({ input }) =>
      typeof input === 'string' && presetOf(input) !== undefined
        ? `${input} is not available in this version; ${AVAILABLE_PRESETS.join(', ')} is`
        : undefined,
  })
  .default('PA/EC')
  .describe('Preset: what holds when the network is partitioned, and else. This version has PA/EC.');

/** The fields, for `z.strictObject({ ...commonOptions, ... })`. */
export const commonOptions = {
  consistency,
  backups,
  minSynced: z
    .int()
    .min(0)
    .max(MAX_BACKUPS)
    .default(0)
    .describe(
      'Sync backups that must be synced for a write to be taken, 0 to backups.sync; with fewer it is refused with ERR_NOT_ENOUGH_BACKUPS.',
    ),
  backupTimeoutMs: z
    .int()
    .min(100)
    .max(600_000)
    .default(5_000)
    .describe('How long a write waits for a silent sync backup, 100 to 600,000 ms.'),
  onBackupTimeout: z
    .enum(['indeterminate', 'success'])
    .default('indeterminate')
    .describe(
      'What a write ends with when backupTimeoutMs has passed: ERR_INDETERMINATE, or success although a crash may lose it.',
    ),
};

/** Adds the rules between the common fields. */
export function withCommonRules<S extends z.ZodType<StructureOptions>>(schema: S): S {
  return schema.superRefine(({ minSynced, backups: { sync } }, context) => {
    if (minSynced <= sync) return;
    const message = `minSynced is ${minSynced}, but there are only ${sync} sync backups`;
    context.addIssue({ code: 'custom', path: ['minSynced'], message });
  });
}
