/**
 * A store of maps under virtual time, outside of the simulated hosts: it takes its time, fails, refuses keys, and can be
 * away. What a host has sent lands although the host crashed meanwhile. All that it was told is kept in order.
 */
import type { SeededRandom } from '../../src/base/random.js';
import { type MapStore, type StoreCall, StoreRefusedError } from '../../src/mapstore/map-store.js';
import type { Scheduler } from '../sim/virtual-clock.js';

export interface StoreWrite {
  /** When the store was told of it. */
  readonly askedMs: number;
  /** When it took effect. */
  readonly atMs: number;
  readonly map: string;
  readonly key: string;
  /** Null: it was deleted. */
  readonly value: string | null;
  readonly host: string;
  /** Of all that ever ran, also at one host. */
  readonly process: number;
  /** Names the epoch in which it led the key then, as far as somebody knows. */
  readonly lead: string;
  /** Whoever told it was gone by then. */
  readonly isLate: boolean;
}

export interface SimStoreOptions {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  /** Of a call, there and back; default 1 to 10 ms. */
  readonly takesMs?: (what: 'load' | 'keys' | 'write') => number;
}

/** Where answers arrive: at a process that may stand still, or be gone. */
interface Receiver {
  deliver(event: string, subject: string, fn: () => void): void;
}

interface Process {
  readonly host: string;
  readonly number: number;
  readonly isAlive: () => boolean;
  /** Null: answers arrive whatever the process does. */
  readonly receiver: Receiver | null;
}

export class SimStore {
  readonly #options: SimStoreOptions;
  /** By map and key: `map/key`. */
  readonly data = new Map<string, string>();
  readonly writes: StoreWrite[] = [];
  /** Names of calls, with the number of their keys. */
  readonly calls: string[] = [];
  loads = 0;
  /** Nothing gets through. */
  isDown = false;
  /** Share of calls that fail, half of them after they took effect. */
  failures = 0;
  /** Writes of these are refused, alone or among others. */
  refuses: (key: string, value: string | null) => boolean = () => false;
  /** Names the epoch in which a host leads a key now. */
  leadOf: (host: string, key: string) => string = () => '';
  #processes = 0;

  constructor(options: SimStoreOptions) {
    this.#options = options;
  }

  /** As a process sees it; a process that is gone gets no answer. */
  at(host: string, isAlive: () => boolean, receiver: Receiver | null = null): MapStore<string, string> {
    const process = { host, number: this.#processes++, isAlive, receiver };
    const told = (call: StoreCall, entries: readonly (readonly [string, string | null])[]) => {
      const askedMs = this.#options.scheduler.now;
      const leads = entries.map(([key]) => this.leadOf(host, key));
      return this.#call(call, process, 'write', entries.length, () => {
        for (const [key, value] of entries) {
          if (this.refuses(key, value)) throw new StoreRefusedError(`refuses ${key}`);
        }
        entries.forEach(([key, value], i) => {
          this.#write(call.map, key, value, process, { askedMs, lead: leads[i] as string });
        });
      });
    };
    return {
      load: (key, call) => this.#call(call, process, 'load', 1, () => this.#load(call.map, key)),
      loadAll: (keys, call) =>
        this.#call(call, process, 'load', keys.length, () =>
          keys.flatMap((key): [string, string][] => {
            const value = this.#load(call.map, key);
            return value === null ? [] : [[key, value]];
          }),
        ),
      loadAllKeys: (call) =>
        this.#call(call, process, 'keys', 0, () => {
          const prefix = `${call.map}/`;
          return [...this.data.keys()].flatMap((name) =>
            name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
          );
        }),
      store: (key, value, call) => told(call, [[key, value]]),
      storeAll: (entries, call) => told(call, entries),
      delete: (key, call) => told(call, [[key, null]]),
      deleteAll: (keys, call) =>
        told(
          call,
          keys.map((key) => [key, null] as const),
        ),
    };
  }

  #load(map: string, key: string): string | null {
    this.loads++;
    return this.data.get(`${map}/${key}`) ?? null;
  }

  #write(
    map: string,
    key: string,
    value: string | null,
    { host, number, isAlive }: Process,
    asked: Pick<StoreWrite, 'askedMs' | 'lead'>,
  ): void {
    const atMs = this.#options.scheduler.now;
    this.writes.push({ ...asked, atMs, map, key, value, host, process: number, isLate: !isAlive() });
    if (value === null) this.data.delete(`${map}/${key}`);
    else this.data.set(`${map}/${key}`, value);
  }

  async #call<T>(
    { signal }: StoreCall,
    process: Process,
    what: 'load' | 'keys' | 'write',
    keys: number,
    act: () => T,
  ): Promise<T> {
    const { random, takesMs = () => 1 + random.below(10) } = this.#options;
    this.calls.push(`${what} ${keys}`);
    const ms = takesMs(what);
    const fate = random.float() < this.failures ? (random.float() < 0.5 ? 'before' : 'after') : 'none';
    await this.#sleep(ms / 2);
    const problem = this.isDown ? 'the store is down' : fate === 'before' ? 'the store fails' : null;
    // Whoever gave the call up is told that nothing was done, if it asks still.
    const isGivenUp = signal.aborted;
    let done: { readonly value: T } | null = null;
    let failure: unknown = null;
    if (problem === null && !isGivenUp) {
      try {
        done = { value: act() };
      } catch (error) {
        failure = error;
      }
    }
    await this.#sleep(ms / 2, process.receiver);
    // What nobody reads any more is no answer.
    if (!process.isAlive()) return new Promise<T>(() => {});
    if (isGivenUp) throw new StoreRefusedError('given up');
    if (failure !== null) throw failure;
    if (done === null || fate === 'after') throw new Error(problem ?? 'the answer of the store was lost');
    return done.value;
  }

  #sleep(ms: number, receiver: Receiver | null = null): Promise<void> {
    const { scheduler } = this.#options;
    return new Promise((resolve) => {
      scheduler.schedule(scheduler.now + ms, () => {
        if (receiver === null) resolve();
        else receiver.deliver('', '', resolve);
      });
    });
  }
}
