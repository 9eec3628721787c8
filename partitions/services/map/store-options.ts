/** The option `store` of a map: which store it has, and how. Part of the options of a map; see docs/mapstore.md. */
import { z } from 'zod';

const MAX_MS = 3_600_000;

const ms = (least: number, fallback: number, text: string) =>
  z.int().min(least).max(MAX_MS).default(fallback).describe(`${text}, ${least} to 3,600,000 ms.`);

export const storeOptions = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(256)
    .describe('Name under which the store is registered at every member: registry.mapStore(name, store).'),
  mode: z
    .enum(['read-through', 'write-through', 'write-behind'])
    .default('write-through')
    .describe(
      'read-through: the store is only read, for keys that are not in memory. write-through: it is read, and has each write before the call is answered. write-behind: it is read, and gets writes later, in batches.',
    ),
  delayMs: z
    .int()
    .min(0)
    .max(MAX_MS)
    .default(1_000)
    .describe('Write-behind: how long after a write the store gets it, 0 to 3,600,000 ms.'),
  batchSize: z
    .int()
    .min(1)
    .max(10_000)
    .default(500)
    .describe('Keys in one call of storeAll, deleteAll or loadAll, 1 to 10,000.'),
  coalescing: z
    .boolean()
    .default(true)
    .describe('Write-behind: of several writes of a key the store gets the last one; false: all, in order.'),
  maxPending: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(100_000)
    .describe(
      'Writes of the map that the store does not have yet, at one member as their primary; a call that would bring more is refused with ERR_STORE_OVERLOAD, which is tried again until the deadline of the call, and with ERR_STORE_FAILED when it brings more by itself.',
    ),
  concurrency: z
    .int()
    .min(1)
    .max(1_000)
    .default(16)
    .describe('Calls of the store by one member at a time for writes, and as many for loads, 1 to 1,000.'),
  timeoutMs: ms(1, 5_000, 'How long a call of the store may take; it must have no effect later than that'),
  maxAttempts: z
    .int()
    .min(1)
    .max(1_000)
    .default(5)
    .describe(
      'Write-behind: so often a write is tried that the store refuses while it takes others; then it is set aside.',
    ),
  backoffMs: ms(1, 100, 'Pause after a write that the store refused; each further one is twice as long'),
  maxBackoffMs: ms(1, 10_000, 'The longest such pause'),
  initialLoad: z
    .enum(['lazy', 'eager'])
    .default('lazy')
    .describe(
      'eager: when the cluster starts, all keys of the store are loaded. lazy: each when it is asked for.',
    ),
  writeInFork: z
    .boolean()
    .default(false)
    .describe(
      'Whether a side of a split without the majority writes to the store. false: write-behind keeps its writes until the heal, write-through refuses them.',
    ),
});

export type StoreOptions = z.output<typeof storeOptions>;
