/**
 * Calls of one map's store: a bounded number at a time, each with a deadline that counts from when it was asked for, and
 * an outcome that says whether a write may have got through. Nothing of it reaches the core but callbacks in turns of
 * their own. Owned by the member's stores.
 */
import type { Found, StoredEntry, WriteProblem } from '../../partitions/store-port.js';
import { textOf } from '../base/bytes.js';
import type { Clock, Logger, Timer } from '../base/ports.js';
import { reasonOf } from '../base/reason.js';
import { type MapStore, type StoreCall, StoreRefusedError } from '../mapstore/map-store.js';
import { decodeKey } from '../wire/keys.js';
import type { ValueCodec } from '../wire/values.js';
import { entriesGiven } from './given-by-store.js';

/** Calls that wait for their turn; one more is refused. */
const MAX_WAITING = 10_000;
const MAX_MESSAGE = 500;

export interface StoreRunnerOptions {
  readonly map: string;
  /** Name of the store. */
  readonly name: string;
  readonly store: MapStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly codec: ValueCodec;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly batchSize: number;
}

interface Work {
  readonly run: (call: StoreCall, began: () => void) => Promise<void>;
  readonly done: (problem: WriteProblem | null) => void;
  readonly controller: AbortController;
  readonly timer: Timer;
  hasBegun: boolean;
  isOver: boolean;
}

/** Reads and writes have their turns apart: a store that is slow to write still answers. */
class Turns {
  readonly #options: StoreRunnerOptions;
  readonly #waiting = new Set<Work>();
  readonly #underWay = new Set<Work>();
  #running = 0;

  constructor(options: StoreRunnerOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting.size === 0;
  }

  add(run: Work['run'], done: Work['done']): void {
    const { clock, timeoutMs } = this.#options;
    if (this.#waiting.size >= MAX_WAITING) {
      const problem = { refused: true, message: 'too many calls wait for the store' };
      clock.defer(() => this.#tell(done, problem));
      return;
    }
    const controller = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => this.#late(work));
    const work: Work = {
      run,
      controller,
      timer,
      hasBegun: false,
      isOver: false,
      done: (problem) => {
        if (work.isOver) return;
        work.isOver = true;
        timer.cancel();
        this.#tell(done, problem);
      },
    };
    this.#waiting.add(work);
    this.#next();
  }

  /** Here nobody catches what a callback throws, and the turns have to go on. */
  #tell(done: Work['done'], problem: WriteProblem | null): void {
    try {
      done(problem);
    } catch (error) {
      const { logger, map } = this.#options;
      logger.log('error', 'what follows a call of a store threw', { map, error });
    }
  }

  #next(): void {
    for (const work of this.#waiting) {
      if (this.#running >= this.#options.concurrency) return;
      this.#waiting.delete(work);
      this.#running++;
      this.#underWay.add(work);
      const { map } = this.#options;
      const began = () => {
        work.hasBegun = true;
      };
      const end = (problem: WriteProblem | null) => {
        this.#underWay.delete(work);
        if (!work.isOver) this.#running--;
        work.done(problem);
        this.#next();
      };
      work.run({ map, signal: work.controller.signal }, began).then(
        () => end(null),
        (error: unknown) => end(problemOf(error, work.hasBegun)),
      );
    }
  }

