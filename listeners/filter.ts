/**
 * Which events a listener is told, and as what. With a predicate it is told of the set of entries that match: one that comes
 * to match is added to it, one that ceases to match is removed from it, whatever has become of the entry itself. Called by
 * the teller.
 */
import { type ChangeEvent, EVENT_KINDS, type EventKind } from '../partitions/events/event.js';
import type { Asked } from './asked.js';

type Told = Pick<ChangeEvent, 'kind' | 'value' | 'old'>;

export interface FilterOptions {
  /** Bit i for event kind i. */
  readonly kinds: number;
  /** Copied: it may be a view. */
  readonly key: Uint8Array | null;
  /** Of the predicate. */
  readonly asked: Asked | null;
}

export class EntryFilter {
  readonly #kinds: number;
  readonly #key: Uint8Array | null;
  readonly #asked: Asked | null;

  constructor({ kinds, key, asked }: FilterOptions) {
    this.#kinds = kinds;
    this.#key = key === null ? null : Buffer.from(key);
    this.#asked = asked;
  }

  /** Null when the listener is not told of it. */
  of(event: ChangeEvent): Told | null {
    if (this.#key !== null && Buffer.compare(this.#key, event.key) !== 0) return null;
    const told = this.#asked === null ? event : asMatching(event, this.#asked);
    if (told === null || (this.#kinds & (1 << EVENT_KINDS.indexOf(told.kind))) === 0) return null;
    return told;
  }
}

/** What the change is to the set of entries that match. */
function asMatching(event: ChangeEvent, asked: Asked): Told | null {
  const { kind, value, old } = event;
  // Of a whole structure.
  if (value === null && old === null) return event;
  const { had, has } = asked.of(event);
  if (has) return { kind: kindOf(kind, had), value, old: had ? old : null };
  if (!had) return null;
  return { kind: value === null ? kind : 'removed', value: null, old };
}

function kindOf(kind: EventKind, had: boolean): EventKind {
  return kind === 'updated' && !had ? 'added' : kind;
}
