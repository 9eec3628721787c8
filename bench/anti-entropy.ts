/**
 * `node dist/bench/anti-entropy.js [--entries N] [--json FILE]`: what anti-entropy costs, on two members in this process
 * over real sockets. Entries are put straight into the replicas; some of those of one replica are tampered with. Two
 * cases: the entries spread over 271 partitions, and all in one. Prints a table and JSON; ends with 1 when a limit is
 * not kept.
 */
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { murmur3, partitionOf } from '../partitions/hash.js';
import { SERVICES } from '../partitions/services/index.js';
import { emptySum, lastHash } from '../partitions/store/digest.js';
import { BLANK_META } from '../partitions/store/record-layout.js';
import type { RecordStore } from '../partitions/store/record-store.js';
import type { Member } from '../src/member/member.js';
import { startCluster, type TestCluster } from '../src/testing.js';
import { encodeKey } from '../src/wire/keys.js';

const MAP = SERVICES[0].service;
const NAME = 'bench';
const VALUE_BYTES = 100;
const TAMPERED = 100;
/** Entries that are put between two turns of the event loop, which must go on for heartbeats. */
const BATCH = 2_000;

/** What the project promises of itself. */
const LIMITS = { movedBytes: 300_000, longestStepMs: 5, idleCpuMs: 50 };

interface Row {
  readonly partitions: number;
  readonly entries: number;
  /** All digests computed for the first time. */
  readonly buildMs: number;
  readonly idleMs: number;
  readonly idleBytes: number;
  /** Of the busier member: inside anti-entropy. */
  readonly idleCpuMs: number;
  /** Of the whole process, with both members, their sockets and heartbeats. */
  readonly idleProcessCpuMs: number;
  readonly tampered: number;
  readonly repaired: number;
  readonly isEqual: boolean;
  readonly repairMs: number;
  readonly movedBytes: number;
  readonly repairCpuMs: number;
  /** Longest time without a break inside anti-entropy of one member: build, idle round and repair. */
  readonly longestStepMs: number;
  /** Of the event loop that both members share, while repairing; with garbage collection and all else. */
  readonly loopDelayMs: number;
}

/** Time that anti-entropy of one member takes. */
class Meter {
  cpuMs = 0;
  longestMs = 0;

  constructor(member: Member) {
    const { antiEntropy } = member.node.replication;
    const { tick, receive } = antiEntropy;
    antiEntropy.tick = (...args) => this.#run(() => tick.apply(antiEntropy, args));
    antiEntropy.receive = (...args) => this.#run(() => receive.apply(antiEntropy, args));
  }

  #run<T>(fn: () => T): T {
    const beganMs = performance.now();
    const began = process.cpuUsage();
    const result = fn();
    const { user, system } = process.cpuUsage(began);
    // Of the two clocks the one counts that what else the machine does has touched less.
    const tookMs = Math.min(performance.now() - beganMs, (user + system) / 1000);
    this.cpuMs += tookMs;
    this.longestMs = Math.max(this.longestMs, tookMs);
    return result;
  }
}

const META = { ...BLANK_META, ms: 1_700_000_000_000, memberHi: 1, memberLo: 2 };

function someValue(i: number): Buffer {
  const value = Buffer.alloc(VALUE_BYTES, 0x61);
  value.writeUInt32LE(i);
  value.writeUInt32LE(Math.imul(i, 0x9e3779b1) >>> 0, 50);
  return value;
}

/** Stores of a partition, primary first. */
function storesOf(cluster: TestCluster, partition: number): RecordStore[] {
  const replicas = cluster.members[0]?.node.view?.table[partition]?.replicas ?? [];
  return replicas.map(({ member }) => {
    const { node } = cluster.members.find(({ id }) => id === member) as Member;
    const { digested } = node.replication.replica(partition).state(MAP, NAME);
    return (digested as { store: RecordStore }).store;
  });
}

async function load(cluster: TestCluster, partitions: number, entries: number): Promise<RecordStore[][]> {
  const stores = Array.from({ length: partitions }, (_, partition) => storesOf(cluster, partition));
  for (let i = 0; i < entries; i++) {
    const key = encodeKey(`key-${i}`);
    const hash = murmur3(key);
    const value = someValue(i);
    for (const store of stores[partitionOf(hash, partitions)] as RecordStore[])
      store.put(hash, key, value, META);
    if (i % BATCH === 0) await turn();
  }
  return stores;
}

/** Values that are wrong, entries that are gone and others that nobody put, all in backups. */
function tamper(stores: RecordStore[][], partitions: number, entries: number): void {
  for (let n = 0; n < TAMPERED; n++) {
    const kind = n % 3;
    const i = kind === 2 ? entries + n : Math.floor(((n + 0.5) * entries) / TAMPERED);
    const key = encodeKey(`key-${i}`);
    const hash = murmur3(key);
    const backup = stores[partitionOf(hash, partitions)]?.[1] as RecordStore;
    if (kind === 1) backup.remove(backup.find(hash, key));
    else backup.put(hash, key, Buffer.from(`tampered ${n}`), META);
  }
}

