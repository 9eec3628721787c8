/**
 * Holds queries of whole maps against the writes of their keys: what a query shows of a key, or that it shows nothing, has to
 * be explained by something that the key had at some moment between the call and the answer of the query. A write may be in
 * effect from its call on, for ever if its outcome is unknown, and surely is from its answer on. Counts and sums are held
 * against all that such states can add up to. Invariants: sound - each key is looked at alone, because a query is no snapshot;
 * a write that was refused never counts. Called by the judges of all suites.
 */
import type { HistoryOperation } from './history.js';
import { canonical } from './models.js';
import { type Asked, covered, type Item, isQuery, matches, type Row, readingOf, rowsOf } from './queried.js';

export interface QueriesInput {
  /** Calls of one map: writes (`write`, `put`, `remove`) and reads of keys, and queries. */
  readonly history: readonly HistoryOperation[];
  /** Whether an acknowledged change has surely taken the place of what was before, wherever queries ask; default: always. */
  readonly isSettled?: (change: HistoryOperation) => boolean;
  /** Numbers of writes that were declared void later on: a replica may have shown them before, where that is no promise. */
  readonly voided?: ReadonlySet<number>;
}

export interface QueriesProblem {
  readonly kind: 'twice' | 'strange' | 'stale' | 'missing' | 'order' | 'count' | 'sum' | 'back';
  readonly query: HistoryOperation;
  readonly text: string;
}

/** A query of any replica: it may be behind. */
export const LOOSE = 'glance';
/** Sums that are told apart; with more of them only their bounds are known. */
const MAX_SUMS = 4_096;

type Wrong = readonly [kind: QueriesProblem['kind'], text: string];

/** A change of a key, with what it leaves there. */
interface Change {
  readonly operation: HistoryOperation;
  readonly item: Item | null;
}

interface Known {
  /** By key, as in the history. */
  readonly changes: ReadonlyMap<string, readonly Change[]>;
  /** By number. */
  readonly written: ReadonlyMap<number, { readonly k: string; readonly item: Item }>;
  readonly isSettled: (change: HistoryOperation) => boolean;
  readonly voided: ReadonlySet<number>;
}

const NONE: ReadonlySet<number> = new Set();

export function checkQueries({
  history,
  isSettled = () => true,
  voided = NONE,
}: QueriesInput): QueriesProblem[] {
  const known = { ...knownOf(history), isSettled, voided };
  const queries = history.filter((operation) => isQuery(operation) && isAnswered(operation));
  return [
    ...queries.flatMap((query) => {
      const { shows } = query.v as Asked;
      return shows === 'count' || shows === 'sum' ? checkTotal(query, known) : checkRows(query, known);
    }),
    ...checkSessions(history, known),
  ];
}

/**
 * What strict queries tell about each key, beside the operations on it: for the search of an order of each. `all`: with the
 * writes that came before or elsewhere, which say what keys there are and what was written.
 */
export function readingsOf(
  history: readonly HistoryOperation[],
  all: readonly HistoryOperation[] = history,
): HistoryOperation[] {
  const { changes, written } = knownOf(all);
  const itemOf = (n: number) => written.get(n)?.item ?? null;
  return history.flatMap((operation) => {
    if (!isQuery(operation)) return [operation];
    const asked = operation.v as Asked | undefined;
    if (!isAnswered(operation) || operation.f === LOOSE || asked === undefined) return [];
    if (asked.shows === 'count' || asked.shows === 'sum') return [];
    const rows = rowsOf(asked, operation.out);
    const shown = new Map(rows.map((row) => [keyOf(operation, row, written), row]));
    return [...changes.keys()].map((k) => readingOf(operation, k, shown.get(k), rows, itemOf));
  });
}

function isAnswered({ type, v, out }: HistoryOperation): boolean {
  return type === 'ok' && v !== undefined && out !== undefined;
}

function knownOf(history: readonly HistoryOperation[]): Pick<Known, 'changes' | 'written'> {
  const changes = new Map<string, Change[]>();
  const written = new Map<number, { k: string; item: Item }>();
  for (const operation of history) {
    const { k, f, v } = operation;
    if (isQuery(operation)) continue;
    const ofKey = changes.get(k) ?? [];
    changes.set(k, ofKey);
    if (f !== 'write' && f !== 'put' && f !== 'remove') continue;
    const item = f === 'remove' ? null : (v as Item);
    ofKey.push({ operation, item });
    if (item !== null) written.set(item.n, { k, item });
  }
  return { changes, written };
}