  #late(work: Work): void {
    const { clock, timeoutMs } = this.#options;
    const message = `it took longer than timeoutMs, ${timeoutMs} ms`;
    if (this.#waiting.delete(work)) {
      work.done({ refused: true, message: `${message}, waiting for other calls` });
      return;
    }
    work.controller.abort(new Error(message));
    // A store that knows that it did nothing says so at once.
    clock.defer(() => {
      if (work.isOver) return;
      // It may never end; others take its turn.
      this.#underWay.delete(work);
      this.#running--;
      work.done({ refused: !work.hasBegun, message });
      this.#next();
    });
  }

  /** Nobody waits for what they bring any more. */
  giveUp(why: Error): void {
    for (const work of [...this.#waiting, ...this.#underWay]) {
      work.isOver = true;
      work.timer.cancel();
      work.controller.abort(why);
    }
    this.#waiting.clear();
  }

  /** They go on until their time is over, unless the process has nothing else to do. */
  release(): void {
    for (const { timer } of [...this.#waiting, ...this.#underWay]) timer.unref?.();
  }
}

export class StoreRunner {
  readonly #options: StoreRunnerOptions;
  readonly #reads: Turns;
  readonly #writes: Turns;

  constructor(options: StoreRunnerOptions) {
    this.#options = options;
    this.#reads = new Turns(options);
    this.#writes = new Turns(options);
  }

  get store(): MapStore {
    return this.#options.store;
  }

  get isIdle(): boolean {
    return this.#reads.isIdle && this.#writes.isIdle;
  }

  /** The member has ended: nobody waits for loads, and what is being written is written still if the process lives on. */
  stop(): void {
    this.#reads.giveUp(new Error('the member has ended'));
    this.#writes.release();
  }

  /** Answers for each key, in their order. */
  load(keys: readonly Uint8Array[], done: (found: readonly Found[]) => void): void {
    const { store, batchSize } = this.#options;
    const found: (Found | undefined)[] = keys.map(() => undefined);
    const isWhole = store.loadAll !== undefined && keys.length > 1;
    const size = isWhole ? batchSize : 1;
    let left = Math.ceil(keys.length / size);
    for (let from = 0; from < keys.length; from += size) {
      const part = keys.slice(from, from + size);
      const work = async (call: StoreCall) => {
        const values = isWhole
          ? await this.#loadAll(part, call)
          : [await this.#load(part[0] as Uint8Array, call)];
        for (const [i, one] of values.entries()) found[from + i] = one;
      };
      this.#reads.add(work, (problem) => {
        if (problem !== null)
          for (let i = 0; i < part.length; i++) found[from + i] ??= { error: problem.message };
        if (--left === 0) done(found as Found[]);
      });
    }
  }

  async #load(key: Uint8Array, call: StoreCall): Promise<Found> {
    return this.#found('load', await this.#options.store.load(decodeKey(key), call));
  }

  async #loadAll(keys: readonly Uint8Array[], call: StoreCall): Promise<Found[]> {
    const { store, name } = this.#options;
    const decoded = keys.map((key) => decodeKey(key));
    const given = (await store.loadAll?.(decoded, call)) ?? [];
    const values = new Map<string, unknown>();
    for (const [key, value] of entriesGiven(name, given)) values.set(textOf(key), value);
    return keys.map((key) => this.#found('loadAll', values.get(textOf(key))));
  }

  #found(method: string, value: unknown): Found {
    if (value === null || value === undefined) return { value: null };
    try {
      return { value: this.#options.codec.encode(value) };
    } catch (error) {
      const who = `${method} of the store ${JSON.stringify(this.#options.name)}`;
      return { error: `${who} gave what is no value: ${textOfError(error)}`.slice(0, MAX_MESSAGE) };
    }
  }

  /** Keys are there once. */
  write(entries: readonly StoredEntry[], done: (problem: WriteProblem | null) => void): void {
    this.#writes.add((call, began) => this.#write(entries, call, began), done);
  }

  async #write(entries: readonly StoredEntry[], call: StoreCall, began: () => void): Promise<void> {
    const { store, codec } = this.#options;
    const set: [unknown, unknown][] = [];
    const gone: unknown[] = [];
    for (const { key, value } of entries) {
      if (value === null) gone.push(decodeKey(key));
      else set.push([decodeKey(key), codec.decode(value)]);
    }
    const steps: (() => unknown)[] = [];
    if (set.length > 1 && store.storeAll !== undefined) steps.push(() => store.storeAll?.(set, call));
    else for (const [key, value] of set) steps.push(() => store.store?.(key, value, call));
    if (gone.length > 1 && store.deleteAll !== undefined) steps.push(() => store.deleteAll?.(gone, call));
    else for (const key of gone) steps.push(() => store.delete?.(key, call));
    for (const [i, step] of steps.entries()) {
      if (call.signal.aborted) throw call.signal.reason;
      began();
      await refusedOnlyFirst(i, step);
    }
  }
}

/** What a later step of a write refuses leaves the earlier ones done. */
async function refusedOnlyFirst(index: number, step: () => unknown): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (index > 0 && isRefusal(error)) throw new Error(reasonOf(error), { cause: error });
    throw error;
  }
}

function problemOf(error: unknown, hasBegun: boolean): WriteProblem {
  return { refused: !hasBegun || isRefusal(error), message: textOfError(error) };
}

/** Also of things that throw when they are looked at. */
function isRefusal(error: unknown): boolean {
  try {
    return error instanceof StoreRefusedError;
  } catch {
    return false;
  }
}

function textOfError(error: unknown): string {
  return reasonOf(error).slice(0, MAX_MESSAGE);
}
