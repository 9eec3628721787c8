/**
 * What a member tells processes unasked, and is told. Of near caches: it tells others of changes in the partitions that it
 * leads, and its embedded API may keep values of maps near; and the same of listeners. Composition only. Called by the
 * member's composition root.
 */
import { askPositions, changes, holders, watch } from '../../nearcache/messages.js';
import { type NearCacheFaults, NearCaches, type NearCachesHost } from '../../nearcache/near-caches.js';
import { type WatcherLink, Watchers, type WatchersHost, type WatchFaults } from '../../nearcache/watchers.js';
import { mapService } from '../../partitions/services/map/service.js';
import type { Reader } from '../base/bytes.js';
import type { MemberId, View } from '../cluster/view.js';
import type { Header } from '../wire/frame.js';
import type { Link } from '../wire/link.js';
import type { MessageDef } from '../wire/message.js';
import type { ClientLink } from './inbound.js';
import { type ListenFaults, ListenSide, type ListenSideHost } from './listen-side.js';

export interface NearSideFaults extends NearCacheFaults, WatchFaults, ListenFaults {}

export interface NearSideHost extends Omit<WatchersHost, 'faults'>, Omit<NearCachesHost, 'send' | 'faults'> {
  linkTo(member: MemberId): Link | null;
  readonly faults: NearSideFaults;
}

export class NearSide {
  readonly watchers: Watchers;
  readonly caches: NearCaches;
  readonly listening: ListenSide;
  readonly #host: NearSideHost;
  /** By member: for how long near caches depend on it, as it has said last. */
  readonly #held = new Map<MemberId, number>();
  #toldMs = 0;

  constructor(host: NearSideHost, listening: ListenSideHost) {
    this.#host = host;
    this.listening = new ListenSide(listening);
    this.watchers = new Watchers(host);
    this.caches = new NearCaches({ ...host, send: (to, def, body) => this.#send(to, def, body) });
  }

  #send<T>(to: MemberId, def: MessageDef<T>, body: T): void {
    const { linkTo, clock, self } = this.#host;
    if (to !== self) linkTo(to)?.send(def, this.#address(), body);
    // In a turn of its own, as from any other member.
    else clock.defer(() => this.#ownRequest(def, body));
  }

  #ownRequest<T>(def: MessageDef<T>, body: T): void {
    const { self } = this.#host;
    const where = this.#host.where();
    const link: WatcherLink = {
      queuedBytes: 0,
      send: (news) => this.#host.clock.defer(() => this.caches.told(self, where.lineage, news)),
    };
    if (def.id === watch.id) this.watchers.watch(self, link, body as never, where);
    else this.watchers.ask(self, body as never, where);
  }

  #address() {
    return { partition: 0xffff, ...this.#host.where(), client: 0, sequence: 0 };
  }

  /** Once a second, and when it has become longer: the others know for how long near caches depend on this member. */
  tellHolders(): void {
    const { clock, self, linkTo, view } = this.#host;
    const heldMs = Math.ceil(this.watchers.heldForMs(clock.now()));
    if (heldMs === 0 && this.#toldMs === 0) return;
    this.#toldMs = heldMs;
    for (const { id } of view()?.members ?? [])
      if (id !== self) linkTo(id)?.send(holders, this.#address(), { heldMs });
  }

  /** Handles what members ask and tell; false when the message is another one. */
  fromMember(from: MemberId, header: Header, reader: Reader): boolean {
    if (header.message === holders.id) {
      this.#held.set(from, holders.read(reader).heldMs);
      return true;
    }
    return (
      this.listening.fromMember(from, header, reader) ||
      this.caches.receive(from, header, reader) ||
      this.#asked(from, () => this.#host.linkTo(from), header, reader)
    );
  }

  /** Handles what clients ask; false when the message is another one. */
  fromClient(client: ClientLink, header: Header, reader: Reader): boolean {
    return this.#asked(client, () => client.link, header, reader);
  }

  #asked(key: unknown, link: () => Link | null, header: Header, reader: Reader): boolean {
    if (header.message === askPositions.id) {
      this.watchers.ask(key, askPositions.read(reader), header);
      return true;
    }
    if (header.message !== watch.id) return false;
    const way: WatcherLink = {
      get queuedBytes() {
        return link()?.queuedBytes ?? 0;
      },
      send: (body) => link()?.send(changes, this.#address(), body),
    };
    this.watchers.watch(key, way, watch.read(reader), header);
    if (this.watchers.heldForMs(this.#host.clock.now()) > this.#toldMs) this.tellHolders();
    return true;
  }

  /** Keys of these hashes have another value from a position on. */
  changed(
    partition: number,
    serviceId: number,
    structure: string,
    seq: number,
    hashes: readonly number[],
  ): void {
    if (serviceId === mapService.id) this.watchers.changed(partition, structure, seq, hashes);
  }

  adopted(view: View): void {
    for (const [id, heldMs] of this.#held) {
      if (view.members.some((member) => member.id === id)) continue;
      this.#held.delete(id);
      this.watchers.inherit(heldMs);
    }
    this.listening.adopted(view);
    this.watchers.adopted(view, (key) => typeof key === 'string');
    this.caches.adopted(view);
  }

  /** A member can be reached from now on. */
  connected(id: MemberId): void {
    this.caches.connected(id);
    this.listening.subscriber.connected(id);
  }

  stop(): void {
    this.listening.stop();
    this.watchers.stop();
    this.caches.stop();
  }
}
