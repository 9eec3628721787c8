/**
 * Listeners beside a workload: of clients, of one-member routing, of members, of one key, some of them cut off for a while;
 * and their verdict. The same for the suite of crashes and that of splits. Called by the runners.
 */
import type { Client } from '../client/api.js';
import type { Grid } from '../client/core/grid.js';
import type { GapReason } from '../partitions/events/listening.js';
import type { RingLimits } from '../partitions/events/ring.js';
import { murmur3, partitionOf } from '../partitions/hash.js';
import type { EntryEvent, EntryListener } from '../partitions/services/proxy-listeners.js';
import { SeededRandom } from '../src/base/random.js';
import type { ListenFaults } from '../src/member/listen-side.js';
import { encodeKey } from '../src/wire/keys.js';
import { checkListeners, type HeardBy, type ToldEvent, type ToldGap } from './checker/listeners.js';
import { placeListeners } from './listening-hosts.js';
import type { Reached } from './reached.js';
import type { SimCluster } from './sim/cluster.js';
import type { Finding } from './workload/recorder.js';

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

/** One listener. */
interface Ear {
  readonly name: string;
  readonly map: string;
  readonly isAlive: () => boolean;
  /** Null for all. */
  readonly key: string | null;
  readonly told: (ToldEvent | ToldGap)[];
  isOn: boolean;
  /** What it was told last of each key. */
  readonly now: Map<string, unknown>;
}

export interface EarsHost {
  readonly cluster: SimCluster;
  readonly seed: number;
  readonly partitionCount: number;
  readonly durationMs: number;
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
    return partitionOf(murmur3(encodeKey(key)), this.#host.partitionCount);
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
        return { name, map, isAlive, key, told: [], isOn: false, now: new Map() };
      };
      const all = [ear(null), ...(this.#random.float() < 0.3 ? [ear('k0')] : [])];
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
      const told = this.#listenerOf(ear);
      await map.addEntryListener(told.listener, ear.key, true).then(
        () => {
          ear.isOn = true;
          this.#reached.push('listener added');
        },
        (error: { readonly code?: string }) => {
          told.stop();
          if (error.code !== 'ERR_TIMEOUT') this.problems.push(`${ear.name}: not added: ${String(error)}`);
        },
      );
      if (!ear.isOn) await new Promise<void>((on) => scheduler.schedule(scheduler.now + ASKS_AGAIN_MS, on));
    }
  }

  #listenerOf(ear: Ear): { readonly listener: EntryListener<string, unknown>; stop(): void } {
    let isOn = true;
    const note = (kind: string) => (event: EntryEvent<string, unknown>) => {
      if (!isOn) this.problems.push(`${ear.name}: told of ${event.key} although it was not added`);
      const { key, value, oldValue: old, position } = event;
      ear.now.set(key, value);
      ear.told.push({ what: 'event', kind, key, value, old, ...position });
    };
    const gap = ({ partition, reason }: { readonly partition: number; readonly reason: GapReason }) =>
      void ear.told.push({ what: 'gap', partition, reason });
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
    let left = 0;
    for (const name of maps) {
      const final = new Map<string, unknown>();
      this.#final.set(name, final);
      const keys = new Set(
        this.#ears.filter(({ map }) => map === name).flatMap(({ now }) => [...now.keys()]),
      );
      const map = grid.getMap<string, unknown>(name).with({ timeoutMs: WRITE_TIMEOUT_MS, consistency: 'EC' });
      for (const key of keys) {
        if (dead.has(this.#partitionOf(key))) continue;
        left++;
        void map
          .set(key, `heard ${key}`)
          .then(
            () => void final.set(key, `heard ${key}`),
            (error) => void this.problems.push(`${key} could not be written in the end: ${String(error)}`),
          )
          .finally(() => {
            left--;
          });
      }
    }
    await cluster.until(() => left === 0, 2 * REST_LIMIT_MS);
    const isHeard = (ear: Ear) => [...this.#finalOf(ear)].every(([key, value]) => ear.now.get(key) === value);
    await cluster.until(() => living().every(isHeard), REST_LIMIT_MS);
  }

  #finalOf({ map, key }: Ear): Map<string, unknown> {
    const all = [...(this.#final.get(map) ?? [])];
    return new Map(all.filter(([k]) => key === null || k === key));
  }

  /** `unexpected`: reasons of gaps that must not come up. */
  judge(unexpected: readonly GapReason[], reached: Reached): Finding[] {
    const heard = this.#ears.map((ear): HeardBy => {
      const final = ear.isAlive() && ear.isOn ? this.#finalOf(ear) : null;
      return { name: ear.name, told: ear.told, final };
    });
    const partitionOf = (key: string) => this.#partitionOf(key);
    const { problems, links } = checkListeners(heard, { partitionOf, unexpected });
    for (const state of this.#reached) reached.add(state);
    reached.add('event held against the one before', links);
    for (const { told } of this.#ears)
      for (const one of told)
        reached.add(one.what === 'event' ? 'event told' : `gap for the reason ${one.reason}`);
    return [...this.problems, ...problems].map((text) => ({
      guarantee: 'listeners: in order, once, no gap untold',
      text,
    }));
  }
}
