/**
 * The public API of an atomic long, the same for clients and embedded members. Invariant: a wrong argument rejects
 * the promise before anything is sent; nothing is thrown. Method names and argument order are those of
 * Hazelcast's Node.js client, with `bigint` in the place of its Long.
 */
import { type CallOptions, checkedOptions, type Invoker } from '../../invoker.js';
import { checkedFunctionName, encodedArgument } from '../function-call.js';
import { NamedRequests } from '../proxy-named.js';
import { nothing } from '../proxy-requests.js';
import type { StructureModule } from '../structure.js';
import { ATOMIC_LONG_OPERATIONS } from './ops.js';
import { atomicLongOptions } from './options.js';
import { atomicLongService } from './service.js';

/**
 * A signed 64-bit integer that many may change at once; results and arguments wrap modulo 2^64. Methods take a
 * number or a bigint and reject with a `TypeError` for a number that is no safe integer, and with a `GridError` for
 * what happened on the way.
 */
export class GridAtomicLong {
  readonly name: string;
  readonly #requests: NamedRequests;
  readonly #forget: () => void;

  constructor(name: string, invoker: Invoker, options: CallOptions, forget: () => void) {
    this.name = name;
    this.#requests = new NamedRequests(name, invoker, options);
    this.#forget = forget;
  }

  /** The same atomic long with options for each call made through it. */
  with(options: CallOptions): GridAtomicLong {
    const { invoker, options: own } = this.#requests;
    return new GridAtomicLong(this.name, invoker, { ...own, ...checkedOptions(options) }, this.#forget);
  }

  /** The value; 0n before the first write. */
  get(): Promise<bigint> {
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.get, () => ({}), valueIn);
  }

  set(newValue: number | bigint): Promise<void> {
    const request = () => ({ value: toLong('newValue', newValue) });
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.set, request, nothing);
  }

  /** Sets the value; resolves with the old one. */
  getAndSet(newValue: number | bigint): Promise<bigint> {
    const request = () => ({ value: toLong('newValue', newValue) });
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.getAndSet, request, valueIn);
  }

  /** Sets the value if it is `expect`; resolves with whether it was. */
  compareAndSet(expect: number | bigint, update: number | bigint): Promise<boolean> {
    const request = () => ({ expected: toLong('expect', expect), value: toLong('update', update) });
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.compareAndSet, request, ({ changed }) => changed);
  }

  /** Adds; resolves with the new value. */
  addAndGet(delta: number | bigint): Promise<bigint> {
    const request = () => ({ delta: toLong('delta', delta) });
    const sum = ({ value }: { readonly value: bigint }) => BigInt.asIntN(64, value + BigInt(delta));
    return this.#requests.sendAs('addAndGet', ATOMIC_LONG_OPERATIONS.getAndAdd, request, sum);
  }

  /** Adds; resolves with the old value. */
  getAndAdd(delta: number | bigint): Promise<bigint> {
    const request = () => ({ delta: toLong('delta', delta) });
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.getAndAdd, request, valueIn);
  }

  incrementAndGet(): Promise<bigint> {
    return this.addAndGet(1n);
  }

  getAndIncrement(): Promise<bigint> {
    return this.getAndAdd(1n);
  }

  decrementAndGet(): Promise<bigint> {
    return this.addAndGet(-1n);
  }

  getAndDecrement(): Promise<bigint> {
    return this.getAndAdd(-1n);
  }

  /**
   * Sets the value to what a function makes of it that is registered at the members (`registry.function`). `argument` goes
   * to the function, by value. Rejects with an `UnknownFunctionError`, and with a `FunctionFailedError` when the function
   * throws or returns what is no 64-bit bigint; nothing has changed then.
   */
  alter(name: string, argument?: unknown): Promise<void> {
    return this.#alter(name, argument, nothing, 'alter');
  }

  /** The same; resolves with the new value. */
  alterAndGet(name: string, argument?: unknown): Promise<bigint> {
    return this.#alter(name, argument, ({ after }) => after, 'alterAndGet');
  }

  /** The same; resolves with the old value. */
  getAndAlter(name: string, argument?: unknown): Promise<bigint> {
    return this.#alter(name, argument, ({ before }) => before, 'getAndAlter');
  }

  /** What a registered function makes of the value, which stays as it is. */
  apply(name: string, argument?: unknown): Promise<bigint> {
    const request = () => this.#applied(name, argument);
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.apply, request, valueIn);
  }

  #alter<R>(
    name: string,
    argument: unknown,
    decode: (reply: { readonly before: bigint; readonly after: bigint }) => R,
    calledAs: string,
  ): Promise<R> {
    const request = () => this.#applied(name, argument);
    return this.#requests.sendAs(calledAs, ATOMIC_LONG_OPERATIONS.alter, request, decode);
  }

  #applied(name: string, argument: unknown) {
    return {
      function: checkedFunctionName(name),
      argument: encodedArgument(this.#requests.invoker.codec, argument),
    };
  }

  /** Sets the value back to 0; the next `getAtomicLong` of this name gives a new object. */
  destroy(): Promise<void> {
    this.#forget();
    return this.#requests.send(ATOMIC_LONG_OPERATIONS.destroy, () => ({}), nothing);
  }
}

/** `path` is the name of the argument, for messages. */
function toLong(path: string, value: unknown): bigint {
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) === value) return value;
    throw new TypeError(`${path}: ${value} does not fit into 64 bits`);
  }
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  const given = typeof value === 'number' ? String(value) : `a value of type ${typeof value}`;
  throw new TypeError(`${path}: expected a bigint or a whole number within ±(2^53 - 1), got ${given}`);
}

function valueIn({ value }: { readonly value: bigint }): bigint {
  return value;
}

declare module '../structure.js' {
  interface StructureGetters {
    /** The atomic long of that name: always the same object. It is 0 until its first write. */
    getAtomicLong(name: string): GridAtomicLong;
  }
}

export const ATOMIC_LONG = {
  service: atomicLongService,
  options: atomicLongOptions,
  configKey: 'atomicLongs',
  getter: 'getAtomicLong',
  createProxy: (name: string, invoker: Invoker, options: CallOptions, forget: () => void) =>
    new GridAtomicLong(name, invoker, options, forget),
} as const satisfies StructureModule;