function keyOf(query: HistoryOperation, { key, n }: Row, written: Known['written']): string {
  if (key !== null) return `${query.k.slice(0, query.k.indexOf('/'))}/${key}`;
  return written.get(n as number)?.k ?? `the number ${n}`;
}

function checkRows(query: HistoryOperation, known: Known): QueriesProblem[] {
  const asked = query.v as Asked;
  const rows = rowsOf(asked, query.out);
  const problems: QueriesProblem[] = [];
  const say = (...[kind, text]: Wrong) =>
    void problems.push({ kind, query, text: `${textOf(query)} ${text}` });
  const shown = new Map<string, Row>();
  for (const row of rows) {
    const k = keyOf(query, row, known.written);
    if (shown.has(k)) say('twice', `shows ${k} twice: ${nameOf(shown.get(k))} and ${nameOf(row)}`);
    shown.set(k, row);
    const wrong = wrongRow(query, k, row, known);
    if (wrong !== null) say(...wrong);
  }
  if (asked.page !== undefined) for (const wrong of wrongPage(asked.page, rows)) say(...wrong);
  if (query.f === LOOSE) return problems;
  const due = covered(asked, rows);
  for (const [k, changes] of known.changes) {
    if (shown.has(k)) continue;
    const states = statesOf(changes, query, known.isSettled);
    if (states.every((item) => matches(due, item)))
      say('missing', `lacks ${k}, which had ${states.map(nameOf).join(' or ')}`);
  }
  return problems;
}

/** What is wrong with a row, or null. */
function wrongRow(query: HistoryOperation, k: string, row: Row, known: Known): Wrong | null {
  const { where, page } = query.v as Asked;
  const changes = known.changes.get(k) ?? [];
  // A replica that is behind may have what was there at any time before.
  const states =
    query.f === LOOSE ? everBefore(changes, query, known.voided) : statesOf(changes, query, known.isSettled);
  const had = states.map(nameOf).join(' or ') || 'nothing';
  if (row.n === null)
    return states.some((item) => matches(where, item))
      ? null
      : ['stale', `shows ${k}, which matched at no time of it; it had ${had}`];
  const own = known.written.get(row.n);
  if (own === undefined || own.k !== k || (row.group !== null && row.group !== own.item.group))
    return ['strange', `shows ${nameOf(row)} (${row.group}) of ${k}, which nobody wrote there`];
  if (!matches(where, own.item) || (page !== undefined && row.n <= (page.after ?? -1)))
    return ['strange', `shows ${nameOf(row)} of ${k}, which does not match`];
  return states.some((item) => item?.n === row.n)
    ? null
    : ['stale', `shows ${nameOf(row)} of ${k}; it had ${had}`];
}

function wrongPage({ size }: NonNullable<Asked['page']>, rows: readonly Row[]): Wrong[] {
  const isOrdered = rows.every(({ n }, i) => i === 0 || (rows[i - 1]?.n ?? 0) <= (n ?? 0));
  return [
    ...(rows.length > size ? [['order', `has ${rows.length} entries on a page of ${size}`] as const] : []),
    ...(isOrdered ? [] : [['order', `is not in order: ${rows.map(({ n }) => n).join(', ')}`] as const]),
  ];
}

function checkTotal(query: HistoryOperation, known: Known): QueriesProblem[] {
  if (query.f === LOOSE) return [];
  const { shows, where } = query.v as Asked;
  const isSum = shows === 'sum';
  const totals = new Totals();
  for (const changes of known.changes.values()) {
    const states = statesOf(changes, query, known.isSettled);
    totals.add(states.map((item) => (item === null || !matches(where, item) ? 0 : isSum ? item.n : 1)));
  }
  const out = Number(query.out);
  if (totals.has(out)) return [];
  return [
    {
      kind: isSum ? 'sum' : 'count',
      query,
      text: `${textOf(query)} gave ${out}; possible is ${totals.text}`,
    },
  ];
}

/** All that one number of each key can add up to. */
class Totals {
  #least = 0;
  #most = 0;
  /** Null: too many to know each. */
  #each: Set<number> | null = new Set([0]);

