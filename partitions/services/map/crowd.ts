/**
 * How much of one map a member leads, and which entry it does without next when that is too much. Counted are the entries
 * of the partitions whose primary it is: backups come on top. Candidates are sampled, as Redis does: some from partitions
 * by chance, compared with the best of earlier samples, so that the order is nearly that of the policy at a cost that does
 * not depend on the number of entries. Invariant: what was written last is not chosen, until `settle`. Called by the states
 * of the map when they are written, and by `replication/upkeeper.ts`.
 */
import { textOf } from '../../../src/base/bytes.js';
import type { Random } from '../../../src/base/ports.js';
import type { Crowding, OperationContext, StructureOptions } from '../../service.js';
import type { RecordStore } from '../../store/record-store.js';
import type { Slab } from '../../store/slab.js';
import type { KeyLocks } from '../key-locks.js';
import type { Eviction, MapOptions } from './options.js';
import type { OwedWrites } from './owed.js';

/** Records that one choice looks at beside those that it remembers. */
const SAMPLES = 16;
/** Partitions that they come from, at the most. */
const SAMPLED_STATES = 8;
/** Runs of marks of removals are passed over by a new start, not by a walk. */
const STARTS = 24;
const REMEMBERED = 16;
/** LFU: a new entry counts as if it had been read so often in so long a time. */
const FIRST_USES = 5;
const FIRST_MS = 10_000;

/** What it looks at of the state of a map in one partition. */
export interface Counted {
  readonly partition: number;
  readonly store: RecordStore;
  readonly locks: KeyLocks;
  readonly owed: OwedWrites;
}

interface Candidate {
  readonly state: Counted;
  readonly hash: number;
  readonly key: Uint8Array;
  /** The least goes first. */
  score: number;
}

export class Crowd implements Crowding {
  /** With what each was counted as. */
  readonly #states = new Map<Counted, { entries: number; bytes: number }>();
  #order: Counted[] = [];
  #entries = 0;
  #bytes = 0;
  #eviction: Eviction = { policy: 'NONE' };
  #pool: Candidate[] = [];
  /** What was written last has this position in this state. */
  #newest: Counted | null = null;
  #newestSeq = 0;

