/**
 * Histories that are linearizable only in windows, because outside of them weaker promises held. Of each window, the calls that
 * began and ended inside are held against the model; what the state is at its beginning nobody knows. Every other write that
 * may take effect inside, because it overlaps the window or nobody knows its outcome, may do so, or not. Called by the judge of
 * runs with changing presets. Invariant: sound - whatever is found is a violation.
 */
import type { HistoryOperation } from './history.js';
import { type CheckResult, checkLinearizable } from './linearizable.js';
import { type Call, canonical, type ILLEGAL, type Model, registerModel, UNKNOWN } from './models.js';

export interface Window {
  readonly fromNs: number;
  readonly toNs: number;
}

/** No value at all has this text. */
export const ANY = '?';

/** A register of which nobody knows what is in it at first: an answer may tell, and until then any value is possible. */
export const unknownRegisterModel: Model<string, Call, unknown> = {
  initial: ANY,
  key: (state) => state,
  // No shortcut for reads: the first one tells what was there, so it matters where it is placed.
  step(state, call, output) {
    if (state !== ANY) return registerModel.step(state, call, output);
    return fromAny(call, output);
  },
};

/** The state after a call on a register that may hold anything. */
function fromAny({ f, v, to }: Call, output: unknown): string | typeof ILLEGAL {
  const isTold = output !== UNKNOWN && output !== undefined;
  const absent = canonical(null);
  switch (f) {
    case 'read':
      return isTold ? canonical(output) : ANY;
    case 'contains':
      return output === false ? absent : ANY;
    case 'write':
    case 'put':
      return canonical(v);
    case 'remove':
      return absent;
    case 'putIfAbsent':
      if (!isTold) return ANY;
      return output === null ? canonical(v) : canonical(output);
    case 'replace':
      if (!isTold) return ANY;
      return output === null ? absent : canonical(v);
    case 'cas':
      return output === true ? canonical(to) : ANY;
    case 'removeIfSame':
      return output === true ? absent : ANY;
    default:
      throw new Error(`the register model does not know the operation ${JSON.stringify(f)}`);
  }
}

/** The calls of a window, with others that may take effect in it as calls of unknown outcome. */
export function windowOf(
  history: readonly HistoryOperation[],
  { fromNs, toNs }: Window,
): { readonly operations: HistoryOperation[]; readonly inside: number } {
  const operations: HistoryOperation[] = [];
  let inside = 0;
  for (const operation of history) {
    const { call, ret, type, out } = operation;
    if (type === 'fail' || call >= toNs) continue;
    const isInside = type === 'ok' && call > fromNs && (ret as number) < toNs;
    if (isInside) {
      inside++;
      operations.push(operation);
      continue;
    }
    const isOver = type === 'ok' && (ret as number) <= fromNs;
    const answer = type === 'ok' ? out : UNKNOWN;
    if (isOver || registerModel.isRead?.(operation, answer) === true) continue;
    const { out: _, ...rest } = operation;
    operations.push({ ...rest, type: 'info', ret: null });
  }
  return { operations, inside };
}

/** The verdicts of all windows that are not `ok`, with the number of calls that were held against the model. */
export function checkWindows(
  history: readonly HistoryOperation[],
  windows: readonly Window[],
  maxStatesPerKey: number,
): {
  readonly inside: number;
  readonly failures: readonly { readonly window: Window; readonly result: CheckResult }[];
} {
  let total = 0;
  const failures: { window: Window; result: CheckResult }[] = [];
  for (const window of windows) {
    const { operations, inside } = windowOf(history, window);
    total += inside;
    const result = checkLinearizable(operations, unknownRegisterModel, { maxStatesPerKey });
    if (result.verdict !== 'ok') failures.push({ window, result });
  }
  return { inside: total, failures };
}
