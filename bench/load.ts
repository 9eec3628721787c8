/**
 * The measuring loop, the same for every system: a fixed number of calls in flight, each replaced when it is
 * answered, latencies kept exactly, answers checked. Runs in the client process, one system at a time.
 */
import { benchValue, type Cell, cellName, KEYS, keysOf } from './cells.js';
import type { Driver } from './driver.js';

/** Order in which keys are used; a power of two. */
const ORDER_LENGTH = 1 << 15;
/** Every answer's size and number are looked at; every so many, all its bytes. */
const FULL_CHECK_EVERY = 64;
/** After a change of system the first calls are not counted. */
const RAMP_MS = 50;
const FIRST_CAPACITY = 1 << 16;

/** A piece of a measurement: latencies of the calls that ended within so many seconds. */
export interface Slice {
  readonly seconds: number;
  readonly latenciesMs: Float64Array;
}

export interface Measured {
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** What pieces of a measurement say together. */
export function summary(slices: readonly Slice[]): Measured {
  const sorted = new Float64Array(slices.reduce((sum, { latenciesMs }) => sum + latenciesMs.length, 0));
  let count = 0;
  for (const { latenciesMs } of slices) {
    sorted.set(latenciesMs, count);
    count += latenciesMs.length;
  }
  sorted.sort();
  const at = (share: number) => (sorted[Math.min(count - 1, Math.floor(share * count))] ?? 0) * 1000;
  const seconds = slices.reduce((sum, slice) => sum + slice.seconds, 0);
  return { opsPerSecond: count / seconds, p50Us: at(0.5), p99Us: at(0.99) };
}

/** The keys and values of one size. */
export class Data {
  readonly keys: string[];
  readonly values: Buffer[];
  readonly order = new Uint16Array(ORDER_LENGTH);

  constructor(valueBytes: number) {
    this.keys = keysOf(valueBytes);
    this.values = this.keys.map((_, i) => benchValue(i, valueBytes));
    let state = 12_345;
    for (let i = 0; i < ORDER_LENGTH; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      this.order[i] = (state >>> 8) % KEYS;
    }
  }
}

/** Puts all keys into a system. */
export async function fill(driver: Driver, data: Data): Promise<void> {
  const step = 500;
  for (let from = 0; from < KEYS; from += step) {
    const part = data.keys.slice(from, from + step);
    await Promise.all(part.map((key, i) => driver.set(key, data.values[from + i] as Buffer)));
  }
}

/** Calls that are not answered this long after the end are an error, not a reason to wait for ever. */
const LATE_MS = 30_000;

/** Loads a system for `seconds` after a short ramp; rejects when a call fails or an answer is wrong. */
export function measure(driver: Driver, cell: Cell, data: Data, seconds: number): Promise<Slice> {
  let late: NodeJS.Timeout | undefined;
  const measured = new Promise<Slice>((resolve, reject) => {
    const load = new Load(driver, cell, data, seconds, resolve, reject);
    load.start();
    late = setTimeout(
      () => reject(new Error(`${load.open} calls were not answered: ${cellName(cell)}`)),
      RAMP_MS + seconds * 1000 + LATE_MS,
    );
  });
  return measured.finally(() => clearTimeout(late));
}

class Load {
  readonly #driver: Driver;
  readonly #cell: Cell;
  readonly #data: Data;
  readonly #resolve: (slice: Slice) => void;
  readonly #reject: (error: unknown) => void;
  readonly #fromMs: number;
  readonly #toMs: number;
  #latenciesMs = new Float64Array(FIRST_CAPACITY);
  #count = 0;
  #next = 0;
  #open = 0;
  #failed = false;

  constructor(
    driver: Driver,
    cell: Cell,
    data: Data,
    seconds: number,
    resolve: (slice: Slice) => void,
    reject: (error: unknown) => void,
  ) {
    this.#driver = driver;
    this.#cell = cell;
    this.#data = data;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#fromMs = performance.now() + RAMP_MS;
    this.#toMs = this.#fromMs + seconds * 1000;
  }

  /** Calls that wait for their answer. */
  get open(): number {
    return this.#open;
  }

  start(): void {
    for (let i = 0; i < this.#cell.inFlight; i++) this.#call();
  }

  #call(): void {
    const { keys, values, order } = this.#data;
    const i = order[this.#next++ & (ORDER_LENGTH - 1)] as number;
    const key = keys[i] as string;
    this.#open++;
    const startedMs = performance.now();
    if (this.#cell.operation === 'get') {
      this.#driver.get(key).then(
        (value) => {
          if (this.#isRight(value, i)) this.#answered(startedMs);
          else this.#fail(new Error(`a wrong answer for ${key}`));
        },
        (error) => this.#fail(error),
      );
    } else {
      this.#driver.set(key, values[i] as Buffer).then(
        () => this.#answered(startedMs),
        (error) => this.#fail(error),
      );
    }
  }

  #isRight(value: Uint8Array | null, i: number): boolean {
    if (value === null || value.length !== this.#cell.valueBytes) return false;
    const number = (value[0] as number) | ((value[1] as number) << 8) | ((value[2] as number) << 16);
    if (number !== i) return false;
    return this.#next % FULL_CHECK_EVERY !== 0 || (this.#data.values[i] as Buffer).equals(value);
  }

  #answered(startedMs: number): void {
    const nowMs = performance.now();
    this.#open--;
    if (nowMs >= this.#fromMs && nowMs < this.#toMs) this.#record(nowMs - startedMs);
    if (this.#failed) return;
    if (nowMs < this.#toMs) this.#call();
    else if (this.#open === 0) this.#resolve(this.#slice());
  }

  #record(latencyMs: number): void {
    if (this.#count === this.#latenciesMs.length) {
      const larger = new Float64Array(this.#count * 2);
      larger.set(this.#latenciesMs);
      this.#latenciesMs = larger;
    }
    this.#latenciesMs[this.#count++] = latencyMs;
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#reject(error);
  }

  #slice(): Slice {
    const seconds = (this.#toMs - this.#fromMs) / 1000;
    return { seconds, latenciesMs: this.#latenciesMs.slice(0, this.#count) };
  }
}
