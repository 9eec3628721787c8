/**
 * A member's side of near caches: who watches which maps here, and what each watcher has been told. Invariants: what a
 * watcher is told are all changes of its maps up to the positions that it is told, without a gap; positions are told only
 * for partitions that this member leads now, and only to watchers in the same view. Owned by the member's composition.
 */
import type { EpochStart } from '../partitions/history.js';
import type { Clock, Timer } from '../src/base/ports.js';
import type { MemberId, View } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import { type askPositions, type changes, MAX_CHANGES, MAX_STALENESS_MS, type watch } from './messages.js';

/** Changes that come within this time travel together. */
const FLUSH_MS = 10;
/** Of one partition and watcher, and of one watcher; beyond it whole partitions count as changed. */
const MAX_PENDING = 1_024;
const MAX_PENDING_IN_ALL = 8_192;
/** While so much waits to be sent to a watcher it is told nothing: its values grow old meanwhile. */
const MAX_QUEUED_BYTES = 1024 * 1024;

/** What a primary says of a partition that it leads. */
export interface Vouched {
  readonly epoch: number;
  readonly seq: number;
  readonly leased: boolean;
  readonly history: readonly EpochStart[];
}

export interface WatchersHost {
  readonly self: MemberId;
  readonly clock: Clock;
  view(): View | null;
  where(): { readonly view: number; readonly lineage: number };
  /** Null for a partition that this member does not serve now. */
  vouch(partition: number): Vouched | null;
  readonly faults: WatchFaults;
}

/** Faults that tests put in on purpose; never set outside of them. */
export interface WatchFaults {
  /** Every so many changes one is not told. */
  readonly loseChangeEvery?: number;
  /** What becomes of each message to a watcher. */
  readonly carriesNews?: (deliver: () => void) => void;
}

/** The way back to whoever watches: the connection of a client, or that to another member. */
export interface WatcherLink {
  readonly queuedBytes: number;
  send(body: BodyOf<typeof changes>): void;
}

interface Change {
  readonly map: number;
  readonly hash: number;
  readonly seq: number;
}

interface Told {
  epoch: number;
  seq: number;
  leased: boolean;
}

interface Watcher {
  readonly link: WatcherLink;
  readonly round: number;
  /** Of the next message. */
  number: number;
  readonly maps: ReadonlyMap<string, number>;
  readonly maxStalenessMs: number;
  readonly told: Map<number, Told>;
  /** By partition; null when there are too many. */
  readonly pending: Map<number, Change[] | null>;
  /** In all lists. */
  pendingChanges: number;
}

type PartitionNews = BodyOf<typeof changes>['partitions'][number];
type KeyNews = BodyOf<typeof changes>['keys'][number];

interface News {
  readonly partitions: PartitionNews[];
  readonly keys: KeyNews[];
}

export class Watchers {
  readonly #host: WatchersHost;
  /** By connection of a client, or id of a member. */
  readonly #watchers = new Map<unknown, Watcher>();
  readonly #byMap = new Map<string, Set<Watcher>>();
  #timer: Timer | null = null;
  #led: { readonly view: View; readonly partitions: readonly number[] } | null = null;
  #changes = 0;
  /** Until then, watchers whose connections have ended may use what they were told. */
  goneUntilMs = Number.NEGATIVE_INFINITY;

  constructor(host: WatchersHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** How long any watcher of this member, also one that is gone, serves values without an answer from now on, ms. */
  heldForMs(nowMs: number): number {
    let heldMs = Math.max(0, this.goneUntilMs - nowMs);
    for (const { maxStalenessMs } of this.#watchers.values()) heldMs = Math.max(heldMs, maxStalenessMs);
    return heldMs;
  }

  /** The watchers of a member that is gone serve values for so long. */
  inherit(heldMs: number): void {
    const untilMs = this.#host.clock.now() + Math.min(MAX_STALENESS_MS, heldMs);
    this.goneUntilMs = Math.max(this.goneUntilMs, untilMs);
  }

  /** How long a watcher serves values without an answer at the most, ms; 0 for whoever does not watch. */
  stalenessMs(key: unknown): number {
    return this.#watchers.get(key)?.maxStalenessMs ?? 0;
  }

  /** Somebody in `view` of `lineage` watches from now on, instead of what it watched before. */
  watch(
    key: unknown,
    link: WatcherLink,
    body: BodyOf<typeof watch>,
    where: { readonly view: number; readonly lineage: number },
  ): void {
    // Whoever watches nothing any more has thrown away what it had.
    if (body.maps.length === 0) this.#forget(key);
    if (body.maps.length === 0 || !this.#isSame(where)) return;
    this.#forget(key);
    const watcher: Watcher = {
      link,
      round: body.round,
      number: 0,
      maps: new Map(body.maps.map(({ name }, at) => [name, at])),
      maxStalenessMs: Math.min(
        MAX_STALENESS_MS,
        Math.max(...body.maps.map(({ maxStalenessMs }) => maxStalenessMs)),
      ),
      told: new Map(),
      pending: new Map(),
      pendingChanges: 0,
    };
    this.#watchers.set(key, watcher);
    for (const name of watcher.maps.keys()) {
      const set = this.#byMap.get(name);
      if (set === undefined) this.#byMap.set(name, new Set([watcher]));
      else set.add(watcher);
    }
    this.#answer(watcher, body.askedMs);
  }

  ask(
    key: unknown,
    { round, askedMs }: BodyOf<typeof askPositions>,
    where: { readonly view: number; readonly lineage: number },
  ): void {
    const watcher = this.#watchers.get(key);
    if (watcher !== undefined && watcher.round === round && this.#isSame(where))
      this.#answer(watcher, askedMs);
  }

  /** Whoever knows another view than this member is told nothing: one of the two does not know who leads. */
  #isSame({ view, lineage }: { readonly view: number; readonly lineage: number }): boolean {
    const here = this.#host.where();
    return this.#host.view() !== null && view === here.view && lineage === here.lineage;
  }

  /** The watcher is gone, without a word: it may go on with what it has. */
  closed(key: unknown): void {
    const { clock } = this.#host;
    this.goneUntilMs = Math.max(this.goneUntilMs, clock.now() + this.stalenessMs(key));
    this.#forget(key);
  }

  #forget(key: unknown): void {
    const watcher = this.#watchers.get(key);
    if (watcher === undefined) return;
    this.#watchers.delete(key);
    for (const name of watcher.maps.keys()) {
      const set = this.#byMap.get(name);
      set?.delete(watcher);
      if (set?.size === 0) this.#byMap.delete(name);
    }
  }

  // --- changes

  /** Keys of these hashes have another value from a position on. */
  changed(partition: number, map: string, seq: number, hashes: readonly number[]): void {
    const watchers = this.#byMap.get(map);
    if (watchers === undefined) return;
    const { loseChangeEvery } = this.#host.faults;
    if (loseChangeEvery !== undefined && ++this.#changes % loseChangeEvery === 0) return;
    for (const watcher of watchers) note(watcher, partition, watcher.maps.get(map) as number, seq, hashes);
    this.#timer ??= this.#host.clock.setTimer(FLUSH_MS, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    for (const watcher of this.#watchers.values()) {
      if (watcher.pending.size === 0 || watcher.link.queuedBytes > MAX_QUEUED_BYTES) continue;
      this.#send(watcher, [...watcher.pending.keys()], -1);
    }
  }

  #answer(watcher: Watcher, askedMs: number): void {
    if (watcher.link.queuedBytes > MAX_QUEUED_BYTES) return;
    this.#send(watcher, new Set([...this.#ledPartitions(), ...watcher.told.keys()]), askedMs);
  }

  #ledPartitions(): readonly number[] {
    const { self } = this.#host;
    const view = this.#host.view();
    if (view === null) return [];
    if (this.#led?.view !== view) {
      const partitions = view.table.flatMap(({ replicas }, p) => (replicas[0]?.member === self ? [p] : []));
      this.#led = { view, partitions };
    }
    return this.#led.partitions;
  }

