/**
 * The options of a member: `startMember(options)`, the configuration file, environment variables and flags all
 * give these, under the same names. One place says type, default, limits and meaning of each; the schema file,
 * the reference page, `config diff` and the environment's names are made from it.
 * Invariant: what `memberConfig` returns is complete and valid, so nobody after it checks or fills in anything.
 */
import { z } from 'zod';
import { addressSchema } from './config/address.js';
import { withGridPreset } from './config/inherit.js';
import { nearCachesSchema } from './config/near-caches.js';
import { type Locate, parseOptions } from './config/problems.js';
import { protectionsSchema, unknownProtections } from './config/protection.js';
import { STRUCTURES, type StructureConfigs, type StructureInputs } from './config/structures.js';
import { timingsSchema } from './config/timings.js';
import { DEFAULT_PRESET, PRESET_NAMES } from './policy/presets.js';

const MIB = 1024 * 1024;

const bytes = (leastBytes: number) => z.int().min(leastBytes).max(Number.MAX_SAFE_INTEGER);

const limitsSchema = z
  .strictObject({
    maxConnections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe('Connections of members and clients that a member accepts; one more is refused.'),
    logBytes: bytes(MIB)
      .default(256 * MIB)
      .describe(
        'Bytes of the replication log of a member: what backups may still ask for. A backup that falls further behind gets a copy of its partition instead.',
      ),
    outboxBytes: bytes(MIB)
      .default(256 * MIB)
      .describe('Bytes that wait for one slow peer or client; beyond it the connection is dropped.'),
  })
  .prefault({})
  .describe('Bounds of what a member keeps in memory beside its data.');

const antiEntropySchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether this member compares the partitions that it is primary of with their backups.'),
    intervalMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(30_000)
      .describe('From the start of one comparison of everything to the next.'),
    maxCpuShare: z
      .number()
      .min(0.001)
      .max(1)
      .default(0.05)
      .describe(
        'Share of one processor core that comparing and scrubbing may take. Less: a round takes longer.',
      ),
    maxBytesPerSecond: bytes(16 * 1024)
      .default(4 * MIB)
      .describe('Bytes a second that one member sends for it, repairs included.'),
    scrubIntervalMs: z
      .int()
      .min(0)
      .max(604_800_000)
      .default(3_600_000)
      .describe(
        'In this time everything in memory is read once and compared with its digests, to find memory that changed by itself; 0 turns it off.',
      ),
  })
  .prefault({})
  .describe(
    'Comparing replicas in the background: a backup that differs from its primary is found and repaired from it.',
  );

