/**
 * `npm run demo`: three members as processes, the cities of the world in a map, a member killed with SIGKILL while
 * writes go on, and the account afterwards. Exit code 0 only if no acknowledged write is lost and the cluster is
 * safe again. `--entries <n>` loads fewer cities.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { murmur3, partitionOf } from '../partitions/hash.js';
import { type Client, connect, type GridMap } from '../src/index.js';
import { affinityBytes, encodeKey } from '../src/wire/keys.js';
import { type City, loadCities } from './cities.js';
import type { Roles } from './member-process.js';
import { MemberProcesses } from './member-processes.js';
import {
  bold,
  count,
  dim,
  green,
  histogram,
  progressBar,
  red,
  say,
  seconds,
  spread,
  step,
} from './screen.js';
import { findLost, Ledger, writeInGroups } from './writers.js';

const PARTITIONS = 271;
const LOAD_BATCH = 500;
const LOADS_IN_FLIGHT = 4;
const SAFE_TIMEOUT_MS = 30_000;
/** Writing goes on for this long before the kill, and after the last partition is back. */
const BEFORE_KILL_MS = 1_500;
const AFTER_RECOVERY_MS = 1_000;
const RECOVERY_TIMEOUT_MS = 15_000;

const { values } = parseArgs({ options: { entries: { type: 'string' } } });
process.exitCode = 1;
try {
  if (await demonstrate(Number(values.entries ?? Number.POSITIVE_INFINITY))) process.exitCode = 0;
} catch (error) {
  say(red(`\nthe demonstration failed: ${(error as Error).stack}`));
}

async function demonstrate(limit: number): Promise<boolean> {
  const cities = loadCities(limit);
  await using processes = new MemberProcesses(new URL('member-process.js', import.meta.url), {
    clusterName: 'demo',
    partitionCount: PARTITIONS,
    timings: 'local',
    logLevel: 'error',
  });
  step('1. Three members, each a process of its own; every entry on two of them');
  await processes.start(3);
  for (const { address, pid } of processes.members) say(`  ${address}  ${dim(`pid ${pid}`)}`);
  await using client = await connect({ clusterName: 'demo', members: processes.addresses });
  await client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });
  const map = client.getMap<number, City>('cities');

  step(`2. ${count(cities.size)} cities of the world go into a map`);
  await load(map, cities);
  await client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });

  step('3. Every partition is written to all the time, and the oldest member is killed');
  const ledger = new Ledger<number>(0);
  const killed = await writeThroughKill(processes, client, map, cities, ledger);

  step('4. What became of it');
  const problems = await findLost(map, cities.keys(), ledger, progressBar('reading', cities.size));
  return account(ledger, killed, cities.size, problems);
}

async function load(map: GridMap<number, City>, cities: ReadonlyMap<number, City>): Promise<void> {
  const entries = [...cities];
  const progress = progressBar('loading', entries.length);
  let [next, done] = [0, 0];
  const loader = async () => {
    while (next < entries.length) {
      const batch = entries.slice(next, next + LOAD_BATCH);
      next += batch.length;
      await map.setAll(batch);
      done += batch.length;
      progress(done);
    }
  };
  await Promise.all(Array.from({ length: LOADS_IN_FLIGHT }, loader));
}

interface Killed {
  readonly atMs: number;
  /** From the kill until the cluster was safe again. */
  readonly safeAfterMs: number;
  readonly roles: Roles;
}

async function writeThroughKill(
  processes: MemberProcesses,
  client: Client,
  map: GridMap<number, City>,
  cities: ReadonlyMap<number, City>,
  ledger: Ledger<number>,
): Promise<Killed> {
  let goesOn = true;
  const groups = byPartition(cities.keys());
  const makeValue = (id: number, version: number) => ({ ...(cities.get(id) as City), version });
  const writing = writeInGroups(map, groups, makeValue, ledger, () => goesOn);
  await sleep(BEFORE_KILL_MS);
  const [victim] = processes.members;
  if (victim === undefined) throw new Error('no member runs');
  const roles = await processes.roles(victim);
  const before = ledger.acknowledged;
  const atMs = performance.now();
  await processes.kill(victim);
  say(`  ${count(before)} writes acknowledged, then ${bold(`kill -9 ${victim.pid}`)} (${victim.address})`);
  say(
    dim(
      `  it was the primary of ${roles.primary.length} partitions and the backup of ${roles.backup.length}`,
    ),
  );
  await recovered(groups, ledger, atMs);
  await client.waitUntilSafe({ timeoutMs: SAFE_TIMEOUT_MS });
  const safeAfterMs = performance.now() - atMs;
  await sleep(AFTER_RECOVERY_MS);
  goesOn = false;
  await writing;
  say(`  ${count(ledger.acknowledged - before)} more while the others took over`);
  return { atMs, safeAfterMs, roles };
}

/** Every group has had a write acknowledged that the killed member can have had no part in. */
async function recovered(groups: ReadonlyMap<number, unknown>, ledger: Ledger<number>, atMs: number) {
  const deadlineMs = atMs + RECOVERY_TIMEOUT_MS;
  const isBack = (group: number) =>
    (ledger.acknowledgedMs.get(group)?.at(-1) ?? 0) > atMs + AFTER_RECOVERY_MS;
  while (![...groups.keys()].every(isBack)) {
    if (performance.now() > deadlineMs) throw new Error('some partitions did not come back');
    await sleep(50);
  }
}

function byPartition(ids: Iterable<number>): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const id of ids) {
    const partition = partitionOf(murmur3(affinityBytes(encodeKey(id))), PARTITIONS);
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [id]);
    else group.push(id);
  }
  return groups;
}

function account(
  ledger: Ledger<number>,
  killed: Killed,
  entries: number,
  problems: readonly string[],
): boolean {
  const { acknowledged, refused, indeterminate, resolved } = ledger;
  say(`  acknowledged   ${count(acknowledged)} writes`);
  say(`  refused        ${count(refused)}`);
  const found = `done ${resolved.done}, not done ${resolved['not done']}, unknown ${resolved.unknown}`;
  say(
    `  indeterminate  ${count(indeterminate)}${indeterminate === 0 ? '' : dim(`  resolve() said: ${found}`)}`,
  );
  for (const [reason, times] of [...ledger.reasons].slice(0, 3)) say(dim(`    ${times} times ${reason}`));
  const waits = (partitions: readonly number[]) =>
    partitions
      .filter((partition) => ledger.acknowledgedMs.has(partition))
      .map((partition) => ledger.longestWaitMs(partition, killed.atMs));
  const primary = waits(killed.roles.primary);
  say(`\n  Partitions that lost their primary: no write was acknowledged for`);
  say(`    ${bold(spread(primary))} ${dim(`(${primary.length} partitions, from the kill on)`)}`);
  for (const line of histogram(primary, 8)) say(line);
  say('  Partitions that lost their backup, which writes wait for:');
  say(`    ${spread(waits(killed.roles.backup))}`);
  const touched = new Set([...killed.roles.primary, ...killed.roles.backup]);
  say('  All others:');
  say(
    `    ${spread(waits([...ledger.acknowledgedMs.keys()].filter((partition) => !touched.has(partition))))}`,
  );
  say(`\n  Every entry is on two members again ${seconds(killed.safeAfterMs)} after the kill.`);
  const isLost = problems.length > 0;
  for (const problem of problems.slice(0, 10)) say(red(`  ${problem}`));
  const verdict = `${count(entries)} entries read, ${count(problems.length)} acknowledged writes lost`;
  say(isLost ? red(`\n${verdict}`) : green(`\n${verdict}`));
  return !isLost;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