  get isOver(): boolean {
    const { policy, maxEntries, maxBytes } = this.#eviction;
    if (policy === 'NONE') return false;
    return (
      (maxEntries !== undefined && this.#entries > maxEntries) ||
      (maxBytes !== undefined && this.#bytes > maxBytes)
    );
  }

  /** A call has written to the state. */
  wrote(state: Counted, eviction: Eviction, context: OperationContext): void {
    this.#eviction = eviction;
    this.#newest = state;
    this.#newestSeq = context.seq;
    this.count(state);
    if (this.isOver) context.crowded();
  }

  left(state: Counted): void {
    const counted = this.#states.get(state);
    if (counted === undefined) return;
    this.#entries -= counted.entries;
    this.#bytes -= counted.bytes;
    this.#states.delete(state);
    this.#order = [...this.#states.keys()];
  }

  lead(states: readonly Counted[], options: StructureOptions): void {
    this.#eviction = (options as MapOptions).eviction;
    const led = new Set(states);
    for (const state of this.#order) if (!led.has(state)) this.left(state);
    for (const state of states) this.count(state);
  }

  count(state: Counted): void {
    let counted = this.#states.get(state);
    if (counted === undefined) {
      counted = { entries: 0, bytes: 0 };
      this.#states.set(state, counted);
      this.#order.push(state);
    }
    const { liveCount, liveBytes } = state.store;
    this.#entries += liveCount - counted.entries;
    this.#bytes += liveBytes - counted.bytes;
    counted.entries = liveCount;
    counted.bytes = liveBytes;
  }

  settle(): void {
    this.#newest = null;
  }

  next(random: Random, wallMs: number): { readonly partition: number; readonly key: Uint8Array } | null {
    const candidates = new Map<string, Candidate>();
    const add = (state: Counted, ref: number) => {
      const key = Buffer.from(state.store.keyOf(ref));
      const candidate = {
        state,
        hash: state.store.hashOf(ref),
        key,
        score: this.#scoreOf(state, ref, wallMs, random),
      };
      candidates.set(`${state.partition}/${textOf(key)}`, candidate);
    };
    for (const { state, hash, key } of this.#pool) {
      const ref = this.#states.has(state) ? state.store.find(hash, key) : -1;
      if (ref >= 0 && this.#mayGo(state, ref)) add(state, ref);
    }
    this.#sample(random, add);
    const [first, ...others] = [...candidates.values()].sort((a, b) => a.score - b.score);
    this.#pool = others.slice(0, REMEMBERED);
    return first === undefined ? null : { partition: first.state.partition, key: first.key };
  }

  #sample(random: Random, add: (state: Counted, ref: number) => void): void {
    let found = 0;
    const perState = SAMPLES / SAMPLED_STATES;
    for (let start = 0; start < STARTS && found < SAMPLES; start++) {
      const state = this.#order[Math.floor(random.float() * this.#order.length)];
      if (state === undefined) return;
      for (let i = 0; i < perState; i++) {
        const ref = state.store.refFrom(random.uint32());
        if (ref < 0 || !this.#mayGo(state, ref)) continue;
        add(state, ref);
        found++;
      }
    }
    // A map with hardly an entry in each partition: chance alone may miss the few that there are.
    if (found === 0) for (const state of this.#order) if (this.#first(state, add)) return;
  }

  #first(state: Counted, add: (state: Counted, ref: number) => void): boolean {
    if (state.store.liveCount === 0) return false;
    let found = false;
    state.store.scan(0, { records: 1_000, bytes: Number.POSITIVE_INFINITY }, (ref) => {
      if (found || !this.#mayGo(state, ref)) return;
      found = true;
      add(state, ref);
    });
    return found;
  }

  #mayGo(state: Counted, ref: number): boolean {
    const { store, locks, owed } = state;
    if (store.isTombstone(ref) || (locks.heldCount > 0 && locks.find(store.keyOf(ref)) !== undefined))
      return false;
    if (owed.intents.count > 0 && owed.isBusy(store.keyOf(ref))) return false;
    return !(state === this.#newest && store.seqOf(ref) === this.#newestSeq);
  }

  #scoreOf({ store }: Counted, ref: number, wallMs: number, random: Random): number {
    const { policy } = this.#eviction;
    if (policy === 'RANDOM') return random.float();
    if (policy === 'LRU') return store.usedMs(ref);
    return (store.hits(ref) + FIRST_USES) / (Math.max(0, wallMs - store.createdMs(ref)) + FIRST_MS);
  }
}

const crowds = new WeakMap<Slab, Map<string, Crowd>>();

/** Of the map of this name in the member that has this slab. */
function crowdOf(slab: Slab, name: string): Crowd {
  let byName = crowds.get(slab);
  if (byName === undefined) {
    byName = new Map();
    crowds.set(slab, byName);
  }
  let crowd = byName.get(name);
  if (crowd === undefined) {
    crowd = new Crowd();
    byName.set(name, crowd);
  }
  return crowd;
}

/** See `Service.crowd`. */
export function crowdWith(slab: Slab, name: string, options: StructureOptions): Crowd | undefined {
  return (options as MapOptions).eviction.policy === 'NONE' ? undefined : crowdOf(slab, name);
}

/** Keeps count of what the member has of a map, if that has a bound, after a write. */
export function countWrite(
  state: Counted & { readonly name: string; crowd: Crowd | null },
  slab: Slab,
  context: OperationContext,
): void {
  const { eviction } = context.options as MapOptions;
  if (eviction.policy === 'NONE') return;
  state.crowd ??= crowdOf(slab, state.name);
  state.crowd.wrote(state, eviction, context);
}
