/**
 * Holds what callers of a multimap were told against what is there at the end: an acknowledged pair that nobody can have
 * removed is there, one whose removal was acknowledged is not, and nothing is there that nobody put. Values are put once,
 * but for those named as shared. Called by the judge of runs with splits.
 */
import type { HistoryOperation } from './history.js';

export interface PairsInput {
  readonly history: readonly HistoryOperation[];
  /** By key as in the history, what `get` gave at the end. */
  readonly found: ReadonlyMap<string, readonly string[]>;
  /** Keys of which a merge report says that something may be missing. */
  readonly reported: ReadonlySet<string>;
  readonly isShared: (value: string) => boolean;
  /** Linearizable: reads while the run goes on are held against what was over before them, too. */
  readonly isConsistent: boolean;
}

export interface PairsProblem {
  readonly kind: 'lost' | 'back' | 'undone' | 'twice' | 'strange' | 'stale';
  readonly text: string;
}

const SHOWN = 3;

/** What is known of one pair. */
interface Known {
  readonly puts: HistoryOperation[];
  /** Calls that did remove it, and calls that may have. */
  readonly removed: HistoryOperation[];
  readonly mayRemove: HistoryOperation[];
}

export function checkPairs(input: PairsInput): PairsProblem[] {
  const problems = [...byKey(input.history)].flatMap(([k, history]) => checkKey(k, history, input));
  for (const k of input.found.keys()) {
    if (!input.history.some((operation) => operation.k === k))
      problems.push({ kind: 'strange', text: `${k} has values, and nobody touched it` });
  }
  const kinds = [...new Set(problems.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => problems.filter((problem) => problem.kind === kind).slice(0, SHOWN));
}

function byKey(history: readonly HistoryOperation[]): Map<string, HistoryOperation[]> {
  const keys = new Map<string, HistoryOperation[]>();
  for (const operation of history) keys.set(operation.k, [...(keys.get(operation.k) ?? []), operation]);
  return keys;
}

function checkKey(k: string, history: readonly HistoryOperation[], input: PairsInput): PairsProblem[] {
  const found = input.found.get(k) ?? [];
  const problems: PairsProblem[] = [];
  const say = (kind: PairsProblem['kind'], text: string) => problems.push({ kind, text: `${k}: ${text}` });
  const values = new Set(history.flatMap(({ f, v }) => (f === 'put' ? [v as string] : [])));
  for (const value of found) if (!values.has(value)) say('strange', `${value} is there, and nobody put it`);
  for (const value of new Set(found)) {
    const count = found.filter((one) => one === value).length;
    if (count > 1) say('twice', `${value} is in the set ${count} times`);
  }
  for (const value of values) {
    const known = knownOf(history, value);
    const isThere = found.includes(value);
    if (!isThere && isDue(known) && !input.reported.has(k))
      say('lost', `${value} was put (${timesOf(known.puts)}), no removal can have seen it, and it is gone`);
    if (input.isShared(value)) continue;
    const [put] = known.puts;
    if (isThere && known.removed.length > 0)
      say('back', `${value} was put (${timesOf(known.puts)}) and removed (${timesOf(known.removed)})`);
    if (isThere && put?.type === 'fail') say('undone', `${value} was reported as not put, and is there`);
    if (put?.type === 'ok' && put.out === false) say('twice', `the first put of ${value} found it there`);
    if (input.isConsistent && known.removed.length > 1)
      say('back', `${value} was removed twice (${timesOf(known.removed)})`);
    if (input.isConsistent) for (const text of staleReads(history, value, known)) say('stale', text);
  }
  return problems;
}

function knownOf(history: readonly HistoryOperation[], value: string): Known {
  const known: Known = { puts: [], removed: [], mayRemove: [] };
  for (const operation of history) {
    const { f, v, type, out } = operation;
    if (f === 'put' && v === value) known.puts.push(operation);
    const concerns = f === 'removeAll' || (f === 'remove' && v === value);
    if (!concerns || type === 'fail') continue;
    if (type === 'ok' && (out === true || (Array.isArray(out) && out.includes(value))))
      known.removed.push(operation);
    // Of what was asked about afterwards it is not known what it removed.
    else if (type === 'info' || (f === 'removeAll' && !Array.isArray(out))) known.mayRemove.push(operation);
  }
  return known;
}

/** One of the puts added the pair, and every call that removed it, or may have, was over before. */
function isDue({ puts, removed, mayRemove }: Known): boolean {
  return puts.some(({ type, out, call }) => {
    if (type !== 'ok' || out === false) return false;
    return [...removed, ...mayRemove].every(({ ret }) => ret !== null && ret < call);
  });
}

function staleReads(history: readonly HistoryOperation[], value: string, known: Known): string[] {
  return history.flatMap(({ f, type, out, call, ret }) => {
    if (f !== 'get' || type !== 'ok' || !Array.isArray(out) || ret === null) return [];
    const isOver = (operation: HistoryOperation) => operation.ret !== null && operation.ret < call;
    const isShown = out.includes(value);
    if (isShown && known.removed.some(isOver)) return [`${value} was read at ${ms(call)} after its removal`];
    const mayBeGone = [...known.removed, ...known.mayRemove].some((operation) => operation.call < ret);
    const wasPut = known.puts.some((put) => put.type === 'ok' && isOver(put));
    return !isShown && wasPut && !mayBeGone ? [`${value} was not read at ${ms(call)} after its put`] : [];
  });
}

function timesOf(operations: readonly HistoryOperation[]): string {
  return operations
    .map(({ c, call, ret }) => `by ${c}, ${ms(call)} to ${ret === null ? '?' : ms(ret)}`)
    .join('; ');
}

function ms(ns: number): string {
  return `${(ns / 1e6).toFixed(0)} ms`;
}