async function areEqual(stores: RecordStore[][]): Promise<boolean> {
  for (const pair of stores) {
    const roots = pair.map((store) => {
      const sum = emptySum();
      store.sumRange(0, lastHash(0, 0), sum);
      return `${sum.lo | 0}/${sum.hi | 0}/${sum.records}`;
    });
    await turn();
    if (new Set(roots).size !== 1) return false;
  }
  return true;
}

function counted(cluster: TestCluster, name: 'antiEntropyBytes' | 'entriesRepaired'): number {
  return cluster.members.reduce((sum, { node }) => sum + node.replication.counters[name], 0);
}

/** One round of every member; how long it took. */
async function round(cluster: TestCluster): Promise<number> {
  const beganMs = performance.now();
  const before = cluster.members.map(({ node }) => node.replication.antiEntropy.rounds);
  for (const { node } of cluster.members) node.replication.antiEntropy.soon();
  const isDone = () =>
    cluster.members.every(({ node }, i) => node.replication.antiEntropy.rounds > (before[i] as number));
  while (!isDone()) await sleep(5);
  return performance.now() - beganMs;
}

async function measure(partitions: number, entries: number): Promise<Row> {
  const cluster = await startCluster({
    members: 2,
    member: {
      partitionCount: partitions,
      timings: 'lan',
      antiEntropy: { intervalMs: 86_400_000, scrubIntervalMs: 0 },
      maps: { [NAME]: { backups: { sync: 1, async: 0 } } },
    },
  });
  try {
    const stores = await load(cluster, partitions, entries);
    const meters = cluster.members.map((member) => new Meter(member));
    const cpu = () => Math.max(...meters.map(({ cpuMs }) => cpuMs));
    const resetCpu = () => {
      for (const meter of meters) meter.cpuMs = 0;
    };
    const buildMs = await round(cluster);
    await round(cluster);

    resetCpu();
    const idleFrom = counted(cluster, 'antiEntropyBytes');
    const processCpu = process.cpuUsage();
    const idleMs = await round(cluster);
    const { user, system } = process.cpuUsage(processCpu);
    const idleCpuMs = cpu();
    const idleBytes = counted(cluster, 'antiEntropyBytes') - idleFrom;

    tamper(stores, partitions, entries);
    resetCpu();
    const repairFrom = counted(cluster, 'antiEntropyBytes');
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const repairMs = await round(cluster);
    delay.disable();
    return {
      partitions,
      entries,
      buildMs,
      idleMs,
      idleBytes,
      idleCpuMs,
      idleProcessCpuMs: (user + system) / 1000,
      tampered: TAMPERED,
      repaired: counted(cluster, 'entriesRepaired'),
      repairMs,
      movedBytes: counted(cluster, 'antiEntropyBytes') - repairFrom,
      repairCpuMs: cpu(),
      longestStepMs: Math.max(...meters.map(({ longestMs }) => longestMs)),
      loopDelayMs: delay.max / 1e6,
      isEqual: await areEqual(stores),
    };
  } finally {
    await cluster.shutdown();
  }
}

function isKept(row: Row): boolean {
  return (
    row.isEqual &&
    row.repaired === row.tampered &&
    row.movedBytes < LIMITS.movedBytes &&
    row.longestStepMs <= LIMITS.longestStepMs &&
    row.idleCpuMs < LIMITS.idleCpuMs
  );
}

function print(rows: readonly Row[]): void {
  const names = Object.keys(rows[0] as Row) as (keyof Row)[];
  for (const name of names) {
    const cells = rows.map((row) => {
      const value = row[name];
      return (typeof value === 'number' ? String(Math.round(value * 100) / 100) : String(value)).padStart(12);
    });
    console.log(`${name.padEnd(18)}${cells.join('')}`);
  }
  console.log(`\nlimits: ${JSON.stringify(LIMITS)}; kept: ${rows.every(isKept)}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { entries: { type: 'string' }, json: { type: 'string' } } });
  const entries = Number(values.entries ?? 1_000_000);
  if (!Number.isInteger(entries) || entries < TAMPERED)
    throw new RangeError('--entries: a whole number from 100 on');
  const rows: Row[] = [];
  for (const partitions of [271, 1]) rows.push(await measure(partitions, entries));
  print(rows);
  const json = `${JSON.stringify({ limits: LIMITS, rows }, null, 2)}\n`;
  if (values.json === undefined) console.log(`\n${json}`);
  else writeFileSync(values.json, json);
  if (!rows.every(isKept)) process.exitCode = 1;
}

await main();
