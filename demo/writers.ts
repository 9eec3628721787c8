/**
 * Writers that keep a ledger: one for each group of keys, each with one write in flight, so that a group whose
 * partition is without a primary does not hold up the others. The ledger says of every write how it ended, and
 * afterwards whether an acknowledged one is gone. Used by the demonstration and by the tests with real processes.
 */
import { type GridMap, IndeterminateError } from '../src/index.js';

export interface Versioned {
  readonly version: number;
}

interface KeyRecord {
  /** Last version whose write is known to have been done. */
  done: number;
  /** Last version that was tried at all. */
  tried: number;
  /** Versions whose writes may or may not have happened, or may yet. */
  readonly unknown: Set<number>;
}

/** Stands for the version of a key that has no entry. */
export const ABSENT = -1;

export class Ledger<K> {
  acknowledged = 0;
  refused = 0;
  indeterminate = 0;
  /** Of the indeterminate ones: what `resolve()` found out. */
  readonly resolved = { done: 0, 'not done': 0, unknown: 0 };
  /** Sentences of refusals and of unknown outcomes, with how often each came. */
  readonly reasons = new Map<string, number>();
  /** By group: when its writes were acknowledged, in milliseconds of `performance.now()`. */
  readonly acknowledgedMs = new Map<number, number[]>();
  readonly #keys = new Map<K, KeyRecord>();
  readonly #first: number;

  /** `first` is the version of a key that the ledger has not seen written: 0 as loaded, or ABSENT. */
  constructor(first: number) {
    this.#first = first;
  }

  /** The next version to write to a key. */
  next(key: K): number {
    let record = this.#keys.get(key);
    if (record === undefined) {
      record = { done: this.#first, tried: 0, unknown: new Set() };
      this.#keys.set(key, record);
    }
    return ++record.tried;
  }

  done(group: number, key: K, version: number): void {
    this.acknowledged++;
    (this.#keys.get(key) as KeyRecord).done = version;
    const times = this.acknowledgedMs.get(group);
    if (times === undefined) this.acknowledgedMs.set(group, [performance.now()]);
    else times.push(performance.now());
  }

  /** The write was refused, or its outcome is unknown; in this case the grid is asked what became of it. */
  async failed(key: K, version: number, error: unknown): Promise<void> {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    if (!(error instanceof IndeterminateError)) {
      this.refused++;
      return;
    }
    this.indeterminate++;
    const record = this.#keys.get(key) as KeyRecord;
    record.unknown.add(version);
    const { outcome } = await error.resolve();
    this.resolved[outcome]++;
    if (outcome === 'unknown') return;
    record.unknown.delete(version);
    if (outcome === 'done') record.done = version;
  }

  /** What is wrong with the version that was found, or null. */
  problem(key: K, found: number): string | null {
    const record = this.#keys.get(key);
    const done = record?.done ?? this.#first;
    if (found === done || record?.unknown.has(found) === true) return null;
    const there = found === ABSENT ? 'nothing' : `version ${found}`;
    return found < done
      ? `version ${done} was acknowledged, and ${there} is there`
      : `${there} is there, and was never acknowledged`;
  }

  /** The longest time after `fromMs` in which no write of a group was acknowledged. */
  longestWaitMs(group: number, fromMs: number): number {
    let [last, longest] = [fromMs, 0];
    for (const ms of this.acknowledgedMs.get(group) ?? []) {
      if (ms <= fromMs) continue;
      longest = Math.max(longest, ms - last);
      last = ms;
    }
    return longest;
  }
}

/**
 * Writes to the keys of each group in turn, one at a time for each group, until `goesOn` says no with the number
 * of writes that the group has had. Resolves when every write has ended; never rejects.
 */
export async function writeInGroups<K, V extends Versioned>(
  map: GridMap<K, V>,
  groups: ReadonlyMap<number, readonly K[]>,
  makeValue: (key: K, version: number) => V,
  ledger: Ledger<K>,
  goesOn: (group: number, written: number) => boolean,
): Promise<void> {
  const writer = async (group: number, keys: readonly K[]) => {
    for (let written = 0; goesOn(group, written); written++) {
      const key = keys[written % keys.length] as K;
      const version = ledger.next(key);
      try {
        await map.set(key, makeValue(key, version));
        ledger.done(group, key, version);
      } catch (error) {
        await ledger.failed(key, version, error);
      }
    }
  };
  await Promise.all([...groups].map(([group, keys]) => writer(group, keys)));
}

/** Reads all keys of the ledger, and says of each acknowledged write that is gone. */
export async function findLost<K, V extends Versioned>(
  map: GridMap<K, V>,
  keys: Iterable<K>,
  ledger: Ledger<K>,
  progress: (read: number) => void = () => {},
): Promise<string[]> {
  const problems: string[] = [];
  const all = [...keys];
  for (let from = 0; from < all.length; from += 2000) {
    const batch = all.slice(from, from + 2000);
    const found = new Map(await map.getAll(batch));
    for (const key of batch) {
      const problem = ledger.problem(key, found.get(key)?.version ?? ABSENT);
      if (problem !== null) problems.push(`${String(key)}: ${problem}`);
    }
    progress(from + batch.length);
  }
  return problems;
}
