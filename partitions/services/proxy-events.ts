/**
 * The events of a structure as an async iterator, with a token from which another process can go on. What is not taken
 * waits in a bounded buffer; what does not fit is a gap of its partition. Called by the proxies of map, multimap and
 * topic.
 */
import { Aborts } from '../../src/base/aborts.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { EventTokenError } from '../../src/base/errors.js';
import { checkKnown } from '../../src/base/option-names.js';
import { type EventKind, type EventPlace, eventPlaceField } from '../events/event.js';
import type { GapReason, Listening, ListenRequest, ToldEvent } from '../events/listening.js';
import { murmur3 } from '../hash.js';
import { checkedPredicate, type Predicate } from '../query/predicate.js';
import type { EntryEvent, EntryListeners, GapEvent, MapEvent } from './proxy-listeners.js';

const MAX_BUFFERED = 10_000;
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const TOKEN_VERSION = 1;
const MAX_NAME_BYTES = 240;

export interface EventsOptions<K> {
  /** Only events of this key. */
  readonly key?: K;
  /** Default false. */
  readonly includeValue?: boolean;
  /** A token: go on behind it. Default: with what changes from now on. */
  readonly from?: string;
}

export interface MapEventsOptions<K> extends EventsOptions<K> {
  /** Only of entries that match before or after the change, as of `addEntryListenerWithPredicate`. */
  readonly predicate?: Predicate;
}

export type WithType<T extends string, E> = { readonly type: T } & E;

/** An event with what has happened in `type`. */
export type StreamEvent<K, V> =
  | WithType<Exclude<EventKind, 'mapEvicted' | 'mapCleared'>, EntryEvent<K, V>>
  | WithType<'mapEvicted' | 'mapCleared', MapEvent>
  | WithType<'gap', GapEvent>;

/** The same for a multimap. */
export type MultiMapStreamEvent<K, V> =
  | WithType<'added' | 'removed', EntryEvent<K, V>>
  | WithType<'mapCleared', MapEvent>
  | WithType<'gap', GapEvent>;

/** The events of the entries of a map. */
export type EntryEvents<K, V> = EventStream<StreamEvent<K, V>>;
export type MultiMapEvents<K, V> = EventStream<MultiMapStreamEvent<K, V>>;

export type StreamCalls = Pick<ListenRequest, 'event' | 'gap' | 'reached' | 'ended'>;

/** What a stream is of. */
export interface EventSource<E> {
  readonly name: string;
  readonly serviceId: number;
  readonly partitionCount: number;
  readonly listening: Listening;
  /** Ends the iteration. */
  readonly signal: AbortSignal | undefined;
  /** `from`: by partition, where to go on. */
  request(from: ReadonlyMap<number, EventPlace> | null, calls: StreamCalls): Omit<ListenRequest, 'settled'>;
  /** The event for people; may throw for what cannot be decoded. */
  eventOf(told: ToldEvent): E;
}

interface Item<E> {
  readonly partition: number;
  /** Null for one that could not be decoded. */
  readonly event: E | WithType<'gap', GapEvent> | null;
  readonly error?: unknown;
  readonly bytes: number;
  /** How far the partition was told when this is taken. */
  place: EventPlace | null;
}

/** Throws a `TypeError` for wrong options, and an `EventTokenError` for a token of another map. */
export function mapEvents<K, V>(
  listeners: EntryListeners<K, V>,
  options: MapEventsOptions<K>,
): EntryEvents<K, V> {
  checkKnown(options, ['key', 'includeValue', 'from', 'predicate']);
  const { predicate } = options;
  return streamOf(listeners, options, predicate === undefined ? undefined : checkedPredicate(predicate));
}

/** The same, for a multimap. */
export function multiMapEvents<K, V>(
  listeners: EntryListeners<K, V>,
  options: EventsOptions<K>,
): MultiMapEvents<K, V> {
  checkKnown(options, ['key', 'includeValue', 'from']);
  return streamOf(listeners, options);
}