  #send(watcher: Watcher, partitions: Iterable<number>, askedMs: number): void {
    let news: News = { partitions: [], keys: [] };
    for (const partition of partitions) {
      const pending = watcher.pending.get(partition) ?? [];
      if (news.keys.length + pending.length > MAX_CHANGES) {
        this.#tell(watcher, news, -1);
        news = { partitions: [], keys: [] };
      }
      this.#collect(watcher, partition, news);
    }
    if (news.partitions.length > 0 || askedMs >= 0) this.#tell(watcher, news, askedMs);
  }

  #tell(watcher: Watcher, news: News, askedMs: number): void {
    const body = { round: watcher.round, number: watcher.number++, askedMs, ...news };
    const { carriesNews } = this.#host.faults;
    if (carriesNews === undefined) watcher.link.send(body);
    else carriesNews(() => watcher.link.send(body));
  }

  /** What the watcher does not know yet of a partition. */
  #collect(watcher: Watcher, partition: number, news: News): void {
    const now = this.#host.vouch(partition);
    const told = watcher.told.get(partition);
    const pending = watcher.pending.get(partition);
    watcher.pending.delete(partition);
    watcher.pendingChanges -= pending?.length ?? 0;
    if (now === null) {
      if (told === undefined) return;
      watcher.told.delete(partition);
      news.partitions.push({ ...NOTHING, partition, what: 'end' });
      return;
    }
    const { epoch, seq, leased, history } = now;
    const isOn = told !== undefined && told.epoch === epoch;
    if (isOn && told.seq === seq && told.leased === leased) return;
    watcher.told.set(partition, { epoch, seq, leased });
    const all = isOn && pending === null;
    const at = news.partitions.length;
    const head = { partition, epoch, upTo: seq, leased, all };
    news.partitions.push(isOn ? { ...head, what: 'on', history: [] } : { ...head, what: 'begin', history });
    // Changes from before a watcher was told of the partition are part of what it begins with.
    if (!isOn || all) return;
    for (const { map, hash, seq: changedSeq } of pending ?? [])
      if (changedSeq > told.seq) news.keys.push({ at, map, hash, before: seq - changedSeq });
  }

  /** Another view was adopted: members that are not in it watch no more. */
  adopted(view: View | null, isMember: (key: unknown) => boolean): void {
    for (const key of [...this.#watchers.keys()])
      if (isMember(key) && view?.members.some(({ id }) => id === key) !== true) this.closed(key);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}

/** A watcher is to be told of changes of the map at this place of its list. */
function note(
  watcher: Watcher,
  partition: number,
  map: number,
  seq: number,
  hashes: readonly number[],
): void {
  const { pending, link } = watcher;
  const present = pending.get(partition);
  if (present === null) return;
  const list = present ?? [];
  const isTooMuch =
    list.length + hashes.length > MAX_PENDING ||
    watcher.pendingChanges + hashes.length > MAX_PENDING_IN_ALL ||
    link.queuedBytes > MAX_QUEUED_BYTES;
  pending.set(partition, isTooMuch ? null : list);
  watcher.pendingChanges += isTooMuch ? -list.length : hashes.length;
  if (!isTooMuch) for (const hash of hashes) list.push({ map, hash, seq });
}

const NOTHING = { epoch: 0, upTo: 0, leased: false, all: false, history: [] } as const;