const groundSchema = z.strictObject({
  clusterName: z
    .string()
    .min(1)
    .max(64)
    .default('dev')
    .describe('Members and clients of another cluster name are refused.'),
  host: z
    .string()
    .min(1)
    .max(255)
    .default('127.0.0.1')
    .describe('Address of the network interface to listen at; 0.0.0.0 for all. Default: this machine only.'),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(5701)
    .describe('Port for members, clients and health; 0 takes a free one.'),
  advertisedAddress: addressSchema
    .optional()
    .describe(
      'The host:port at which others reach this member, when it is not host and port themselves (0.0.0.0, containers, address translation).',
    ),
  join: z
    .array(addressSchema)
    .max(1_000)
    .default([])
    .describe(
      'Addresses (host:port) of members, running or not; one that answers is enough, and its own address may be among them. When none answers, the member founds a cluster.',
    ),
  partitionCount: z
    .int()
    .min(1)
    .max(20_000)
    .default(271)
    .describe(
      'Partitions of the cluster; the same on every member and fixed for its life. An odd, better a prime number; about 50 per member or more.',
    ),
  consistency: z
    .enum(PRESET_NAMES)
    .default(DEFAULT_PRESET)
    .describe(
      'Preset of all structures that name none: what holds when the network is partitioned, and else. Consistent (PC) structures are served only in a cluster that was founded by order (option founds).',
    ),
  splitBrainProtections: protectionsSchema,
  timings: timingsSchema,
  founds: z
    .boolean()
    .default(false)
    .describe(
      'When this member finds no cluster and founds one, it is founded by order: consistent (PC) structures are served in it. Give it once, at the first start of a cluster; two clusters that were both founded by order refuse each other.',
    ),
  partitionLossTimeoutMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(60_000)
    .describe(
      'How long a partition without a synced replica waits for one of its last holders before it starts empty. Shorter: available sooner; longer: a holder that comes back saves the data.',
    ),
  forkRetentionMs: z
    .int()
    .min(1_000)
    .max(604_800_000)
    .default(600_000)
    .describe(
      'How long the marks of removed entries are kept. Longer: replicas that were away longer learn of removals; shorter: less memory.',
    ),
  mergeReportMaxBytes: bytes(MIB)
    .default(256 * MIB)
    .describe(
      'Bytes of the entries of merge reports that nobody has acknowledged, shared out evenly among the partitions. Beyond it a report has counts and hashes of keys only, and says so (truncated).',
    ),
  leaveTimeoutMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(60_000)
    .describe(
      'How long a graceful leave may take to hand over all data, or to tell stores of maps what they lack when nobody stays; then it fails with ERR_LEAVE_TIMEOUT.',
    ),
  sessionTtlMs: z
    .int()
    .min(10_000)
    .max(86_400_000)
    .default(300_000)
    .describe(
      'How long a silent client is remembered. A retry of one of its calls that arrives later is answered as indeterminate.',
    ),
  lockHolderTimeoutMs: z
    .int()
    .min(3_000)
    .max(86_400_000)
    .default(30_000)
    .describe(
      'A client of which the primary of a lock has heard nothing for so long counts as dead, and its locks of keys are released, and items of queues that it has not acknowledged come back; a client that shuts down, and a member that is removed, give all of that back at once.',
    ),
  nearCaches: nearCachesSchema,
  antiEntropy: antiEntropySchema,
  limits: limitsSchema,
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Log lines below this level are dropped. Logs are JSON lines on stderr.'),
  modules: z
    .array(z.string().min(1).max(4_096))
    .max(1_000)
    .default([])
    .describe(
      'Paths of ES modules that start loads before the member (flag --load). The default export is a function, which is called with the registry: registry.mergeFunction(name, function) adds a merge policy, registry.mapStore(name, store) a store of maps, registry.entryProcessor(name, function) and registry.function(name, function) what maps and atomic longs run by name, registry.serializer({ encode, decode }) the encoding of values, registry.onStart(function) runs code once the member is in a cluster.',
    ),
});

const structurePattern = z
  .string()
  .min(1)
  .max(256)
  .superRefine((pattern, context) => {
    if (new TextEncoder().encode(pattern).length <= 256) return;
    context.addIssue({ code: 'custom', message: 'a name or pattern has at most 256 bytes' });
  });

function structuresOf(service: string, options: z.ZodType) {
  return z
    .record(structurePattern, options)
    .default({})
    .superRefine((rows, context) => {
      if (!Object.hasOwn(rows, 'default') || !Object.hasOwn(rows, '*')) return;
      context.addIssue({
        code: 'custom',
        path: ['*'],
        message: 'default and * mean the same; keep one of them',
      });
    })
    .describe(
      `Options of each ${service} by name or pattern (* stands for any text). The row that fits most specifically counts, alone: the exact name, then the pattern with most literal characters, then the first. The key default (or *) is for names that nothing else fits.`,
    );
}

/** Every option of a member. Parse with `parseMember`, which words the problems. */
export const memberSchema = z
  .strictObject({
    ...groundSchema.shape,
    ...Object.fromEntries(
      STRUCTURES.map((kind) => [kind.configKey, structuresOf(kind.service, kind.options)] as const),
    ),
  })
  .superRefine((config, context) => {
    for (const { path, reason } of unknownProtections(config)) {
      context.addIssue({ code: 'custom', path: [...path], message: reason });
    }
  });

/** What `startMember` takes: everything is optional. */
export type MemberOptions = z.input<typeof groundSchema> & StructureInputs;

/** Complete and valid options of a member. */
export type MemberConfig = z.output<typeof groundSchema> & StructureConfigs;

/** Checks the options and fills in the defaults; throws one `ConfigError` that lists every problem. */
export function memberConfig(options: MemberOptions = {}): MemberConfig {
  return parseMember(options);
}

/** The same for options that nobody has typed: those of a file, for example. `locate` says where a value is from. */
export function parseMember(options: unknown, locate?: Locate): MemberConfig {
  return parseOptions(memberSchema, withGridPreset(options), locate) as unknown as MemberConfig;
}
