/**
 * What a structure does when it is used by one client at a time: the specifications that the linearizability
 * checker holds histories against. Written from the public API, not from the implementation. Invariant: `step`
 * is pure, and two states are the same exactly when their keys are.
 */
import type { HistoryOperation } from './history.js';

/** The output of an operation whose outcome nobody knows: every answer is possible. */
export const UNKNOWN: unique symbol = Symbol('unknown output');
/** The operation could not have given this output in this state. */
export const ILLEGAL: unique symbol = Symbol('illegal');

export interface Model<State, Input, Output> {
  readonly initial: State;
  step(state: State, input: Input, output: Output | typeof UNKNOWN): State | typeof ILLEGAL;
  /** Text that is equal for equal states only; reports show it. */
  key(state: State): string;
  /**
   * True when the operation, having given this output, changes no state at all (not merely the one it met). With
   * an unknown output it then says nothing and is dropped.
   */
  isRead?(input: Input, output: Output | typeof UNKNOWN): boolean;
}

/** The operation and its arguments; of a history's line the model reads nothing else but `out`. */
export type Call = Pick<HistoryOperation, 'f' | 'v' | 'from' | 'to'>;

/** JSON with sorted properties, so that equal values have equal texts; a bigint is shown with its suffix. */
export function canonical(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`;
}

const ABSENT = canonical(null);

/**
 * One key of a map; the state is the value's canonical text, absent is null. Operations: `read`; `contains` (the
 * answer is a boolean); `write` (no answer); `put`, `putIfAbsent`, `replace`, `remove` (the answer is the old value,
 * or null; not checked when there is none); `cas` and `removeIfSame` (the answer is a boolean; none on `ok` means
 * true).
 */
export const registerModel: Model<string, Call, unknown> = {
  initial: ABSENT,
  key: (state) => state,
  isRead: ({ f }, output) =>
    f === 'read' || f === 'contains' || ((f === 'cas' || f === 'removeIfSame') && output === false),
  step(state, { f, v, from, to }, output) {
    switch (f) {
      case 'read':
        return answers(output, state, 'read') ? state : ILLEGAL;
      case 'contains':
        return output === UNKNOWN || output === (state !== ABSENT) ? state : ILLEGAL;
      case 'write':
        return canonical(v);
      case 'put':
        return answersOld(output, state) ? canonical(v) : ILLEGAL;
      case 'remove':
        return answersOld(output, state) ? ABSENT : ILLEGAL;
      case 'putIfAbsent':
        if (!answersOld(output, state)) return ILLEGAL;
        return state === ABSENT ? canonical(v) : state;
      case 'replace':
        if (!answersOld(output, state)) return ILLEGAL;
        return state === ABSENT ? state : canonical(v);
      case 'cas':
        return conditional(state, state === canonical(from), canonical(to), output);
      case 'removeIfSame':
        return conditional(state, state === canonical(from ?? v), ABSENT, output);
      default:
        throw new Error(`the register model does not know the operation ${JSON.stringify(f)}`);
    }
  },
};

/**
 * An atomic long: 64 bits, wrapping. Values are numbers, bigints or strings of digits. Operations: `get` (or
 * `read`), `set`, `add` (or `addAndGet`), `getAndAdd`, `incrementAndGet`, `decrementAndGet`, `getAndIncrement`,
 * `getAndDecrement`, `getAndSet`, and `cas` (or `compareAndSet`). An `ok` without an answer is only
 * allowed for `set` and `add`, which a caller may fire without asking for the value.
 */
export const atomicLongModel: Model<bigint, Call, unknown> = {
  initial: 0n,
  key: (state) => state.toString(),
  isRead: ({ f }, output) =>
    f === 'get' || f === 'read' || ((f === 'cas' || f === 'compareAndSet') && output === false),
  step(state, { f, v, from, to }, output) {
    switch (f) {
      case 'get':
      case 'read':
        return answersLong(output, state, f) ? state : ILLEGAL;
      case 'set':
        return long(v);
      case 'getAndSet':
        return answersLong(output, state, f) ? long(v) : ILLEGAL;
      case 'add':
        return output === undefined ? wrap(state + long(v)) : newValue(state + long(v), output, f);
      case 'addAndGet':
        return newValue(state + long(v), output, f);
      case 'incrementAndGet':
        return newValue(state + 1n, output, f);
      case 'decrementAndGet':
        return newValue(state - 1n, output, f);
      case 'getAndAdd':
        return answersLong(output, state, f) ? wrap(state + long(v)) : ILLEGAL;
      case 'getAndIncrement':
        return answersLong(output, state, f) ? wrap(state + 1n) : ILLEGAL;
      case 'getAndDecrement':
        return answersLong(output, state, f) ? wrap(state - 1n) : ILLEGAL;
      case 'cas':
      case 'compareAndSet':
        return conditional(state, state === long(from), long(to), output);
      default:
        throw new Error(`the atomic long model does not know the operation ${JSON.stringify(f)}`);
    }
  },
};

function conditional<State>(
  state: State,
  holds: boolean,
  next: State,
  output: unknown,
): State | typeof ILLEGAL {
  if (output !== UNKNOWN && (output ?? true) !== holds) return ILLEGAL;
  return holds ? next : state;
}

function answers(output: unknown, state: string, f: string): boolean {
  if (output === undefined) throw new Error(`an ok ${f} without an answer (out) proves nothing`);
  return output === UNKNOWN || canonical(output) === state;
}

function answersOld(output: unknown, state: string): boolean {
  return output === UNKNOWN || output === undefined || canonical(output) === state;
}

function answersLong(output: unknown, value: bigint, f: string): boolean {
  if (output === undefined) throw new Error(`an ok ${f} without an answer (out) proves nothing`);
  return output === UNKNOWN || long(output) === value;
}

function newValue(sum: bigint, output: unknown, f: string): bigint | typeof ILLEGAL {
  const value = wrap(sum);
  return answersLong(output, value, f) ? value : ILLEGAL;
}

function long(value: unknown): bigint {
  if (typeof value === 'bigint') return wrap(value);
  if (typeof value === 'number' || typeof value === 'string') return wrap(BigInt(value));
  throw new Error(`${String(value)} is not a value of an atomic long`);
}

function wrap(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}
