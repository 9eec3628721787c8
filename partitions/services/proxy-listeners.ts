/**
 * Listening to the entries of a map or multimap through a proxy: listeners as objects of functions, checked before anything
 * is sent, and what members tell as events for people. Called by the proxies of map and multimap; those of other structures
 * use what all listeners have in common.
 */
import { checkKnown } from '../../src/base/option-names.js';
import { tagText } from '../../src/cluster/view.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import { EVENT_KINDS, type EventKind, type EventPlace } from '../events/event.js';
import type { GapReason, Listening, ListenRequest, ToldEvent } from '../events/listening.js';
import type { Invoker } from '../invoker.js';
import { partitionOfKey } from '../placement.js';
import { PagingPredicate } from '../query/paging.js';
import { checkedPredicate, type Predicate } from '../query/predicate.js';
import type { KeyedRequests } from './proxy-requests.js';

/** Where a change is in the history of its partition. */
export interface EventPosition {
  readonly partition: number;
  /** First 8 hexadecimal digits of the lineage: that of the majority, or of a fork. */
  readonly lineage: string;
  /** Number of the view in which the primary took over that made the change. */
  readonly view: number;
  readonly sequence: number;
  /** Among the events of the same change, from 0 on. */
  readonly index: number;
}

export interface EntryEvent<K, V> {
  /** Of the map or multimap. */
  readonly name: string;
  readonly key: K;
  /** The new value; null when there is none, or without `includeValue`, as the next two. */
  readonly value: V | null;
  readonly oldValue: V | null;
  /** With `merged`: what a merge has brought. */
  readonly mergingValue: V | null;
  /** Id of the member that told it. */
  readonly member: string;
  readonly position: EventPosition;
}

/** Of all entries of a map in one partition, or of a part of them. */
export interface MapEvent {
  readonly name: string;
  readonly numberOfAffectedEntries: number;
  readonly member: string;
  readonly position: EventPosition;
}

/** Changes of this partition may have been missed. */
export interface GapEvent {
  readonly name: string;
  readonly partition: number;
  readonly reason: GapReason;
}

/** What is called for what; each function may be left out. */
export interface EntryListener<K, V> {
  added?(event: EntryEvent<K, V>): void;
  removed?(event: EntryEvent<K, V>): void;
  updated?(event: EntryEvent<K, V>): void;
  merged?(event: EntryEvent<K, V>): void;
  evicted?(event: EntryEvent<K, V>): void;
  expired?(event: EntryEvent<K, V>): void;
  loaded?(event: EntryEvent<K, V>): void;
  mapEvicted?(event: MapEvent): void;
  mapCleared?(event: MapEvent): void;
  gap?(event: GapEvent): void;
}

/** What multimaps tell: of a value that came to a key or left it. */
export type MultiMapListener<K, V> = Pick<EntryListener<K, V>, 'added' | 'removed' | 'mapCleared' | 'gap'>;

/** What a stream or a listener asks for. */
export interface Wanted<K> {
  readonly key: K | null | undefined;
  readonly includeValue: boolean | undefined;
  readonly predicate?: Predicate;
}

type Functions = Readonly<Partial<Record<EventKind | 'gap', (event: unknown) => unknown>>>;

export class EntryListeners<K, V> {
  readonly #requests: KeyedRequests<K, V>;
  readonly #serviceId: number;
  /** That the structure tells of. */
  readonly kinds: readonly EventKind[];

  constructor(requests: KeyedRequests<K, V>, serviceId: number, kinds: readonly EventKind[] = EVENT_KINDS) {
    this.#requests = requests;
    this.#serviceId = serviceId;
    this.kinds = kinds;
  }

