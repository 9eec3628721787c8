/**
 * The options that every structure has: how many backups it keeps, what a write waits for, and its preset. Each
 * structure's `options.ts` puts its own beside them; configuration refuses everything else.
 */
import { z } from 'zod';
import { DEFAULT_PRESET, PRESET_NAMES, type PresetName } from '../../src/policy/presets.js';
import { DEFAULT_MERGE_POLICY, MAX_POLICY_NAME, MERGE_POLICY_NAMES } from '../merge-policies.js';
import { isConsistent, type StructureOptions } from '../service.js';

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
  .enum(PRESET_NAMES)
  .optional()
  // Configuration has put the grid's preset into rows that have none; only what belongs to no grid gets here without.
  .transform((given): PresetName => given ?? DEFAULT_PRESET)
  .describe(
    'Preset: what holds when the network is partitioned, and else. Left out: that of the grid (option consistency). PC/EC and PC/EL need at least one sync backup.',
  );

const splitBrainProtection = z
  .string()
  .max(256)
  .default('')
  .describe(
    'Name of one of the splitBrainProtections: with fewer members than it asks for, calls are refused with ERR_SPLIT_BRAIN_PROTECTION. Empty: none.',
  );

/** The fields, for `z.strictObject({ ...commonOptions, ... })`. */
export const commonOptions = {
  consistency,
  backups,
  splitBrainProtection,
  mergePolicy: z
    .string()
    .min(1)
    .max(MAX_POLICY_NAME)
    .default(DEFAULT_MERGE_POLICY)
    .describe(
      `Of two values that both sides of a split gave one entry, which one stays: ${MERGE_POLICY_NAMES.join(', ')}, or the name of a registered merge function.`,
    ),
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
      'What a write ends with when backupTimeoutMs has passed: ERR_INDETERMINATE, or success although a crash may lose it (not with PC/EC and PC/EL).',
    ),
};

/** Adds the rules between the common fields. */
export function withCommonRules<S extends z.ZodType<StructureOptions>>(schema: S): S {
  return schema.superRefine((options, context) => {
    const refuse = (path: string[], message: string) => {
      context.addIssue({ code: 'custom', path, message });
    };
    const { minSynced, consistency: preset, backups: counts } = options;
    if (minSynced > counts.sync) {
      refuse(['minSynced'], `minSynced is ${minSynced}, but there are only ${counts.sync} sync backups`);
    }
    if (!isConsistent(options)) return;
    if (counts.sync === 0) {
      const why = 'the crash of one member would take acknowledged writes with it';
      refuse(
        ['backups', 'sync'],
        `0 does not go with ${preset}: ${why}; use 1 or more, or a PA preset for this structure`,
      );
    }
    if (options.onBackupTimeout === 'success') {
      const why = 'a write would be acknowledged that a crash can take back';
      refuse(
        ['onBackupTimeout'],
        `success does not go with ${preset}: ${why}; use indeterminate, or a PA preset for this structure`,
      );
    }
  });
}
