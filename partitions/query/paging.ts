/**
 * Results of a query page by page, in one order that all members know: by an attribute and then by key, or by key alone. Holds
 * where each page that was read ended, so that going on or back costs one page. Made by `Predicates.paging`, moved by the user,
 * read by the proxy of the map.
 */
import { checkKnown } from '../../src/base/option-names.js';
import { pathOf } from './paths.js';
import { checkedPredicate, type Predicate } from './predicate.js';
import type { Scalar } from './scalars.js';

/** By what pages are ordered. Equal values are in the order of their keys; a field that is not there comes first, as null. */
export interface OrderBy {
  /** A path without `[any]`; `__key` for the key. */
  readonly attribute: string;
  /** Default `'asc'`. */
  readonly order?: 'asc' | 'desc';
}

/** The place of an entry in the order. */
export interface Anchor {
  readonly sort: Scalar;
  readonly key: Uint8Array;
}

/** Of one page. */
export const MAX_PAGE_SIZE = 10_000;
/** Ends of pages that are kept; those before the oldest are found again from the start. */
const MAX_ANCHORS = 1_000;
const MAX_PAGE = 1_000_000;

/** Give it to `keySetWithPredicate`, `valuesWithPredicate` or `entrySetWithPredicate`; each call gives the page that it is at. */
export class PagingPredicate {
  readonly predicate: Predicate;
  readonly orderBy: Required<OrderBy>;
  readonly #pageSize: number;
  #page = 0;
  /** Where pages end, by number. */
  readonly #ends = new Map<number, Anchor>();

  constructor(predicate: Predicate, pageSize: number, comparator?: OrderBy) {
    if (predicate instanceof PagingPredicate)
      throw new TypeError('paging: a paging predicate inside of another one');
    this.predicate = checkedPredicate(predicate);
    if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > MAX_PAGE_SIZE)
      throw new TypeError(
        `pageSize: expected a whole number from 1 to ${MAX_PAGE_SIZE}, got ${String(pageSize)}`,
      );
    this.#pageSize = pageSize;
    this.orderBy = Object.freeze(checkedOrder(comparator));
  }

  get pageSize(): number {
    return this.#pageSize;
  }

  /** The number of the page that is read next, from 0 on. */
  get page(): number {
    return this.#page;
  }

  getPage(): number {
    return this.#page;
  }

  getPageSize(): number {
    return this.#pageSize;
  }

  nextPage(): this {
    return this.setPage(this.#page + 1);
  }

  /** Stays at the first page. */
  previousPage(): this {
    if (this.#page > 0) this.#page--;
    return this;
  }

  /** Pages between the last one that was read and this one are gone through by the next call. */
  setPage(page: number): this {
    if (!Number.isInteger(page) || page < 0 || page > MAX_PAGE)
      throw new TypeError(`page: expected a whole number from 0 to ${MAX_PAGE}, got ${String(page)}`);
    this.#page = page;
    return this;
  }

  /** To the first page; where pages end is found anew. */
  reset(): this {
    this.#page = 0;
    this.#ends.clear();
    return this;
  }

  /** The nearest page up to this one of which it is known where it begins. */
  knownBefore(page: number): { readonly page: number; readonly after: Anchor | null } {
    let best = 0;
    for (const ended of this.#ends.keys()) if (ended < page && ended + 1 > best) best = ended + 1;
    return { page: best, after: this.#ends.get(best - 1) ?? null };
  }

  ended(page: number, at: Anchor): void {
    this.#ends.delete(page);
    if (this.#ends.size >= MAX_ANCHORS) this.#ends.delete(this.#ends.keys().next().value as number);
    this.#ends.set(page, at);
  }
}

function checkedOrder(given: OrderBy | undefined): Required<OrderBy> {
  if (given === undefined) return { attribute: '__key', order: 'asc' };
  if (typeof given !== 'object' || given === null)
    throw new TypeError(
      "comparator: expected { attribute, order: 'asc' or 'desc' }; members run no functions of callers",
    );
  checkKnown(given, ['attribute', 'order']);
  const { attribute, order = 'asc' } = given;
  const path = pathOf(attribute);
  if (path.hasAny) throw new TypeError('comparator: an attribute with [any] has no one place in an order');
  if (order !== 'asc' && order !== 'desc') throw new TypeError("comparator: order is 'asc' or 'desc'");
  return { attribute: path.text, order };
}
