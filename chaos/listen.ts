/**
 * Listeners beside a workload: of clients, of one-member routing, of members, of one key, some of them cut off for a while;
 * and their verdict. The same for the suite of crashes and that of splits. Called by the runners.
 */
import type { Client } from '../client/api.js';
import type { Grid } from '../client/core/grid.js';
import type { GapReason } from '../partitions/events/listening.js';
import type { RingLimits } from '../partitions/events/ring.js';
import { partitionOfKey } from '../partitions/placement.js';
import type { EntryEvent, EntryListener } from '../partitions/services/proxy-listeners.js';
import { SeededRandom } from '../src/base/random.js';
import type { ListenFaults } from '../src/member/listen-side.js';
import { encodeKey } from '../src/wire/keys.js';
import { checkListeners, checkTold, type DueWrite, type HeardBy, type ToldAt } from './checker/listeners.js';
import { placeListeners } from './listening-hosts.js';
import { untilLevel } from './load.js';
import type { Reached } from './reached.js';
import { RETURN_LIMIT_MS, type RunContext } from './run-context.js';
import type { SimCluster } from './sim/cluster.js';
import { type Entry, type Finding, keyOf } from './workload/recorder.js';

/** What the seeds of a suite with listeners have to reach together. */
export const LISTEN_STATES: readonly string[] = [
  'listener added',
  'listener of a member',
  'listener through one member',
  'listener cut off for a while',
  'event told',
  'event held against the one before',
  'gap for the reason overflow',
];

/** Faults of telling that are put in on purpose. */
export const LISTEN_FAULTS = ['dropsEvents', 'reordersEvents', 'forgetsGaps', 'tellsUncommitted'] as const;
export type ListenFault = (typeof LISTEN_FAULTS)[number];

export function plantedInTelling(fault: ListenFault): ListenFaults {
  switch (fault) {
    case 'dropsEvents':
      return { dropEventEvery: 40 };
    case 'reordersEvents':
      return { reorderEvery: 2 };
    case 'forgetsGaps':
      return { forgetsGap: true };
    case 'tellsUncommitted':
      return { tellsUncommitted: true };
  }
}

const KINDS = ['added', 'removed', 'updated', 'merged', 'evicted', 'expired'] as const;
const ADD_TIMEOUT_MS = 4_000;
const REST_LIMIT_MS = 20_000;
const WRITE_TIMEOUT_MS = 15_000;
const ASKS_AGAIN_MS = 100;
/** Until what nobody has told yet at rest is told no more. */
const SETTLE_MS = 6_000;
/** Between the last writes of a partition. */
const PACE_MS = 40;

/** One listener. */
export interface Ear {
  /** For people. */
  readonly name: string;
  /** Of its process, in the simulated network. */
  readonly host: string;
  readonly map: string;
  readonly isAlive: () => boolean;
  /** Null for all. */
  readonly key: string | null;
  readonly told: ToldAt[];
  isOn: boolean;
  /** When it was added, virtual ms. */
  sinceMs: number;
  /** What it was told last of each key. */
  readonly now: Map<string, unknown>;
  /** The same, without what a gap has made doubtful. */
  readonly believed: Map<string, unknown>;
  rest?: { readonly after: number; readonly found: ReadonlyMap<string, unknown> };
}

export interface EarsHost {
  readonly cluster: SimCluster;
  readonly seed: number;
  readonly partitionCount: number;
  readonly durationMs: number;
  /** Some clients are cut off by the listeners themselves; else whoever draws the cuts places them. */
  readonly cutsOff: boolean;
  /** Some listen to it alone. */
  readonly oneKey: string;
  /** Maps with a value of its own for each write. */
  readonly maps: readonly string[];
  /** Partitions that nobody can bring back. */
  readonly dead: () => ReadonlySet<number>;
}

/** Rings of a seed: in some so small that who is behind has a gap soon. */
export function drawRings(seed: number): { readonly rings?: RingLimits } {
  const random = new SeededRandom(seed, 'rings');
  return random.float() < 0.5 ? {} : { rings: { events: 6, bytes: 4_000, memberBytes: 60_000 } };
}

export class Ears {
  readonly #host: EarsHost;
  readonly #random: SeededRandom;
  readonly #ears: Ear[] = [];
  readonly #reached: string[] = [];
  readonly problems: string[] = [];
  #stopped = false;
  readonly #final = new Map<string, Map<string, unknown>>();

  constructor(host: EarsHost) {
    this.#host = host;
    this.#random = new SeededRandom(host.seed, 'ears');
  }

  #partitionOf(key: string): number {
    return partitionOfKey(encodeKey(key), this.#host.partitionCount);
  }

