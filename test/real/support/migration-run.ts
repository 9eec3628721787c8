/**
 * One large partition that goes to a new member while a client writes to it all the time: no write is refused, and
 * few bytes of the copy are on their way at any moment. The same run for the quick tests and those of the system.
 */
import { expect } from 'vitest';
import { startCluster } from '../../../src/testing.js';

const MIB = 1024 * 1024;
const MAX_IN_FLIGHT_BYTES = 4 * MIB;
const WRITERS = 8;
const LOAD_BATCH_BYTES = 4 * MIB;

export interface MigrationOutcome {
  readonly copyMs: number;
  readonly peakInFlightMiB: number;
  readonly writesMeanwhile: number;
}

export async function growWhileWriting(partitionMiB: number): Promise<MigrationOutcome> {
  await using cluster = await startCluster({
    members: 1,
    member: { partitionCount: 1, timings: { preset: 'local', suspicionMs: 5_000 } },
  });
  const { client } = cluster;
  const map = client.getMap<string, Buffer>('large');
  const keys = await load(map, partitionMiB * MIB);
  const [primary] = cluster.members;
  let peakBytes = 0;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, primary?.node.replication.copies.inFlightBytes ?? 0);
  }, 1);

  let goesOn = true;
  const problems: string[] = [];
  const last = new Map<string, number>();
  let writes = 0;
  const writer = async (number: number) => {
    for (let round = 0; goesOn; round++) {
      const key = keys[(number + round * WRITERS * 7) % keys.length] as string;
      if (Number(key) % WRITERS !== number) continue;
      const mark = (round % 255) + 1;
      await map.set(key, Buffer.alloc(sizeOf(Number(key)), mark)).then(
        () => last.set(key, mark),
        (error: Error) => problems.push(`${key}: ${error.message}`),
      );
      writes++;
    }
  };
  const writing = Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)));
  const startMs = performance.now();
  await cluster.add();
  const copyMs = performance.now() - startMs;
  goesOn = false;
  await writing;
  clearInterval(sampler);
  expect(problems, 'writes that were not acknowledged').toEqual([]);
  expect(writes).toBeGreaterThan(0);
  expect(peakBytes).toBeGreaterThan(0);
  expect(peakBytes).toBeLessThanOrEqual(MAX_IN_FLIGHT_BYTES);

  // When the first one leaves, the new member alone has everything, each entry as it was written last.
  await primary?.shutdown();
  expect(await map.size()).toBe(keys.length);
  for (const [key, mark] of last) expect((await map.get(key))?.[0], key).toBe(mark);
  return { copyMs, peakInFlightMiB: peakBytes / MIB, writesMeanwhile: writes };
}

/** From 1 to 100 KiB. */
function sizeOf(number: number): number {
  return 1024 * (1 + ((number * 37) % 100));
}

async function load(
  map: { setAll(entries: Iterable<readonly [string, Buffer]>): Promise<void> },
  totalBytes: number,
): Promise<string[]> {
  const keys: string[] = [];
  let batch: [string, Buffer][] = [];
  let [loadedBytes, batchBytes] = [0, 0];
  while (loadedBytes < totalBytes) {
    const sizeBytes = sizeOf(keys.length);
    batch.push([String(keys.length), Buffer.alloc(sizeBytes)]);
    keys.push(String(keys.length));
    loadedBytes += sizeBytes;
    batchBytes += sizeBytes;
    if (batchBytes < LOAD_BATCH_BYTES && loadedBytes < totalBytes) continue;
    await map.setAll(batch);
    [batch, batchBytes] = [[], 0];
  }
  return keys;
}
