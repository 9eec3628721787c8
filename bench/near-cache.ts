/**
 * `node dist/bench/near-cache.js [--seconds N] [--json FILE]`: what a near cache gains and what it promises, on three
 * member processes. First a hit beside a plain `Map` behind an async function and beside a get that goes to a member, by
 * turns in one run. Then ten clients that read 10,000 keys from their near caches while another process writes 1,000 times a
 * second: how old hits really were, by unique values and one clock, beside the age that each was promised to have at the
 * most. Ends with 1 when a limit is not kept.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Client } from '../client/api.js';
import { connect } from '../client/index.js';
import type { GridMap } from '../partitions/services/map/proxy.js';
import { Children } from './children.js';
import type { WriterReport, Written } from './near-writer.js';
import { percentile } from './percentile.js';

const MEMBERS = 3;
const CLIENTS = 10;
const KEYS = 10_000;
const WRITES_PER_SECOND = 1_000;
const MAX_STALENESS_MS = 1_000;
/** Reads of one client in a row, and the pause between two rows: some thousand reads a second. */
const BATCH = 20;
const PAUSE_MS = 5;

/** Reads that are timed together. */
const HITS = 50_000;

/** What the project promises of itself. */
const LIMITS = { hitToMap: 4, remoteToHit: 100, p99StaleMs: 50 };

interface Cost {
  readonly mapNs: number;
  readonly hitNs: number;
  readonly remoteNs: number;
}

interface Staleness {
  readonly hits: number;
  readonly reads: number;
  readonly writes: number;
  readonly staleHits: number;
  readonly truthMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly boundMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Hits that were older than they were promised to be. */
  readonly beyondBound: number;
}

/** One read: which value, when, and how old it was promised to be at the most. */
interface Hit {
  readonly key: number;
  readonly value: number;
  readonly atMs: number;
  readonly boundMs: number;
}

/** Of this machine, the same for all processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Ns for each. Of the two clocks the one counts that what else the machine does has touched less. */
async function timed(count: number, one: (i: number) => Promise<unknown>): Promise<number> {
  const began = process.hrtime.bigint();
  const beganCpu = process.cpuUsage();
  for (let i = 0; i < count; i++) await one(i);
  const { user, system } = process.cpuUsage(beganCpu);
  return Math.min(Number(process.hrtime.bigint() - began), (user + system) * 1000) / count;
}

/** A call that waits for others: by the clock on the wall. */
async function latency(count: number, one: (i: number) => Promise<unknown>): Promise<number> {
  const began = process.hrtime.bigint();
  for (let i = 0; i < count; i++) await one(i);
  return Number(process.hrtime.bigint() - began) / count;
}

function median(values: readonly number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** By turns, so that a machine that slows down does it to all three. */
async function costs(client: Client, rounds: number): Promise<Cost> {
  const map = client.getMap<string, { id: number }>('costs');
  const keys = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
  await map.putAll(keys.map((key, id) => [key, { id }] as const));
  const plain = new Map(keys.map((key, id) => [key, { id }]));
  const local = async (key: string) => plain.get(key);
  const strict = map.with({ consistency: 'EC' });
  const keyAt = (i: number) => keys[i % keys.length] as string;
  await warm(map, keys);
  const all = { map: [] as number[], hit: [] as number[], remote: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    all.map.push(await timed(HITS, (i) => local(keyAt(i))));
    await warm(map, keys);
    const before = map.getNearCacheStats()?.hits ?? 0;
    all.hit.push(await timed(HITS, (i) => map.get(keyAt(i))));
    const hits = (map.getNearCacheStats()?.hits ?? 0) - before;
    if (hits < 0.99 * HITS)
      throw new Error(`only ${hits} of ${HITS} reads were hits: something else would be measured`);
    all.remote.push(await latency(500, (i) => strict.get(keyAt(i))));
  }
  return { mapNs: median(all.map), hitNs: median(all.hit), remoteNs: median(all.remote) };
}

async function warm(map: GridMap<string, unknown>, keys: readonly string[]): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const before = map.getNearCacheStats()?.hits ?? 0;
    for (const key of keys) await map.get(key);
    if ((map.getNearCacheStats()?.hits ?? 0) - before === keys.length) return;
    await sleep(20);
  }
  throw new Error('the near cache does not keep what it reads');
}

