/**
 * One step of a query in one partition: goes over some entries from a hash on, in the order of hashes, and tells where to go on.
 * Invariants: a step ends after a bounded number of entries, of bytes and of time, so that heartbeats and other calls get on;
 * entries of one hash are never torn apart; an index and a scan give the same entries in the same order, so a query goes on
 * with the one where the other has stopped. Called by the handlers of queries.
 */
import type { OperationContext } from '../service.js';
import type { RecordStore } from '../store/record-store.js';
import { EntryBytes } from './entry-bytes.js';
import type { Matcher } from './matcher.js';

/** The data that is asked. */
export interface Queried {
  readonly store: RecordStore;
  isVisible(ref: number, context: OperationContext): boolean;
}

export type SliceClock = Pick<OperationContext, 'nowMs' | 'wallMs'>;

export interface SliceLimits {
  /** Entries that are looked at. */
  readonly records: number;
  /** What `take` adds up to; one entry alone may be more. */
  readonly bytes: number;
  /** Entries that are taken. */
  readonly matches: number;
}

/** Where the entries of a query are: those of an index, by hash in ascending order, or all of them. */
export interface Candidates {
  readonly hashes: ArrayLike<number> | null;
  /** For people: what the index is called, '' for a scan. */
  readonly index: string;
}

export const ALL_ENTRIES: Candidates = { hashes: null, index: '' };

export interface SliceEnd {
  /** Hash at which to go on, or -1. */
  readonly next: number;
  /** Entries that the predicate was asked about. */
  readonly visited: number;
  readonly matched: number;
  readonly index: string;
}

/** Gives the bytes that taking the entry costs. The ref is valid until the next change. */
export type Take = (ref: number, entry: EntryBytes) => number;

/** How long a step may take, roughly: the time of some entries more. */
const SLICE_MS = 5;
/** Between two looks at the clock, which is also looked at as soon as the entries since the last one took so many steps. */
const STRETCH = { records: 64, bytes: 128 * 1024 };
const STRETCH_STEPS = 50_000;

export function runSlice(
  of: Queried,
  matcher: Matcher,
  candidates: Candidates,
  cursor: number,
  limits: SliceLimits,
  context: OperationContext,
  take: Take,
): SliceEnd {
  const { hashes, index } = candidates;
  if (hashes?.length === 0) return { next: -1, visited: 0, matched: 0, index };
  const walk = new Walk(of, matcher, context, take);
  const endMs = context.nowMs + SLICE_MS;
  const isOver = () =>
    walk.visited >= limits.records ||
    walk.matched >= limits.matches ||
    walk.bytes >= limits.bytes ||
    context.nowMs >= endMs;
  const next =
    hashes === null ? scan(of.store, walk, cursor, limits, isOver) : follow(hashes, walk, cursor, isOver);
  walk.end();
  return { next, visited: walk.visited, matched: walk.matched, index };
}

function scan(
  store: RecordStore,
  walk: Walk,
  from: number,
  limits: SliceLimits,
  isOver: () => boolean,
): number {
  let next = from;
  // Tombstones are walked over and not visited; they have a bound of their own.
  for (let walked = 0; next >= 0; ) {
    walk.look();
    next = store.scan(next, walk.stretch, walk.visit);
    walked += STRETCH.records;
    if (isOver() || walked >= 2 * limits.records) break;
  }
  return next;
}

function follow(hashes: ArrayLike<number>, walk: Walk, cursor: number, isOver: () => boolean): number {
  let at = firstFrom(hashes, cursor);
  for (let since = 0; at < hashes.length; ) {
    const hash = hashes[at] as number;
    walk.visitHash(hash);
    while (hashes[at] === hash) at++;
    if (++since % 16 !== 0 && !walk.isLong) continue;
    walk.look();
    if (isOver()) break;
  }
  return at < hashes.length ? (hashes[at] as number) : -1;
}

function firstFrom(hashes: ArrayLike<number>, least: number): number {
  let [low, high] = [0, hashes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Walk {
  visited = 0;
  matched = 0;
  bytes = 0;
  readonly #of: Queried;
  readonly #matcher: Matcher;
  readonly #context: OperationContext;
  readonly #take: Take;
  readonly #entry = new EntryBytes();
  /** Shortened while it is gone along. */
  readonly stretch = { ...STRETCH };
  #looked: number;

  constructor(of: Queried, matcher: Matcher, context: OperationContext, take: Take) {
    this.#of = of;
    this.#matcher = matcher;
    this.#looked = matcher.spent;
    this.#context = context;
    this.#take = take;
  }

  /** From here to the next look at the clock. */
  look(): void {
    this.#looked = this.#matcher.spent;
    this.stretch.records = STRETCH.records;
  }

  /** The clock is to be looked at before the next entry. */
  get isLong(): boolean {
    return this.#matcher.spent - this.#looked > STRETCH_STEPS;
  }

  readonly visit = (ref: number): void => {
    const { store } = this.#of;
    if (!this.#of.isVisible(ref, this.#context)) return;
    this.visited++;
    const entry = this.#entry.of(store.keyOf(ref), store.valueOf(ref));
    const found = this.#matcher.test(entry);
    if (this.isLong) this.stretch.records = 0;
    if (!found) return;
    this.matched++;
    this.bytes += this.#take(ref, entry);
  };

  visitHash(hash: number): void {
    for (const ref of this.#of.store.refsOf(hash)) this.visit(ref);
  }

  end(): void {
    this.#entry.forget();
  }
}
