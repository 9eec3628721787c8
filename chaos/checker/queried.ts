/**
 * What queries ask for and show, and what one of them tells about each single key: its value, that it is there and matches,
 * or that nothing there matches. So a query is a reading of every key, each at a moment of its own, and keys are held against
 * a register as ever. Invariant: written from the public API; a query is no snapshot, so nothing is said of two keys together.
 * Called by the checks of queries and by their workload.
 */
import type { HistoryOperation } from './history.js';
import { type Call, canonical, ILLEGAL, type Model, registerModel, type UNKNOWN } from './models.js';
import { ANY, unknownRegisterModel } from './windows.js';

/** A value. No two writes have the same number. */
export interface Item {
  readonly n: number;
  readonly group: string;
}

/** All of what is given has to hold; both ends of the range belong to it. */
export interface Condition {
  readonly group?: string;
  readonly from?: number;
  readonly to?: number;
}

/** Rows of the answer; `count` and `sum` are one number. */
export type Shows = 'entries' | 'keys' | 'values' | 'numbers' | 'count' | 'sum';

/** The argument of a query in a history. */
export interface Asked {
  readonly shows: Shows;
  readonly where: Condition;
  /** The first entries behind a number, by their numbers; null: from the first one on. */
  readonly page?: { readonly after: number | null; readonly size: number };
}

/** A row as far as its query shows it. */
export interface Row {
  readonly key: string | null;
  readonly n: number | null;
  readonly group: string | null;
}

/** In the place of a key: the operation concerns all of them. */
export const ALL_KEYS = '*';

export function isQuery({ k }: Pick<HistoryOperation, 'k'>): boolean {
  return k.endsWith(`/${ALL_KEYS}`);
}

export function matches({ group, from, to }: Condition, item: Item | null): boolean {
  if (item === null || (group !== undefined && item.group !== group)) return false;
  return (from === undefined || item.n >= from) && (to === undefined || item.n <= to);
}

export function rowsOf({ shows }: Asked, out: unknown): Row[] {
  const given = out as readonly unknown[];
  switch (shows) {
    case 'entries':
      return (given as readonly (readonly [string, Item])[]).map(([key, { n, group }]) => ({
        key,
        n,
        group,
      }));
    case 'keys':
      return (given as readonly string[]).map((key) => ({ key, n: null, group: null }));
    case 'values':
      return (given as readonly Item[]).map(({ n, group }) => ({ key: null, n, group }));
    case 'numbers':
      return (given as readonly number[]).map((n) => ({ key: null, n, group: null }));
    default:
      return [];
  }
}

/** What every entry that matches and is not shown would break: of a page that is full only those up to its last entry. */
export function covered({ where, page }: Asked, rows: readonly Row[]): Condition {
  if (page === undefined) return where;
  const from = Math.max(where.from ?? 0, page.after === null ? 0 : page.after + 1);
  const last = rows.at(-1)?.n ?? null;
  const to = rows.length < page.size || last === null ? where.to : Math.min(where.to ?? last, last);
  return { ...where, from, ...(to === undefined ? {} : { to }) };
}

/** What an answered query with rows tells about a key, as an operation on it. */
export function readingOf(
  query: HistoryOperation,
  k: string,
  row: Row | undefined,
  rows: readonly Row[],
  itemOf: (n: number) => Item | null,
): HistoryOperation {
  const { c, call, ret, type } = query;
  const asked = query.v as Asked;
  const told = { c, k, call, ret, type };
  if (row === undefined) return { ...told, f: 'lacks', v: covered(asked, rows) };
  if (row.n === null) return { ...told, f: 'holds', v: asked.where };
  return { ...told, f: 'read', v: query.f, out: itemOf(row.n) ?? { n: row.n } };
}

const ABSENT = canonical(null);

function fits({ f, v }: Call, state: string): boolean {
  const item = state === ABSENT ? null : (JSON.parse(state) as Item);
  return matches(v as Condition, item) === (f === 'holds');
}

function isPartial({ f }: Call): boolean {
  return f === 'holds' || f === 'lacks';
}

/** A register with `holds` (there is something that matches) and `lacks` (there is not). */
export const queriedModel: Model<string, Call, unknown> = {
  ...registerModel,
  isRead: (call, output) => isPartial(call) || registerModel.isRead?.(call, output) === true,
  step: stepOf(registerModel),
};

/** The same where nobody knows what is there at first. */
export const unknownQueriedModel: Model<string, Call, unknown> = {
  ...unknownRegisterModel,
  step: stepOf(unknownRegisterModel),
};

function stepOf(model: Model<string, Call, unknown>) {
  return (state: string, call: Call, output: unknown | typeof UNKNOWN): string | typeof ILLEGAL => {
    if (!isPartial(call)) return model.step(state, call, output);
    return state === ANY || fits(call, state) ? state : ILLEGAL;
  };
}
