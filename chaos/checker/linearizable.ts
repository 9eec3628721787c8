/**
 * Is a history linearizable? Splits it by key (an object is linearizable when each key is), applies the rules for
 * outcomes that nobody knows, searches each key and explains what does not fit. Called by the chaos runner and
 * by tests with `registerModel` or `atomicLongModel`. Invariant: only `ok` is a pass; when a budget runs out the
 * verdict is `unknown`.
 *
 * Rules: `fail` had no effect and is left out. `info` may take effect at any time after its call, or never, with
 * any answer; an `info` read is left out. Intervals are closed: one operation that ends when another one begins
 * is concurrent with it.
 */
import { describeProblem, type HistoryOperation } from './history.js';
import { type Call, canonical, type Model, UNKNOWN } from './models.js';
import { type SearchResult, search, type TimedOperation } from './search.js';

export interface CheckOptions {
  /** Distinct (set, state) pairs to visit for one key; default 1,000,000 (some 100 MB). */
  readonly maxStatesPerKey?: number;
  /** For the whole history; default 60,000. */
  readonly timeLimitMs?: number;
}

export type Verdict = 'ok' | 'illegal' | 'unknown';

export interface KeyVerdict {
  readonly key: string;
  readonly verdict: Verdict;
  /** Operations that were held against the model, without `fail` and `info` reads. */
  readonly operations: number;
  readonly states: number;
  /** The longest order that was found, in order. */
  readonly prefix: readonly HistoryOperation[];
  /** The operation that had to come next and did not fit; undefined when `ok`. */
  readonly blocking: HistoryOperation | undefined;
  /** For people: the end of the prefix with its states, and why it ends. Empty when `ok`. */
  readonly text: string;
}

export interface CheckResult {
  /** The worst of all keys: illegal, then unknown, then ok. */
  readonly verdict: Verdict;
  readonly keys: number;
  /** Operations held against the model; a pass with 0 proves nothing. */
  readonly operations: number;
  readonly states: number;
  /** The keys that are not `ok`. */
  readonly failures: readonly KeyVerdict[];
  /** For people: all failures. */
  readonly text: string;
}

const SHOWN_PREFIX = 12;

/** Checks every key of `history` against `model`; throws an Error for an operation that makes no sense. */
export function checkLinearizable<State>(
  history: readonly HistoryOperation[],
  model: Model<State, Call, unknown>,
  options: CheckOptions = {},
): CheckResult {
  const deadline = performance.now() + (options.timeLimitMs ?? 60_000);
  const byKey = partition(history, model);
  const failures: KeyVerdict[] = [];
  const total = { operations: 0, states: 0 };
  for (const [key, operations] of byKey) {
    const found = checkKey(key, operations, model, {
      maxStates: options.maxStatesPerKey ?? 1_000_000,
      expired: () => performance.now() > deadline,
    });
    total.operations += found.operations;
    total.states += found.states;
    if (found.verdict !== 'ok') failures.push(found);
  }
  const verdict = failures.some((failure) => failure.verdict === 'illegal')
    ? 'illegal'
    : failures.length > 0
      ? 'unknown'
      : 'ok';
  const text = failures.map((failure) => failure.text).join('\n\n');
  return { verdict, keys: byKey.size, ...total, failures, text };
}

/** The operations that matter, by key, keys in order of first use. */
function partition<State>(
  history: readonly HistoryOperation[],
  model: Model<State, Call, unknown>,
): Map<string, HistoryOperation[]> {
  const byKey = new Map<string, HistoryOperation[]>();
  history.forEach((operation, index) => {
    const problem = describeProblem(operation);
    if (problem !== undefined) throw new Error(`operation ${index + 1} of the history: ${problem}`);
    if (operation.type === 'fail') return;
    if (operation.type === 'info' && model.isRead?.(operation, UNKNOWN) === true) return;
    const operations = byKey.get(operation.k);
    if (operations === undefined) byKey.set(operation.k, [operation]);
    else operations.push(operation);
  });
  return byKey;
}

function checkKey<State>(
  key: string,
  operations: readonly HistoryOperation[],
  model: Model<State, Call, unknown>,
  budget: { maxStates: number; expired: () => boolean },
): KeyVerdict {
  const timed = operations.map(
    (operation): TimedOperation<Call, unknown> => ({
      input: operation,
      output: operation.type === 'info' ? UNKNOWN : operation.out,
      call: operation.call,
      ret: operation.ret ?? Number.POSITIVE_INFINITY,
    }),
  );
  const result = search(timed, model, budget);
  const prefix = result.order.map((index) => operations[index]!);
  const blocking = result.blocking === undefined ? undefined : operations[result.blocking]!;
  const found = { key, verdict: result.verdict, operations: operations.length, states: result.states };
  return { ...found, prefix, blocking, text: explain(key, operations, model, result) };
}

function explain<State>(
  key: string,
  operations: readonly HistoryOperation[],
  model: Model<State, Call, unknown>,
  result: SearchResult<State>,
): string {
  if (result.verdict === 'ok') return '';
  const blocking = result.blocking === undefined ? undefined : operations[result.blocking]!;
  const head =
    result.verdict === 'illegal'
      ? `key ${JSON.stringify(key)} is not linearizable`
      : `key ${JSON.stringify(key)}: unknown, the budget ran out after ${result.states} states`;
  const lines = [
    `${head}: ${result.order.length} of ${operations.length} operations fit in an order, then none does.`,
  ];
  const skipped = Math.max(0, result.order.length - SHOWN_PREFIX);
  if (skipped > 0) lines.push(`  (${skipped} operations before these)`);
  let state = model.initial;
  result.order.forEach((index, place) => {
    const operation = operations[index]!;
    const next = model.step(state, operation, operation.type === 'info' ? UNKNOWN : operation.out);
    if (typeof next !== 'symbol') state = next as State;
    if (place >= skipped)
      lines.push(`  ${place + 1}. ${describe(operation)}; then it is ${model.key(state)}`);
  });
  lines.push(`  The state is ${model.key(result.state)}.`);
  if (blocking === undefined) return lines.join('\n');
  lines.push(`  Blocked by: ${describe(blocking)}. It had to take effect by ${blocking.ret}.`);
  const placed = new Set(result.order);
  const beside = operations.filter(
    (operation, index) =>
      !placed.has(index) &&
      operation !== blocking &&
      operation.call <= (blocking.ret ?? Number.POSITIVE_INFINITY),
  );
  for (const operation of beside.slice(0, SHOWN_PREFIX))
    lines.push(`  Could come before it: ${describe(operation)}`);
  return lines.join('\n');
}

/** One operation as text: `client 3 cas 1 -> 2 = true [10, 20]`. */
export function describe(operation: HistoryOperation): string {
  const { c, f, v, from, to, call, ret, type, out } = operation;
  const argument = v === undefined ? '' : ` ${canonical(v)}`;
  const change = to === undefined ? '' : ` ${canonical(from ?? null)} -> ${canonical(to)}`;
  const answer = type === 'info' ? ' = ?' : out === undefined ? '' : ` = ${canonical(out)}`;
  return `client ${c} ${f}${argument}${change}${answer} [${call}, ${ret ?? 'open'}]`;
}
