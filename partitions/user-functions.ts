/**
 * The functions that users register at a member by name, besides merge functions: entry processors of maps and functions
 * of atomic longs. Primaries run them inside the one step of an operation. Invariants: what a function throws, or returns
 * and cannot be used, becomes an error of the grid before anything has changed; while one runs, no other operation of
 * this member does (see `Executor.execute`). Called by the handlers of map and atomic long.
 */
import {
  FunctionFailedError,
  SerializerMissingError,
  UnknownFunctionError,
  ValueTooLargeError,
} from '../src/base/errors.js';
import type { Clock, Logger } from '../src/base/ports.js';
import { reasonOf } from '../src/base/reason.js';
import { isThenable } from '../src/base/thenable.js';
import type { ValueCodec } from '../src/wire/values.js';

/** Characters of a function's name. */
export const MAX_FUNCTION_NAME = 256;
/** A function that runs for longer holds up its whole member so much that somebody should know. */
const SLOW_MS = 50;
/** So often a function is warned of, at the most. */
const WARN_EVERY_MS = 10_000;
/** Names that an error lists. */
const LISTED_NAMES = 12;
/** Of the text of a function's error. */
const MAX_REASON = 300;

/** The entry that an entry processor works on; it is good only while the processor runs. */
export interface ProcessorEntry<K = unknown, V = unknown> {
  readonly key: K;
  /** Whether the key has a value; an entry that has expired has none. */
  readonly exists: boolean;
  /**
   * A copy of the value, null without one. What is assigned is stored as by `map.set`; a change inside of the copy is not
   * seen until the copy is assigned.
   */
  value: V | null;
  /** Stores a value that is good for `ttlMs`; 0 is for ever, and left out it is as with `map.set`. */
  set(value: V, ttlMs?: number): void;
  /** Removes the entry. */
  remove(): void;
}

/**
 * Runs on the primary of the key, at once: it cannot be async, and while it runs its member does nothing else. What it
 * returns (null and undefined for nothing) goes to the caller; when it throws nothing has changed.
 */
export type EntryProcessor<K = unknown, V = unknown, A = unknown, R = unknown> = (
  entry: ProcessorEntry<K, V>,
  argument: A,
) => R;

/** Gives a new value of an atomic long, which fits into 64 bits; under the same rules as an entry processor. */
export type LongFunction<A = unknown> = (value: bigint, argument: A) => bigint;

export interface UserFunctionsOptions {
  /** Values are decoded and encoded with it. */
  readonly codec: ValueCodec;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Functions of one kind, by name. */
class Registered<F> {
  readonly #functions = new Map<string, F>();
  readonly #kind: string;
  readonly #method: string;

  constructor(kind: string, method: string) {
    this.#kind = kind;
    this.#method = method;
  }

  add(name: string, run: F): void {
    const method = this.#method;
    if (typeof name !== 'string' || name === '' || name.length > MAX_FUNCTION_NAME)
      throw new TypeError(`${method}: expected a name of 1 to ${MAX_FUNCTION_NAME} characters`);
    if (typeof run !== 'function' || run.constructor.name !== 'Function')
      throw new TypeError(`${method} ${name}: expected a function that is not async and no generator`);
    if (this.#functions.has(name))
      throw new TypeError(`${method} ${name}: there is one of this name already`);
    this.#functions.set(name, run);
  }

  get(name: string): F {
    const found = this.#functions.get(name);
    if (found !== undefined) return found;
    const names = [...this.#functions.keys()];
    const more = names.length > LISTED_NAMES ? ` and ${names.length - LISTED_NAMES} more` : '';
    const list = names
      .slice(0, LISTED_NAMES)
      .map((one) => shortened(one, 24))
      .join(', ');
    const known = names.length === 0 ? 'it knows none' : `it knows ${list}${more}`;
    throw new UnknownFunctionError(
      `there is no ${this.#kind} ${JSON.stringify(shortened(name, 80))} at the member that holds the data; ${known}`,
    );
  }
}

export class UserFunctions {
  readonly codec: ValueCodec;
  readonly processors = new Registered<EntryProcessor>('entry processor', 'entryProcessor');
  readonly longs = new Registered<LongFunction>('function', 'function');
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** When which function was warned of. */
  readonly #warnedMs = new Map<string, number>();

  constructor({ codec, clock, logger }: UserFunctionsOptions) {
    this.codec = codec;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** What the caller gave to a function; a new copy each time, so that no call sees what another one did to it. */
  argument(bytes: Uint8Array | null): unknown {
    return bytes === null ? undefined : this.decode(bytes);
  }

  /** Throws a `SerializerMissingError` for what only a serializer reads that is not here. */
  decode(bytes: Uint8Array): unknown {
    if (this.codec.lacksSerializer(bytes))
      throw new SerializerMissingError(
        'a value was written with a custom serializer, and the member that runs the function has none: call registry.serializer at every member',
      );
    return this.codec.decode(bytes);
  }

  /**
   * Runs a function of that name and kind. Throws a `FunctionFailedError` when it throws or returns a promise; what the
   * entry has thrown because of its bytes stays what it is.
   */
  run<R>(kind: string, name: string, call: () => R): R {
    const startMs = this.#clock.now();
    try {
      const result = call();
      if (isThenable(result))
        throw new FunctionFailedError(`${kind} ${name} returned a promise: it cannot wait`);
      return result;
    } catch (error) {
      throw isOwn(error) ? error : failed(kind, name, 'threw', error);
    } finally {
      const tookMs = this.#clock.now() - startMs;
      if (tookMs > SLOW_MS) this.#warn(kind, name, tookMs);
    }
  }

  /** What a function made, as bytes. */
  encode(kind: string, name: string, what: string, value: unknown): Uint8Array {
    try {
      return this.codec.encode(value);
    } catch (error) {
      if (isOwn(error)) throw error;
      throw failed(kind, name, `${what} what cannot be stored`, error);
    }
  }

  #warn(kind: string, name: string, tookMs: number): void {
    const nowMs = this.#clock.now();
    const id = `${kind} ${name}`;
    if (nowMs - (this.#warnedMs.get(id) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY_MS) return;
    this.#warnedMs.set(id, nowMs);
    this.#logger.log('warn', 'a function of a user held up its member', {
      function: id,
      tookMs: Math.round(tookMs),
    });
  }
}

/** Other errors of the grid are wrapped: what a function throws must not look like a refusal that is tried again. */
function isOwn(error: unknown): boolean {
  return (
    error instanceof FunctionFailedError ||
    error instanceof SerializerMissingError ||
    error instanceof ValueTooLargeError
  );
}

function failed(kind: string, name: string, what: string, cause: unknown): FunctionFailedError {
  const reason = shortened(reasonOf(cause), MAX_REASON);
  return new FunctionFailedError(`${kind} ${name} ${what}: ${reason}`, { cause });
}

function shortened(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters)}…`;
}