async function staleness(
  clients: readonly Client[],
  addresses: string[],
  seconds: number,
): Promise<Staleness> {
  const maps = clients.map((client) => client.getMap<number, number>('sessions'));
  const keys = Array.from({ length: KEYS }, (_, key) => key);
  await maps[0]?.putAll(keys.map((key) => [key, 0] as const));
  for (const map of maps) {
    await map.get(0);
    await sleep(50);
    await map.getAll(keys);
  }
  const children = new Children(null);
  let report: WriterReport | null = null;
  const argument = { addresses, keys: KEYS, perSecond: WRITES_PER_SECOND, seconds };
  await children.start<WriterReport | 'writing'>('near-writer', argument, (message) => {
    if (message !== 'writing') report = message;
  });
  const hits: Hit[] = [];
  let reads = 0;
  const isRunning = () => report === null;
  await Promise.all(
    maps.map(async (map, client) => {
      for (let i = 0; isRunning(); i++) {
        // Some keys are read more than others, as in life.
        const key = Math.floor(KEYS * ((i * 0.6180339887 + client * 0.1) % 1) ** 2);
        const { value, source, ageMs } = await map.getWithMeta(key);
        reads++;
        if (source === 'nearCache' && value !== null)
          hits.push({ key, value, atMs: machineMs(), boundMs: ageMs });
        if (i % BATCH === 0) await sleep(PAUSE_MS);
      }
    }),
  );
  await children.end();
  return judged(hits, (report as unknown as WriterReport).written, reads);
}

/** How long ago the first write was acknowledged that a hit did not show. */
function judged(hits: readonly Hit[], written: readonly Written[], reads: number): Staleness {
  const byKey = new Map<number, Written[]>();
  for (const write of written) {
    const list = byKey.get(write[0]);
    if (list === undefined) byKey.set(write[0], [write]);
    else list.push(write);
  }
  const truth: number[] = [];
  let staleHits = 0;
  let beyondBound = 0;
  for (const { key, value, atMs, boundMs } of hits) {
    const missed = byKey.get(key)?.find(([, number, ackMs]) => number > value && ackMs < atMs);
    const staleMs = missed === undefined ? 0 : atMs - missed[2];
    if (staleMs > 0) staleHits++;
    // The clock of the member and the way of the answer are in the bound; a tenth of a millisecond is the reading of clocks.
    if (staleMs > boundMs + 0.1) beyondBound++;
    truth.push(staleMs);
  }
  const bounds = hits.map(({ boundMs }) => boundMs);
  return {
    hits: hits.length,
    reads,
    writes: written.length,
    staleHits,
    truthMs: spread(truth),
    boundMs: spread(bounds),
    beyondBound,
  };
}

function spread(values: number[]) {
  values.sort((a, b) => a - b);
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: percentile(values, 1) };
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '15' },
    json: { type: 'string' },
  },
});

const children = new Children(null);
const addresses: string[] = [];
for (let i = 0; i < MEMBERS; i++)
  addresses.push(await children.start<string>('near-member', { join: [...addresses] }));
const nearCaches = { '*': { maxEntries: KEYS, maxStalenessMs: MAX_STALENESS_MS } };
const clients = await Promise.all(
  Array.from({ length: CLIENTS }, () => connect({ members: addresses, nearCaches })),
);
await clients[0]?.waitUntilSafe({ timeoutMs: 30_000 });
const cost = await costs(clients[0] as Client, Number(values.rounds));
const stale = await staleness(clients, addresses, Number(values.seconds));
await Promise.all(clients.map((client) => client.shutdown()));
await children.end();

const hitToMap = cost.hitNs / cost.mapNs;
const remoteToHit = cost.remoteNs / cost.hitNs;
const ms = (value: number) => value.toFixed(1).padStart(8);
process.stdout.write(`A read, ns, median of ${values.rounds} rounds by turns
  Map.get behind an async function   ${cost.mapNs.toFixed(0).padStart(8)}
  near-cache hit                     ${cost.hitNs.toFixed(0).padStart(8)}   ${hitToMap.toFixed(1)} times as much (limit ${LIMITS.hitToMap})
  get from a member, 1 in flight     ${cost.remoteNs.toFixed(0).padStart(8)}   ${remoteToHit.toFixed(0)} times a hit (limit ${LIMITS.remoteToHit})

${CLIENTS} clients, ${KEYS} keys, ${stale.writes} writes in ${values.seconds} s, ${stale.reads} reads, ${stale.hits} of them hits
  ms                        p50      p99      max
  true staleness       ${ms(stale.truthMs.p50)} ${ms(stale.truthMs.p99)} ${ms(stale.truthMs.max)}   (p99 limit ${LIMITS.p99StaleMs}; ${stale.staleHits} hits were stale at all)
  promised at the most ${ms(stale.boundMs.p50)} ${ms(stale.boundMs.p99)} ${ms(stale.boundMs.max)}   (maxStalenessMs ${MAX_STALENESS_MS})
  hits beyond their promise: ${stale.beyondBound}
`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ cost, stale, LIMITS }, null, 2)}\n`);
const isKept =
  hitToMap <= LIMITS.hitToMap &&
  remoteToHit >= LIMITS.remoteToHit &&
  stale.truthMs.p99 < LIMITS.p99StaleMs &&
  stale.beyondBound === 0 &&
  stale.boundMs.max <= MAX_STALENESS_MS;
process.exitCode = isKept ? 0 : 1;
