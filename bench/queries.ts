/**
 * `node dist/bench/queries.js [--entries N] [--rounds N] [--json FILE]`: what an index is worth, on three member processes with
 * the cities of the demonstration. The same query (all cities of one country, with less than 0.5 % of the entries) on two maps
 * with the same contents, one with an index and one without, by turns in one run. Ends with 1 when a limit is not kept.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type City, loadCities } from '../demo/cities.js';
import { connect, type GridMap, Predicates } from '../src/index.js';
import { Children } from './children.js';
import { percentile } from './percentile.js';
import type { MemberTask } from './server-member.js';

const MEMBERS = 3;
const BATCH = 5_000;
const WARM_UP = 30;
/** What the project promises of itself. */
const LIMITS = { matchedPart: 0.005, visitedPart: 0.01, scanToIndex: 20 };

type Cities = GridMap<number, City>;

interface Costs {
  readonly found: number;
  readonly visited: number;
  readonly medianMs: number;
}

async function fill(map: Cities, cities: ReadonlyMap<number, City>): Promise<void> {
  const all = [...cities];
  for (let from = 0; from < all.length; from += BATCH) await map.putAll(all.slice(from, from + BATCH));
}

/** The country with most cities of those that have few enough. */
function rareCountry(cities: ReadonlyMap<number, City>): string {
  const counts = new Map<string, number>();
  for (const { country } of cities.values()) counts.set(country, (counts.get(country) ?? 0) + 1);
  const few = [...counts].filter(([, count]) => count < cities.size * LIMITS.matchedPart);
  const [best] = few.sort(([, a], [, b]) => b - a);
  if (best === undefined) throw new Error('there are too few entries for this benchmark');
  return best[0];
}

async function onceMs(map: Cities, country: string, wanted: number): Promise<number> {
  const began = process.hrtime.bigint();
  const found = await map.entrySetWithPredicate(Predicates.equal('country', country));
  const ms = Number(process.hrtime.bigint() - began) / 1e6;
  if (found.length !== wanted || found.some(([, city]) => city.country !== country))
    throw new Error(`a query found ${found.length} cities of ${wanted}`);
  return ms;
}

async function costsOf(map: Cities, country: string, times: readonly number[]): Promise<Costs> {
  const { matched, visited } = await map.explainQuery(Predicates.equal('country', country));
  const sorted = [...times].sort((a, b) => a - b);
  return { found: matched, visited, medianMs: percentile(sorted, 0.5) };
}

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '40' },
    json: { type: 'string' },
  },
});
const cities = loadCities(Number(values.entries));
const country = rareCountry(cities);
const wanted = [...cities.values()].filter((city) => city.country === country).length;

const children = new Children(null);
const addresses: string[] = [];
for (let i = 0; i < MEMBERS; i++) {
  const task: MemberTask = { clusterName: 'queries', join: [...addresses], syncBackups: 1 };
  addresses.push((await children.start<{ address: string }>('server-member', task)).address);
}
const client = await connect({ clusterName: 'queries', members: addresses, timeoutMs: 60_000 });
await client.waitUntilSafe({ timeoutMs: 60_000 });
const plain = client.getMap<number, City>('cities');
const indexed = client.getMap<number, City>('cities-indexed');
for (const map of [plain, indexed]) await fill(map, cities);
await indexed.addIndex({ attributes: ['country'], type: 'HASH' });

const times = { scan: [] as number[], index: [] as number[] };
// The first rounds warm up what compiles code: one with the index runs far less of it than a scan.
for (let round = -WARM_UP; round < Number(values.rounds); round++) {
  const [scan, index] = [await onceMs(plain, country, wanted), await onceMs(indexed, country, wanted)];
  if (round < 0) continue;
  times.scan.push(scan);
  times.index.push(index);
}
const scan = await costsOf(plain, country, times.scan);
const index = await costsOf(indexed, country, times.index);
await client.shutdown();
await children.end();

const part = (count: number) => count / cities.size;
const percent = (count: number) => `${(100 * part(count)).toFixed(2)} %`;
const scanToIndex = scan.medianMs / index.medianMs;
const row = (name: string, { found, visited, medianMs }: Costs) =>
  `  ${name.padEnd(10)}${String(found).padStart(8)}${String(visited).padStart(10)}  ${percent(visited).padStart(9)}${medianMs.toFixed(2).padStart(10)} ms\n`;
process.stdout.write(`${cities.size} cities on ${MEMBERS} member processes; country = '${country}', which ${percent(wanted)} match; medians of ${values.rounds} rounds by turns

               found   visited                median
${row('scan', scan)}${row('index', index)}
  the index is ${scanToIndex.toFixed(1)} times as fast (limit ${LIMITS.scanToIndex}) and visits ${percent(index.visited)} (limit ${100 * LIMITS.visitedPart} %)
`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ scan, index, times, LIMITS }, null, 2)}\n`);
const isKept =
  part(wanted) < LIMITS.matchedPart &&
  part(index.visited) < LIMITS.visitedPart &&
  scanToIndex >= LIMITS.scanToIndex;
process.exitCode = isKept ? 0 : 1;