  add(given: readonly number[]): void {
    const different = [...new Set(given)];
    if (different.length === 0) return;
    this.#least += Math.min(...different);
    this.#most += Math.max(...different);
    const before = this.#each;
    if (before === null) return;
    const after = new Set<number>();
    for (const total of before) for (const one of different) after.add(total + one);
    this.#each = after.size > MAX_SUMS ? null : after;
  }

  has(total: number): boolean {
    return this.#each === null ? total >= this.#least && total <= this.#most : this.#each.has(total);
  }

  get text(): string {
    const each = this.#each === null || this.#each.size > 6 ? null : [...this.#each];
    return each === null ? `${this.#least} to ${this.#most}` : each.join(' or ');
  }
}

/** What the key may have had at some moment of the query; the first one is what it began with. */
function statesOf(
  changes: readonly Change[],
  { call, ret }: HistoryOperation,
  isSettled: Known['isSettled'],
): (Item | null)[] {
  const endedBefore = ({ operation }: Change, at: number) =>
    operation.type === 'ok' && operation.ret !== null && operation.ret < at && isSettled(operation);
  const over = changes.filter((change) => endedBefore(change, call));
  // Each that began after another one had ended took its place.
  const latestCall = Math.max(-1, ...over.map(({ operation }) => operation.call));
  const possible = changes.filter(({ operation }) => {
    if (operation.type === 'fail' || operation.call > (ret as number)) return false;
    const isReplaced = operation.type === 'ok' && (operation.ret as number) < latestCall;
    return !isReplaced;
  });
  const items = possible.map(({ item }) => item);
  return over.length > 0 ? items : [null, ...items];
}

function everBefore(
  changes: readonly Change[],
  { ret }: HistoryOperation,
  voided: ReadonlySet<number>,
): (Item | null)[] {
  const begun = changes.filter(({ operation: { type, call }, item }) => {
    const isRefused = type === 'fail' && (item === null || !voided.has(item.n));
    return !isRefused && call <= (ret as number);
  });
  return [null, ...begun.map(({ item }) => item)];
}

/**
 * What may be behind never goes back in the session of a caller. Numbers of one key grow with its versions, as long as its
 * writes come one after the other; where the session was lost in between nothing is said.
 */
function checkSessions(history: readonly HistoryOperation[], known: Known): QueriesProblem[] {
  const loose = history.filter((operation) => isQuery(operation) && operation.f === LOOSE);
  const problems: QueriesProblem[] = [];
  const callers = new Map<number, HistoryOperation[]>();
  for (const query of loose) callers.set(query.c, [...(callers.get(query.c) ?? []), query]);
  for (const queries of callers.values()) {
    const refused = queries.filter(({ type }) => type !== 'ok');
    const isCut = (from: number, to: number) =>
      refused.some(({ call, ret }) => call <= to && (ret === null || ret >= from));
    const seen: { k: string; n: number; query: HistoryOperation }[] = [];
    for (const query of queries.filter(isAnswered)) {
      const told = rowsOf(query.v as Asked, query.out).flatMap((row) =>
        row.n === null ? [] : [{ k: keyOf(query, row, known.written), n: row.n, query }],
      );
      for (const { k, n } of told) {
        const later = seen.find((one) => one.k === k && one.n > n && (one.query.ret as number) < query.call);
        if (later !== undefined && !isCut(later.query.call, query.ret as number))
          problems.push({
            kind: 'back',
            query,
            text: `${textOf(query)} shows ${n} of ${k} after the session had seen ${later.n} in ${textOf(later.query)}`,
          });
      }
      seen.push(...told);
    }
  }
  return problems;
}

function nameOf(one: Row | Item | null | undefined): string {
  if (one === null || one === undefined) return 'nothing';
  return one.n === null ? 'its key' : String(one.n);
}

function textOf({ f, k, v, c, call, ret }: HistoryOperation): string {
  const { where, page } = v as Asked;
  const of = page === undefined ? canonical(where) : `${canonical(where)}, page ${canonical(page)},`;
  return `${f} of ${k} where ${of} by caller ${c} from ${ms(call)} to ${ms(ret ?? call)}`;
}

function ms(ns: number): string {
  return `${(ns / 1e6).toFixed(1)} ms`;
}
