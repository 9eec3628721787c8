/**
 * The near caches of one process, a client or an embedded member: makes one for each map that its options name, keeps track
 * of the partitions they read, and passes on what members tell. Does nothing while no near cache is configured. Owned by
 * the composition of client and member.
 */
import type { SeenPlaces } from '../partitions/invoker.js';
import { isConsistent, isLatency, type StructureOptions } from '../partitions/service.js';
import type { Reader } from '../src/base/bytes.js';
import type { Clock, Logger } from '../src/base/ports.js';
import type { MemberId, View } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import { encodeKey } from '../src/wire/keys.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import { changes, MAX_WATCHED } from './messages.js';
import { type NearFaults, NearMap } from './near-map.js';
import type { NearCacheOptions } from './options.js';
import { type TrackFaults, Tracks } from './tracks.js';

export interface NearCacheFaults extends TrackFaults, NearFaults {}

export interface NearCachesHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the near cache of a map, or null when it has none. */
  nearOptions(map: string): NearCacheOptions | null;
  /** Of the map itself, in the view that is followed. */
  mapOptions(map: string): StructureOptions;
  decode(bytes: Uint8Array): unknown;
  /** May be lost. */
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
  readonly seen: SeenPlaces;
  readonly faults?: NearCacheFaults;
}

const ONLY_EL =
  "a near cache serves only calls with EL: give the map a preset that ends in EL, or use with({ consistency: 'EL' })";

export class NearCaches {
  readonly #host: NearCachesHost;
  readonly #tracks: Tracks;
  readonly #maps = new Map<string, NearMap>();
  readonly #watched: { readonly name: string; readonly maxStalenessMs: number }[] = [];
  #view: View | null = null;
  /** Told of each near cache when its map is used first. */
  onMade: (name: string, map: NearMap) => void = () => {};

  constructor(host: NearCachesHost) {
    this.#host = host;
    this.#tracks = new Tracks({
      clock: host.clock,
      send: (to, def, body) => host.send(to, def, body),
      watched: () => this.#watched,
      changed: (map, track, hash, seq) => {
        const name = this.#watched[map]?.name;
        if (name !== undefined) this.#maps.get(name)?.changed(track, hash, seq);
      },
      faults: host.faults ?? {},
    });
  }

  /** The near cache of a map, or null when it is to have none. */
  of(name: string): NearMap | null {
    const present = this.#maps.get(name);
    if (present !== undefined) return present;
    const options = this.#host.nearOptions(name);
    if (options === null || this.#watched.length >= MAX_WATCHED) return null;
    const { clock, seen, faults = {} } = this.#host;
    const map = new NearMap(options, {
      clock,
      seen,
      faults,
      decode: (bytes) => this.#host.decode(bytes),
      encodeKey,
      track: (partition) => this.#tracks.of(partition),
      demanded: (nowMs, maxStalenessMs) => this.#tracks.demanded(nowMs, maxStalenessMs),
      isWatched: (hash) => this.#tracks.isLive(hash),
    });
    this.#maps.set(name, map);
    this.#watched.push({ name, maxStalenessMs: options.maxStalenessMs });
    if (this.#view !== null) {
      this.#setPolicy(name, map);
      if (!map.isLatency) this.#host.logger.log('warn', ONLY_EL, { map: name });
      if (this.#watched.length === 1) this.#tracks.adopted(this.#view);
      else this.#tracks.watchMore();
    }
    this.onMade(name, map);
    return map;
  }

  #setPolicy(name: string, map: NearMap): void {
    const options = this.#host.mapOptions(name);
    map.isLatency = isLatency(options);
    map.isConsistent = isConsistent(options);
  }

  /** Another view is followed. */
  adopted(view: View): void {
    const isSwitched = this.#view !== null && this.#view.lineage !== view.lineage;
    this.#view = view;
    if (this.#maps.size === 0) return;
    for (const [name, map] of this.#maps) {
      this.#setPolicy(name, map);
      if (isSwitched) map.changingAll();
    }
    this.#tracks.adopted(view);
  }

  /** A member can be reached from now on. */
  connected(member: MemberId): void {
    this.#tracks.connected(member);
  }

  /** Handles what members tell of changes; false when the message is another one. */
  receive(from: MemberId, { message, lineage }: Header, reader: Reader): boolean {
    if (message !== changes.id) return false;
    this.told(from, lineage, changes.read(reader));
    return true;
  }

  told(from: MemberId, lineage: number, body: BodyOf<typeof changes>): void {
    this.#tracks.told(from, lineage, body);
  }

  /** Near caches that are in use, by the name of the map. */
  get all(): ReadonlyMap<string, NearMap> {
    return this.#maps;
  }

  stop(): void {
    this.#tracks.stop();
  }
}