  /** What is listened to. */
  get structure(): {
    readonly name: string;
    readonly serviceId: number;
    readonly partitionCount: number;
    readonly signal: AbortSignal | undefined;
  } {
    const { name, invoker, options } = this.#requests;
    const { partitionCount } = invoker;
    return { name, serviceId: this.#serviceId, partitionCount, signal: options.signal };
  }

  get listening(): Listening {
    return listeningOf(this.#requests.invoker);
  }

  /** Resolves with the id of the listener when all that changes from now on is told. */
  add(listener: EntryListener<K, V>, wanted: Wanted<K>): Promise<string> {
    const functions: Functions = checkedFunctions(listener, [...this.kinds, 'gap']);
    const kinds = this.kinds.filter((kind) => functions[kind] !== undefined);
    const calls = {
      event: (told: ToldEvent) =>
        give(
          told,
          (one) => this.eventOf(one),
          (event) => functions[told.kind]?.call(listener, event),
          calls.gap,
        ),
      gap: (partition: number, reason: GapReason) =>
        functions.gap?.call(listener, { name: this.#requests.name, partition, reason }),
      reached: () => {},
    };
    const request = this.request(kinds, wanted, null, calls);
    return begun(this.listening, request, this.#requests.options.signal);
  }

  /** All of a request but what is done when it has begun. */
  request(
    kinds: readonly EventKind[],
    { key, includeValue = false, predicate }: Wanted<K>,
    from: ReadonlyMap<number, EventPlace> | null,
    calls: Pick<ListenRequest, 'event' | 'gap' | 'reached' | 'ended'>,
  ): Omit<ListenRequest, 'settled'> {
    const { name, options } = this.#requests;
    const keyBytes = key === undefined || key === null ? null : encodeKey(checkedNoPredicate(key));
    const ofKey = (partitionCount: number) => partitionOfKey(keyBytes as Uint8Array, partitionCount);
    return {
      serviceId: this.#serviceId,
      structure: name,
      kinds: kinds.reduce((bits, kind) => bits | (1 << EVENT_KINDS.indexOf(kind)), 0),
      withValue: checkedBoolean('includeValue', includeValue),
      key: keyBytes,
      predicate: predicate ?? null,
      partitionOf: keyBytes === null ? null : ofKey,
      from,
      timeoutMs: options.timeoutMs,
      ...calls,
    };
  }

  /** The event for people. */
  eventOf(told: ToldEvent): EntryEvent<K, V> | MapEvent {
    const { kind, key, value, old, entries, member } = told;
    const { name } = this.#requests;
    const position = positionOf(told);
    if (kind === 'mapEvicted' || kind === 'mapCleared')
      return { name, numberOfAffectedEntries: entries, member, position };
    const decoded = this.#decode(value);
    return {
      name,
      key: decodeKey(key) as K,
      value: decoded,
      oldValue: this.#decode(old),
      mergingValue: kind === 'merged' ? decoded : null,
      member,
      position,
    };
  }

  #decode(bytes: Uint8Array | null): V | null {
    return bytes === null ? null : this.#requests.decode(bytes);
  }

  /** False when there is no such listener in this process. */
  remove(id: string): boolean {
    return removed(this.listening, id);
  }
}

export function listeningOf({ listening }: Pick<Invoker, 'listening'>): Listening {
  if (listening === undefined) throw new TypeError('nothing can be listened to here');
  return listening;
}

/** Gives what was told to a function of a user; what cannot be decoded here is a gap. */
export function give<E>(
  told: ToldEvent,
  eventOf: (told: ToldEvent) => E,
  take: (event: E) => unknown,
  gap: ListenRequest['gap'],
): unknown {
  let event: E;
  try {
    event = eventOf(told);
  } catch {
    return gap(told.partition, 'unreadable');
  }
  return take(event);
}

/** Resolves with the id of the listener when all that changes from now on is told. */
export function begun(
  listening: Listening,
  request: Omit<ListenRequest, 'settled'>,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (signal?.aborted === true) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const settled: ListenRequest['settled'] = (error) => {
      signal?.removeEventListener('abort', aborted);
      if (error === null) resolve(id);
      else reject(error);
    };
    const aborted = () => {
      listening.remove(id);
      reject(signal?.reason);
    };
    const id = listening.listen({ ...request, settled });
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** The functions of a listener, of which each may be left out, but not all; throws a TypeError for anything else. */
export function checkedFunctions<N extends string>(
  listener: unknown,
  names: readonly N[],
): Readonly<Partial<Record<N, (event: unknown) => unknown>>> {
  if (typeof listener !== 'object' || listener === null)
    throw new TypeError(
      `listener: expected an object of functions, got ${listener === null ? 'null' : typeof listener}`,
    );
  checkKnown(listener, names, 'listener');
  for (const name of names) {
    const given: unknown = (listener as Record<string, unknown>)[name];
    if (given !== undefined && typeof given !== 'function')
      throw new TypeError(
        `listener.${name}: expected a function, got ${given === null ? 'null' : typeof given}`,
      );
  }
  if (names.every((name) => (listener as Record<string, unknown>)[name] === undefined))
    throw new TypeError(`listener: expected at least one of the functions ${names.join(', ')}`);
  return listener as never;
}

/** A predicate could be a key, as any plain object, and is not meant to be one. */
function checkedNoPredicate<K>(key: K): K {
  const isPredicate = key instanceof PagingPredicate || (Object.isFrozen(key) && isPlainPredicate(key));
  if (!isPredicate) return key;
  throw new TypeError(
    'key: expected a key, got a predicate; of a map use addEntryListenerWithPredicate(listener, predicate), or the option predicate of events()',
  );
}

function isPlainPredicate(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false;
  try {
    checkedPredicate(given);
    return true;
  } catch {
    return false;
  }
}

export function checkedBoolean(name: string, given: unknown): boolean {
  if (typeof given !== 'boolean') throw new TypeError(`${name}: expected a boolean, got ${typeof given}`);
  return given;
}

/** False when there is no such listener in this process. */
export function removed(listening: Listening, id: unknown): boolean {
  if (typeof id !== 'string') throw new TypeError(`id: expected a string, got ${typeof id}`);
  return listening.remove(id);
}

export function positionOf({ partition, lineage, epoch, seq, index }: ToldEvent): EventPosition {
  return { partition, lineage: tagText(lineage), view: epoch, sequence: seq, index };
}
