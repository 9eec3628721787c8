/**
 * The near cache of one map: its values in this process, for reads that may be behind. Invariants: a hit is never older
 * than `maxStalenessMs` and never behind what its session has seen; an answer that comes late never takes the place of a
 * change that was told meanwhile; what is kept of a partition ends with the primary that it is from. Called by the proxy of
 * the map (`partitions/near.ts`) and by `near-caches.ts`.
 */

import type { AnswerPlace } from '../partitions/call.js';
import { murmur3 } from '../partitions/hash.js';
import { type Place, placeAt, seenBy } from '../partitions/history.js';
import type { SeenPlaces } from '../partitions/invoker.js';
import {
  MISS,
  type NearCacheStatistics,
  type NearOptions,
  type NearPlace,
  type NearValues,
  type Reservation,
} from '../partitions/near.js';
import { textOf } from '../src/base/bytes.js';
import type { Clock } from '../src/base/ports.js';
import { Entries, Entry } from './entries.js';
import type { NearCacheOptions } from './options.js';
import { Statistics } from './statistics.js';
import type { Track } from './tracks.js';
import { keep, valueFor } from './values.js';

export interface NearMapHost {
  readonly clock: Clock;
  decode(bytes: Uint8Array): unknown;
  encodeKey(key: unknown): Uint8Array;
  track(partition: number): Track | undefined;
  /** Somebody reads what must be no older than this. */
  demanded(nowMs: number, maxStalenessMs: number): void;
  /** A member tells of the changes of keys with this hash. */
  isWatched(hash: number): boolean;
  /** What calls have seen that name no session. */
  readonly seen: SeenPlaces;
  readonly faults: NearFaults;
}

/** Faults that tests put in on purpose; never set outside of them. */
export interface NearFaults {
  /** An answer is kept whatever was told while it was on its way. */
  readonly keepsLateFills?: boolean;
  /** A value is given without a look at what the session has seen. */
  readonly ignoresSession?: boolean;
}

/** First character of the text that a key is looked up by when it is not looked up as it is. */
const BY_BYTES = '\0';

function isSimple(key: unknown): boolean {
  if (typeof key === 'string') return key.charCodeAt(0) !== 0;
  if (typeof key === 'number') return key !== 0 || 1 / key > 0;
  return typeof key === 'bigint' || typeof key === 'boolean';
}

function ofBytes(keyBytes: Uint8Array): string {
  return BY_BYTES + textOf(keyBytes);
}