  /** Adds the listeners, each on its own. */
  start(): void {
    const listenAs = this.#listenAs.bind(this);
    placeListeners(this.#host, this.#random, this.#reached, () => this.#stopped, listenAs);
  }

  #listenAs(host: string, grid: Grid, isAlive: () => boolean): void {
    for (const map of this.#host.maps) {
      const ear = (key: string | null): Ear => {
        const name = `${host} ${map}${key === null ? '' : ` ${key}`}`;
        return {
          name,
          host,
          map,
          isAlive,
          key,
          told: [],
          isOn: false,
          sinceMs: 0,
          now: new Map(),
          believed: new Map(),
        };
      };
      const all = [ear(null), ...(this.#random.float() < 0.3 ? [ear(this.#host.oneKey)] : [])];
      for (const each of all) {
        this.#ears.push(each);
        void this.#add(each, grid);
      }
    }
  }

  async #add(ear: Ear, grid: Grid): Promise<void> {
    const { scheduler } = this.#host.cluster;
    const map = grid.getMap<string, unknown>(ear.map).with({ timeoutMs: ADD_TIMEOUT_MS });
    while (!ear.isOn && ear.isAlive()) {
      // A further attempt is a further listener: what the one before was told does not go on.
      ear.told.length = 0;
      ear.now.clear();
      ear.believed.clear();
      const told = this.#listenerOf(ear);
      await map.addEntryListener(told.listener, ear.key, true).then(
        () => {
          ear.isOn = true;
          ear.sinceMs = scheduler.now;
          this.#reached.push('listener added');
        },
        (error: { readonly code?: string }) => {
          told.stop();
          if (error.code !== 'ERR_TIMEOUT') this.problems.push(`${ear.name}: not added: ${String(error)}`);
        },
      );
      if (!ear.isOn) await this.#sleep(ASKS_AGAIN_MS);
    }
  }

  #listenerOf(ear: Ear): { readonly listener: EntryListener<string, unknown>; stop(): void } {
    let isOn = true;
    const { scheduler } = this.#host.cluster;
    const note = (kind: string) => (event: EntryEvent<string, unknown>) => {
      if (!isOn) this.problems.push(`${ear.name}: told of ${event.key} although it was not added`);
      const { key, value, oldValue: old, position } = event;
      ear.now.set(key, value);
      ear.believed.set(key, value);
      ear.told.push({ what: 'event', kind, key, value, old, ...position, atMs: scheduler.now });
    };
    const gap = ({ partition, reason }: { readonly partition: number; readonly reason: GapReason }) => {
      ear.told.push({ what: 'gap', partition, reason, atMs: scheduler.now });
      for (const key of [...ear.believed.keys()])
        if (this.#partitionOf(key) === partition) ear.believed.delete(key);
    };
    const stop = () => {
      isOn = false;
    };
    return { listener: { ...Object.fromEntries(KINDS.map((kind) => [kind, note(kind)])), gap }, stop };
  }

  /** Writes every key once more, and waits until whoever listens still has heard of it. */
  async finish(grid: Client): Promise<void> {
    const { cluster, maps } = this.#host;
    this.#stopped = true;
    const living = () => this.#ears.filter(({ isAlive }) => isAlive());
    await cluster.until(() => living().every(({ isOn }) => isOn), REST_LIMIT_MS);
    for (const { name, isOn } of living()) if (!isOn) this.problems.push(`${name}: could not be added`);
    const dead = this.#host.dead();
    await this.#lookAtRest(grid, dead);
    let left = 0;
    for (const name of maps) {
      const final = new Map<string, unknown>();
      this.#final.set(name, final);
      const keys = new Set(
        this.#ears.filter(({ map }) => map === name).flatMap(({ now }) => [...now.keys()]),
      );
      const map = grid.getMap<string, unknown>(name).with({ timeoutMs: WRITE_TIMEOUT_MS, consistency: 'EC' });
      const partitions = new Map<number, string[]>();
      for (const key of keys) {
        const partition = this.#partitionOf(key);
        if (!dead.has(partition)) partitions.set(partition, [...(partitions.get(partition) ?? []), key]);
      }
      // One at a time in a partition: small rings hold few events.
      const writeAll = async (some: readonly string[]) => {
        for (const key of some) {
          await map.set(key, `heard ${key}`).then(
            () => void final.set(key, `heard ${key}`),
            (error) => void this.problems.push(`${key} could not be written in the end: ${String(error)}`),
          );
          await this.#sleep(PACE_MS);
        }
        left--;
      };
      left += partitions.size;
      for (const some of partitions.values()) void writeAll(some);
    }
    await cluster.until(() => left === 0, 2 * REST_LIMIT_MS);
    const isHeard = (ear: Ear) => [...this.#finalOf(ear)].every(([key, value]) => ear.now.get(key) === value);
    await cluster.until(() => living().every(isHeard), REST_LIMIT_MS);
  }

  /** Nothing is written any more: once whoever listens has had time, what it was told is what there is. */
  async #lookAtRest(grid: Client, dead: ReadonlySet<number>): Promise<void> {
    const found = new Map(this.#host.maps.map((name) => [name, new Map<string, unknown>()]));
    let left = 0;
    for (const [name, values] of found) {
      const map = grid.getMap<string, unknown>(name).with({ timeoutMs: WRITE_TIMEOUT_MS, consistency: 'EC' });
      const ears = this.#ears.filter((ear) => ear.map === name);
      for (const key of new Set(ears.flatMap(({ now }) => [...now.keys()]))) {
        if (dead.has(this.#partitionOf(key))) continue;
        left++;
        const failed = (error: unknown) =>
          void this.problems.push(`${key} could not be read at rest: ${String(error)}`);
        const read = map.get(key).then((value) => void values.set(key, value), failed);
        void read.finally(() => left--);
      }
    }
    await this.#host.cluster.until(() => left === 0, REST_LIMIT_MS);
    await this.#host.cluster.scheduler.runFor(SETTLE_MS);
    const living = this.#ears.filter(({ isAlive, isOn }) => isAlive() && isOn);
    const isTrue = ({ map, believed }: Ear) =>
      [...(found.get(map) ?? [])].every(([key, value]) => !believed.has(key) || believed.get(key) === value);
    await this.#host.cluster.until(() => living.every(isTrue), REST_LIMIT_MS);
    for (const ear of living)
      if (ear.isAlive()) ear.rest = { after: ear.told.length, found: found.get(ear.map) ?? new Map() };
  }

  #sleep(ms: number): Promise<void> {
    const { scheduler } = this.#host.cluster;
    return new Promise((resolve) => void scheduler.schedule(scheduler.now + ms, resolve));
  }

  #finalOf({ map, key }: Ear): Map<string, unknown> {
    const all = [...(this.#final.get(map) ?? [])];
    return new Map(all.filter(([k]) => key === null || k === key));
  }

  /** `unexpected`: reasons of gaps that must not come up; `dueFor`: what a listener must have heard of, when that is known. */
  judge(
    unexpected: readonly GapReason[],
    reached: Reached,
    dueFor: (ear: Ear) => readonly DueWrite[] = () => [],
  ): Finding[] {
    const heard = this.#ears.map((ear): HeardBy => {
      const final = ear.isAlive() && ear.isOn ? this.#finalOf(ear) : null;
      const { name, told, rest } = ear;
      return { name, told, final, ...(rest === undefined ? {} : { rest }) };
    });
    const partitionOf = (key: string) => this.#partitionOf(key);
    const { problems, links } = checkListeners(heard, { partitionOf, unexpected });
    for (const state of this.#reached) reached.add(state);
    reached.add('event held against the one before', links);
    for (const { told } of this.#ears)
      for (const one of told)
        reached.add(one.what === 'event' ? 'event told' : `gap for the reason ${one.reason}`);
    const silent = this.#ears
      .filter(({ isAlive, isOn }) => isAlive() && isOn)
      .flatMap((ear) => {
        const due = dueFor(ear);
        reached.add('write that a listener had to hear of', due.length);
        // Not what the last writes have brought along.
        return checkTold(ear.name, ear.told.slice(0, ear.rest?.after), due, partitionOf);
      });
    return [...this.problems, ...problems, ...silent].map((text) => ({
      guarantee: 'listeners: in order, once, no gap untold',
      text,
    }));
  }
}

/** Writes that a listener must have heard of: those from when it was added that it `hears`. */
export function dueOf(
  entries: readonly Entry[],
  hears: (ear: Ear, entry: Entry) => boolean = () => true,
): (ear: Ear) => DueWrite[] {
  const writes = entries.filter(isPlainWrite);
  return (ear) =>
    writes
      .filter((entry) => {
        if (!entry.k.startsWith(`${ear.map}/`) || entry.callMs < ear.sinceMs) return false;
        return (ear.key === null || ear.key === keyOf(entry)) && hears(ear, entry);
      })
      .map((entry) => {
        return { key: keyOf(entry), value: entry.v, callMs: entry.callMs, retMs: entry.retMs as number };
      });
}

/** It certainly took effect where it was called. */
function isPlainWrite({ f, type, resolution }: Entry): boolean {
  return (f === 'put' || f === 'write') && type === 'ok' && resolution === undefined;
}

/** Once the workload has ended: the last writes, and replicas that are equal again. */
export async function finishEars(run: RunContext, ears: Pick<Ears, 'finish'>): Promise<void> {
  const grid = run.cluster.client({ routing: 'all' });
  let isConnected = false;
  void grid.connect().finally(() => {
    isConnected = true;
  });
  await run.cluster.until(() => isConnected, RETURN_LIMIT_MS);
  await ears.finish(grid);
  // Replicas are compared when nothing is written any more.
  await untilLevel(run);
}
