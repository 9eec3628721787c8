/**
 * The events of a map or multimap as an async iterator, with a token from which another process can go on. What is not taken
 * waits in a bounded buffer; what does not fit is a gap of its partition. Called by the proxies of map and multimap.
 */
import { Reader, Writer } from '../../src/base/bytes.js';
import { EventTokenError } from '../../src/base/errors.js';
import { checkKnown } from '../../src/base/option-names.js';
import { EVENT_KINDS, type EventKind, type EventPlace, eventPlaceField } from '../events/event.js';
import type { GapReason, ToldEvent } from '../events/listening.js';
import { murmur3 } from '../hash.js';
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

type WithType<T extends string, E> = { readonly type: T } & E;

/** An event with what has happened in `type`. */
export type StreamEvent<K, V> =
  | WithType<Exclude<EventKind, 'mapEvicted' | 'mapCleared'>, EntryEvent<K, V>>
  | WithType<'mapEvicted' | 'mapCleared', MapEvent>
  | WithType<'gap', GapEvent>;

interface Item<K, V> {
  readonly partition: number;
  /** Null for one that could not be decoded. */
  readonly event: StreamEvent<K, V> | null;
  readonly error?: unknown;
  readonly bytes: number;
  /** How far the partition was told when this is taken. */
  place: EventPlace | null;
}

/** The events of one structure. Ends with `return()`, which leaving a `for await` loop calls. */
export class EntryEvents<K, V> implements AsyncIterableIterator<StreamEvent<K, V>> {
  readonly #name: string;
  readonly #serviceId: number;
  readonly #partitionCount: number;
  readonly #listeners: EntryListeners<K, V>;
  readonly #id: string;
  readonly #items: Item<K, V>[] = [];
  /** Of each partition, the item that waits last. */
  readonly #last = new Map<number, Item<K, V>>();
  readonly #places = new Map<number, EventPlace>();
  readonly #full = new Set<number>();
  readonly #ready: Promise<void>;
  #bytes = 0;
  /** Of calls of `next` that wait. */
  #wakes: (() => void)[] = [];
  #ended = false;

  constructor(
    name: string,
    of: { readonly serviceId: number; readonly partitionCount: number },
    listeners: EntryListeners<K, V>,
    options: EventsOptions<K>,
  ) {
    checkKnown(options, ['key', 'includeValue', 'from']);
    this.#name = name;
    this.#serviceId = of.serviceId;
    this.#partitionCount = of.partitionCount;
    this.#listeners = listeners;
    const { from, includeValue, key } = options;
    const places = from === undefined ? null : this.#read(from);
    for (const [partition, place] of places ?? []) this.#places.set(partition, place);
    const request = listeners.request(EVENT_KINDS, { key, includeValue }, places, {
      event: (told) => this.#onEvent(told),
      gap: (partition, reason) => this.#onGap(partition, reason),
      reached: (partition, place) => this.#onReached(partition, place),
    });
    let settle: (error: unknown) => void = () => {};
    this.#ready = new Promise((resolve, reject) => {
      settle = (error) => (error === null ? resolve() : reject(error));
    });
    // Whoever does not ask hears of it from next().
    this.#ready.catch(() => {});
    this.#id = listeners.listen({ ...request, settled: settle });
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

  #decoded(told: ToldEvent): Pick<Item<K, V>, 'event' | 'error'> {
    try {
      return { event: { type: told.kind, ...this.#listeners.eventOf(told) } as StreamEvent<K, V> };
    } catch (error) {
      return { event: null, error };
    }
  }

  /** What comes behind a gap that nobody has taken yet is a part of it. */
  #onGap(partition: number, reason: GapReason): void {
    if (this.#full.has(partition)) return;
    if (this.#items.length >= MAX_BUFFERED) this.#full.add(partition);
    const event = { type: 'gap', name: this.#name, partition, reason } as const;
    this.#put({ partition, event, bytes: 0, place: null });
  }

  #put(item: Item<K, V>): void {
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

  // --- what is taken

  async next(): Promise<IteratorResult<StreamEvent<K, V>, undefined>> {
    while (this.#items.length === 0 && !this.#ended) {
      await this.#ready;
      if (this.#items.length === 0 && !this.#ended) await this.#somethingComes();
    }
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

  #taken(item: Item<K, V>): void {
    const { partition, place, bytes, event } = item;
    this.#bytes -= bytes;
    if (event?.type === 'gap') this.#full.delete(partition);
    if (this.#last.get(partition) === item) this.#last.delete(partition);
    if (place !== null) this.#places.set(partition, place);
  }

  /** Ends the iteration; what waits is dropped. */
  return(): Promise<IteratorResult<StreamEvent<K, V>, undefined>> {
    this.#ended = true;
    this.#items.length = 0;
    this.#last.clear();
    this.#listeners.remove(this.#id);
    this.#wakeAll();
    return Promise.resolve({ done: true, value: undefined });
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
    const body = new Writer(1024);
    body.u8(this.#serviceId);
    body.string(this.#name);
    body.u16(this.#partitionCount);
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
    if (serviceId !== this.#serviceId || name !== this.#name || partitionCount !== this.#partitionCount)
      throw new EventTokenError(`from: the token is of another structure, '${name}'`);
    const places = new Map<number, EventPlace>();
    for (let left = reader.u16(); left > 0; left--) places.set(reader.u16(), eventPlaceField.read(reader));
    return places;
  }
}