export class NearMap implements NearValues {
  readonly options: NearCacheOptions;
  readonly #host: NearMapHost;
  readonly #entries: Entries;
  readonly #statistics = new Statistics();
  /** By the hash of a key: reads of it that are under way. */
  readonly #reserved = new Map<number, Fill[]>();
  readonly #placeFound: {
    source: 'nearCache';
    ageMs: number;
    position: Place;
    lineage: number;
    view: number;
  };
  /** Calls of the map may be behind when they ask for nothing, by its preset. */
  isLatency = false;
  /** Only what a primary with a lease says counts. */
  isConsistent = false;

  constructor(options: NearCacheOptions, host: NearMapHost) {
    this.options = options;
    this.#host = host;
    this.#entries = new Entries(options);
    const position = { lineage: 0, epoch: 0, seq: 0 };
    this.#placeFound = { source: 'nearCache', ageMs: 0, position, lineage: 0, view: 0 };
  }

  get statistics(): NearCacheStatistics {
    const { size, sizeBytes, evictions } = this.#entries;
    return this.#statistics.read(size, sizeBytes, evictions);
  }

  #isUsable({ consistency }: NearOptions): boolean {
    return consistency === undefined ? this.isLatency : consistency === 'EL';
  }

  #freshMs({ asOfMs, track }: Entry): number {
    const freshMs = track.freshMs(this.isConsistent);
    return freshMs > asOfMs ? freshMs : asOfMs;
  }

  /** Asks members to tell of changes. */
  watch(): void {
    if (this.isLatency) this.#host.demanded(this.#host.clock.now(), this.options.maxStalenessMs);
  }

  /** A value of the key would be kept if it came now. */
  mayKeep(keyBytes: Uint8Array): boolean {
    return this.isLatency && this.#host.isWatched(murmur3(keyBytes));
  }

  // --- reading

  find(key: unknown, options: NearOptions): unknown {
    if (!this.#isUsable(options)) return MISS;
    const nowMs = this.#host.clock.now();
    const entry = this.#entries.get(this.#local(key));
    const allowedMs = this.#allowedMs(options);
    this.#host.demanded(nowMs, allowedMs);
    if (entry === undefined) {
      this.#statistics.misses++;
      return MISS;
    }
    if (entry.generation !== entry.track.generation || this.#isExpired(entry, nowMs)) {
      this.#entries.delete(entry);
      this.#statistics.misses++;
      return MISS;
    }
    const ageMs = nowMs - this.#freshMs(entry);
    if (!(ageMs <= allowedMs)) {
      this.#statistics.tooOld++;
      return MISS;
    }
    if (!this.#isSeen(entry, options)) {
      this.#statistics.behindSession++;
      return MISS;
    }
    this.#entries.used(entry, nowMs);
    this.#statistics.hit(ageMs);
    this.#found(entry, ageMs);
    return valueFor(entry.kept, this.#host.decode);
  }

  #allowedMs({ maxStalenessMs }: NearOptions): number {
    const own = this.options.maxStalenessMs;
    return maxStalenessMs !== undefined && maxStalenessMs < own ? maxStalenessMs : own;
  }

  #isExpired(entry: Entry, nowMs: number): boolean {
    const { ttlMs, maxIdleMs } = this.options;
    const isOver =
      nowMs >= entry.untilMs ||
      (ttlMs > 0 && nowMs - entry.createdMs >= ttlMs) ||
      (maxIdleMs > 0 && nowMs - entry.usedMs >= maxIdleMs);
    if (isOver) this.#statistics.expirations++;
    return isOver;
  }

  /** The session has seen nothing of the partition that the value might be without; it sees the value now. */
  #isSeen(entry: Entry, { session: given }: NearOptions): boolean {
    const session = given === undefined ? this.#host.seen : given;
    if (session === null || this.#host.faults.ignoresSession === true) return true;
    const { track, seq } = entry;
    const { partition, lineage, epoch, through } = track;
    const lowest = session.lowest(partition);
    if (lowest !== null) {
      const upTo = through > seq ? through : seq;
      const isOfEpoch = lowest.lineage === lineage && lowest.epoch === epoch;
      if (isOfEpoch ? lowest.seq > upTo : seenBy({ seq: upTo, history: track.history }, lowest) !== 'here')
        return false;
      if (isOfEpoch && lowest.seq >= seq) return true;
    }
    session.saw(partition, placeAt(track.history, seq), lowest);
    return true;
  }

  #found({ track, seq }: Entry, ageMs: number): void {
    const found = this.#placeFound;
    found.ageMs = ageMs;
    found.lineage = track.lineage;
    found.view = track.epoch;
    const position = found.position as { lineage: number; epoch: number; seq: number };
    position.lineage = track.lineage;
    position.epoch = track.epoch;
    position.seq = track.through > seq ? track.through : seq;
  }

  placeFound(): NearPlace {
    return this.#placeFound;
  }

  #local(key: unknown): unknown {
    if (isSimple(key)) return key;
    try {
      return ofBytes(this.#host.encodeKey(key));
    } catch {
      // The call itself refuses it, with the reason.
      return undefined;
    }
  }

  // --- answers

  reserve(key: unknown, keyBytes: Uint8Array, partition: number, options: NearOptions): Reservation | null {
    if (!this.#isUsable(options)) return null;
    const track = this.#host.track(partition);
    if (track === undefined || !track.isLive) {
      this.#statistics.unwatched++;
      return null;
    }
    const hash = murmur3(keyBytes);
    const local = isSimple(key) ? key : ofBytes(keyBytes);
    const fill: Fill = new Fill(local, hash, track, keyBytes.length, this.#host.clock.now(), {
      filled: (bytes, place) => this.#filled(fill, bytes, place),
      released: () => this.#released(fill),
    });
    const others = this.#reserved.get(hash);
    if (others === undefined) this.#reserved.set(hash, [fill]);
    else others.push(fill);
    return fill;
  }

  #released(fill: Fill): void {
    const fills = this.#reserved.get(fill.hash);
    const at = fills?.indexOf(fill) ?? -1;
    if (fills === undefined || at < 0) return;
    if (fills.length === 1) this.#reserved.delete(fill.hash);
    else fills.splice(at, 1);
  }

  #filled(fill: Fill, bytes: Uint8Array | null, place: AnswerPlace | null): unknown {
    this.#released(fill);
    const value = bytes === null ? null : this.#host.decode(bytes);
    if (bytes === null && !this.options.cacheAbsent) return value;
    if (place === null || !(this.#isCurrent(fill, place) || this.#host.faults.keepsLateFills === true)) {
      this.#statistics.lateFills++;
      return value;
    }
    const kept = keep(value, bytes ?? NO_BYTES, this.options);
    const nowMs = this.#host.clock.now();
    const asOfMs = fill.atMs - place.ageMs;
    // The answer was made after the question: it is good for a little longer than that.
    const untilMs = fill.atMs + place.goodForMs;
    const read = { seq: place.position.seq, asOfMs, untilMs };
    const sizeBytes = fill.keyBytes + (bytes?.length ?? 0);
    this.#entries.put(new Entry(fill.key, fill.hash, fill.track, read, kept, sizeBytes, nowMs));
    return value;
  }

  /** Nothing was told while the answer was on its way that it does not have. */
  #isCurrent({ track, generation, through, isVoid, changedAt }: Fill, place: AnswerPlace): boolean {
    if (isVoid || !track.isLive || track.generation !== generation) return false;
    if (place.lineage !== track.lineage || place.view !== track.epoch) return false;
    const { seq } = place.position;
    // A primary has answered later than all that it had told when it was asked; a backup may not have that yet.
    return seq >= changedAt && (place.source === 'primary' || seq >= through);
  }

  // --- changes

  /** Keys of this hash have another value from a position on. */
  changed(track: Track, hash: number, seq: number): void {
    for (const entry of this.#entries.ofHash(hash)) {
      if (entry.track !== track || entry.seq >= seq) continue;
      this.#entries.delete(entry);
      this.#statistics.invalidations++;
    }
    for (const fill of this.#reserved.get(hash) ?? [])
      if (fill.track === track && seq > fill.changedAt) fill.changedAt = seq;
  }

  changing(keyBytes: Uint8Array): void {
    const hash = murmur3(keyBytes);
    for (const entry of this.#entries.ofHash(hash)) this.#entries.delete(entry);
    for (const fill of this.#reserved.get(hash) ?? []) fill.isVoid = true;
  }

  changingAll(): void {
    this.#entries.clear();
    for (const fills of this.#reserved.values()) for (const fill of fills) fill.isVoid = true;
  }

  /** The bytes of the keys that are kept, the one used last first. */
  *keys(): Generator<Uint8Array> {
    for (const key of this.#entries.keys()) {
      const isText = typeof key === 'string' && key.startsWith(BY_BYTES);
      yield isText ? Buffer.from(key.slice(1), 'latin1') : this.#host.encodeKey(key);
    }
  }
}

interface FillHost {
  filled(bytes: Uint8Array | null, place: AnswerPlace | null): unknown;
  released(): void;
}

class Fill implements Reservation {
  readonly key: unknown;
  readonly hash: number;
  readonly track: Track;
  readonly keyBytes: number;
  readonly atMs: number;
  readonly generation: number;
  readonly through: number;
  readonly #host: FillHost;
  /** The latest change of the key that was told meanwhile. */
  changedAt = 0;
  isVoid = false;

  constructor(key: unknown, hash: number, track: Track, keyBytes: number, atMs: number, host: FillHost) {
    this.key = key;
    this.hash = hash;
    this.track = track;
    this.keyBytes = keyBytes;
    this.atMs = atMs;
    this.generation = track.generation;
    this.through = track.through;
    this.#host = host;
  }

  fill(bytes: Uint8Array | null, place: AnswerPlace | null): unknown {
    return this.#host.filled(bytes, place);
  }

  release(): void {
    this.#host.released();
  }
}

const NO_BYTES = new Uint8Array(0);
