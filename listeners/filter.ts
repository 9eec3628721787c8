/**
 * Which events a listener is told, and as what. With a predicate it is told of the set of entries that match: one that comes
 * to match is added to it, one that ceases to match is removed from it, whatever has become of the entry itself. Invariant:
 * an entry that the predicate cannot be asked about counts as one that matches, so that nothing is kept from the listener.
 * Called by the teller.
 */
import { type ChangeEvent, EVENT_KINDS, type EventKind } from '../partitions/events/event.js';
import { type Matcher, matcherOf } from '../partitions/query/matcher.js';
import type { Predicate } from '../partitions/query/predicate.js';

type Told = Pick<ChangeEvent, 'kind' | 'value' | 'old'>;

export interface FilterOptions {
  /** Bit i for event kind i. */
  readonly kinds: number;
  /** Copied: it may be a view. */
  readonly key: Uint8Array | null;
  readonly predicate: Predicate | null;
}

export class EntryFilter {
  readonly #kinds: number;
  readonly #key: Uint8Array | null;
  readonly #matcher: Matcher | null;

  constructor({ kinds, key, predicate }: FilterOptions) {
    this.#kinds = kinds;
    this.#key = key === null ? null : Buffer.from(key);
    this.#matcher = predicate === null ? null : matcherOf(predicate);
  }

  /** Null when the listener is not told of it. */
  of(event: ChangeEvent): Told | null {
    if (this.#key !== null && Buffer.compare(this.#key, event.key) !== 0) return null;
    const told = this.#matcher === null ? event : asMatching(event, this.#matcher);
    if (told === null || (this.#kinds & (1 << EVENT_KINDS.indexOf(told.kind))) === 0) return null;
    return told;
  }
}

/** What the change is to the set of entries that match. */
function asMatching(event: ChangeEvent, matcher: Matcher): Told | null {
  const { kind, key, value, old } = event;
  // Of a whole structure.
  if (value === null && old === null) return event;
  const had = old !== null && matches(matcher, key, old);
  const has = value !== null && matches(matcher, key, value);
  if (has) return { kind: kindOf(kind, had), value, old: had ? old : null };
  if (!had) return null;
  return { kind: value === null ? kind : 'removed', value: null, old };
}

function kindOf(kind: EventKind, had: boolean): EventKind {
  return kind === 'updated' && !had ? 'added' : kind;
}

function matches(matcher: Matcher, key: Uint8Array, value: Uint8Array): boolean {
  try {
    return matcher.matches(key, value);
  } catch {
    return true;
  }
}