function streamOf<K, V, E extends { readonly type: string }>(
  listeners: EntryListeners<K, V>,
  { from, includeValue, key }: EventsOptions<K>,
  predicate?: Predicate,
): EventStream<E> {
  const wanted = { key, includeValue, ...(predicate === undefined ? {} : { predicate }) };
  const source: EventSource<E> = {
    ...listeners.structure,
    listening: listeners.listening,
    request: (places, calls) => listeners.request(listeners.kinds, wanted, places, calls),
    eventOf: (told) => ({ type: told.kind, ...listeners.eventOf(told) }) as unknown as E,
  };
  return new EventStream(source, from);
}

/** Of streams. */
const ABORTS = new Aborts();

/**
 * The events of one structure. Ends with `return()`, which leaving a `for await` loop calls, and with its signal, whose reason
 * `next()` throws from then on.
 */
export class EventStream<E extends { readonly type: string }>
  implements AsyncIterableIterator<E | WithType<'gap', GapEvent>>
{
  readonly #source: EventSource<E>;
  /** Null when the signal fired before it began. */
  readonly #id: string | null;
  readonly #items: Item<E>[] = [];
  /** Of each partition, the item that waits last. */
  readonly #last = new Map<number, Item<E>>();
  readonly #places = new Map<number, EventPlace>();
  readonly #full = new Set<number>();
  readonly #ready: Promise<void>;
  #bytes = 0;
  /** Of calls of `next` that wait. */
  #wakes: (() => void)[] = [];
  #ended = false;
  #aborted: { readonly reason: unknown } | null = null;
  #settle: (error: unknown) => void = () => {};
  #unlisten = () => {};

  /** `from`: a token, to go on behind it; left out: with what changes from now on. */
  constructor(source: EventSource<E>, from: string | undefined) {
    this.#source = source;
    const places = from === undefined ? null : this.#read(from);
    for (const [partition, place] of places ?? []) this.#places.set(partition, place);
    const request = source.request(places, {
      event: (told) => this.#onEvent(told),
      gap: (partition, reason) => this.#onGap(partition, reason),
      reached: (partition, place) => this.#onReached(partition, place),
      ended: () => this.#onEnd(),
    });
    this.#ready = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error));
    });
    // Whoever does not ask hears of it from next().
    this.#ready.catch(() => {});
    const { listening, signal } = source;
    this.#id = signal?.aborted === true ? null : listening.listen({ ...request, settled: this.#settle });
    if (signal === undefined) return;
    if (signal.aborted) this.#abort(signal.reason);
    else this.#unlisten = ABORTS.listen(signal, () => this.#abort(signal.reason));
  }

  #abort(reason: unknown): void {
    this.#aborted = { reason };
    this.#end();
    this.#settle(reason);
  }

  /** Resolves when all that changes from now on will come. */
  ready(): Promise<void> {
    return this.#ready;
  }

  // --- what comes

  #onEvent(told: ToldEvent): void {
    const { partition, key, value, old, lineage, epoch, seq, index } = told;
    if (this.#full.has(partition)) return;
    const bytes = key.length + (value?.length ?? 0) + (old?.length ?? 0);
    if (this.#items.length >= MAX_BUFFERED || this.#bytes + bytes > MAX_BUFFERED_BYTES) {
      this.#onGap(partition, 'overflow');
      this.#full.add(partition);
      return;
    }
    const place = { lineage, epoch, seq, index: index + 1 };
    this.#put({ partition, bytes, place, ...this.#decoded(told) });
  }

  #decoded(told: ToldEvent): Pick<Item<E>, 'event' | 'error'> {
    try {
      return { event: this.#source.eventOf(told) };
    } catch (error) {
      return { event: null, error };
    }
  }

  /** What comes behind a gap that nobody has taken yet is a part of it. */
  #onGap(partition: number, reason: GapReason): void {
    if (this.#full.has(partition)) return;
    if (this.#items.length >= MAX_BUFFERED) this.#full.add(partition);
    const event = { type: 'gap', name: this.#source.name, partition, reason } as const;
    this.#put({ partition, event, bytes: 0, place: null });
  }

  #put(item: Item<E>): void {
    this.#items.push(item);
    this.#last.set(item.partition, item);
    this.#bytes += item.bytes;
    this.#wakeAll();
  }

  #onReached(partition: number, place: EventPlace): void {
    const last = this.#last.get(partition);
    if (last === undefined) this.#places.set(partition, place);
    else last.place = place;
  }

  /** What has come is still given. */
  #onEnd(): void {
    this.#ended = true;
    this.#unlisten();
    this.#wakeAll();
  }

  // --- what is taken

  async next(): Promise<IteratorResult<E | WithType<'gap', GapEvent>, undefined>> {
    while (this.#items.length === 0 && !this.#ended) {
      await this.#ready;
      if (this.#items.length === 0 && !this.#ended) await this.#somethingComes();
    }
    if (this.#aborted !== null) throw this.#aborted.reason;
    const item = this.#items.shift();
    if (item === undefined) return { done: true, value: undefined };
    this.#taken(item);
    if (item.event === null) throw item.error;
    return { done: false, value: item.event };
  }

  #somethingComes(): Promise<void> {
    return new Promise((resolve) => void this.#wakes.push(resolve));
  }

  #wakeAll(): void {
    const wakes = this.#wakes;
    this.#wakes = [];
    for (const wake of wakes) wake();
  }

  #taken(item: Item<E>): void {
    const { partition, place, bytes, event } = item;
    this.#bytes -= bytes;
    if (event?.type === 'gap') this.#full.delete(partition);
    if (this.#last.get(partition) === item) this.#last.delete(partition);
    if (place !== null) this.#places.set(partition, place);
  }

  /** Ends the iteration; what waits is dropped. */
  return(): Promise<IteratorResult<E | WithType<'gap', GapEvent>, undefined>> {
    this.#aborted = null;
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  #end(): void {
    this.#ended = true;
    this.#unlisten();
    this.#items.length = 0;
    this.#last.clear();
    if (this.#id !== null) this.#source.listening.remove(this.#id);
    this.#wakeAll();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // --- tokens

  /**
   * A text for the option `from`, here or in another process: what comes behind it are the events that were not taken here
   * yet.
   */
  token(): string {
    const { serviceId, name, partitionCount } = this.#source;
    const body = new Writer(1024);
    body.u8(serviceId);
    body.string(name);
    body.u16(partitionCount);
    body.u16(this.#places.size);
    for (const [partition, place] of this.#places) {
      body.u16(partition);
      eventPlaceField.write(body, place);
    }
    const bytes = body.toBytes();
    const out = new Writer(bytes.length + 5);
    out.u8(TOKEN_VERSION);
    out.u32(murmur3(bytes));
    out.raw(bytes);
    return out.toBytes().toString('base64url');
  }

  #read(token: unknown): Map<number, EventPlace> {
    if (typeof token !== 'string') throw new TypeError(`from: expected a token, got ${typeof token}`);
    const bytes = Buffer.from(token, 'base64url');
    const isWhole =
      bytes.length > 5 && bytes[0] === TOKEN_VERSION && bytes.readUInt32LE(1) === murmur3(bytes.subarray(5));
    if (!isWhole) throw new EventTokenError('from: the token is damaged, cut off, or of another version');
    const reader = new Reader(bytes.subarray(5));
    const [serviceId, name, partitionCount] = [reader.u8(), reader.string(MAX_NAME_BYTES), reader.u16()];
    const source = this.#source;
    if (serviceId !== source.serviceId || name !== source.name || partitionCount !== source.partitionCount)
      throw new EventTokenError(`from: the token is of another structure, '${name}'`);
    const places = new Map<number, EventPlace>();
    for (let left = reader.u16(); left > 0; left--) places.set(reader.u16(), eventPlaceField.read(reader));
    return places;
  }
}
