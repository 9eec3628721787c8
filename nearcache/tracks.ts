/**
 * What a process with near caches knows of the partitions whose values it keeps: up to which position it has been told of
 * all changes, and when that was asked for. Invariants: only the member counts that leads the partition in the view that
 * this process follows; what is told without a gap moves a track on, anything else voids what is kept of its partition; a
 * position proves nothing before the time at which it was asked for. Called by `near-caches.ts`.
 */
import { partitionOf } from '../partitions/hash.js';
import type { EpochStart } from '../partitions/history.js';
import { Asked, Demand, intervalFor } from '../src/base/demand.js';
import type { Clock, Timer } from '../src/base/ports.js';
import { lineageTag, type MemberId, type View } from '../src/cluster/view.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import { askPositions, type changes, watch } from './messages.js';

/** A watch that is not answered is sent again after so long, and then after twice as long each time. */
const FIRST_PATIENCE_MS = 250;
const MAX_PATIENCE_MS = 4_000;

export interface TracksHost {
  readonly clock: Clock;
  /** May be lost. */
  send<T>(to: MemberId, def: MessageDef<T>, body: T): void;
  /** What members are to watch: in an order that only grows. */
  watched(): readonly { readonly name: string; readonly maxStalenessMs: number }[];
  /** A key of this hash has changed at this position. */
  changed(map: number, track: Track, hash: number, seq: number): void;
  readonly faults: TrackFaults;
}

/** Faults that tests put in on purpose; never set outside of them. */
export interface TrackFaults {
  /** What is kept of a partition outlives a takeover of it. */
  readonly keepsBeyondTakeover?: boolean;
  /** The word of a primary counts for a partition after it was deposed. */
  readonly believesDeposed?: boolean;
}

/** A member that tells of changes. */
interface Source {
  readonly member: MemberId;
  round: number;
  /** Number of the next message. */
  next: number;
  isConfirmed: boolean;
  /** What it leads is at least as new as what it was then. */
  freshMs: number;
  readonly asked: Asked;
  watchedMs: number;
  patienceMs: number;
  /** When the first question was asked that nothing has been heard since; Infinity for none. */
  waitsSinceMs: number;
}

type PartitionNews = BodyOf<typeof changes>['partitions'][number];

/** One partition. */
export class Track {
  readonly partition: number;
  lineage = 0;
  epoch = 0;
  /** All changes up to here have been told. */
  through = 0;
  history: readonly EpochStart[] = [];
  /** What was kept under another number is void. */
  generation = 0;
  /** The present primary tells of its changes, from `through` on. */
  isLive = false;
  source: Source | null = null;
  /** Who led it before. */
  former: Source | null = null;
  #isLeased = false;
  /** As of when it was vouched for last, and last by one with a lease, before it was dormant or not leased. */
  #keptMs = Number.NEGATIVE_INFINITY;
  #leasedMs = Number.NEGATIVE_INFINITY;

  constructor(partition: number) {
    this.partition = partition;
  }

  /** What is kept and was not told to have changed is at least as new as it was then. */
  freshMs(isConsistent: boolean): number {
    const isCurrent = this.isLive && (!isConsistent || this.#isLeased);
    if (isCurrent) return (this.source as Source).freshMs;
    return isConsistent ? this.#leasedMs : this.#keptMs;
  }

  /** Nothing is told of the partition until it begins again. */
  rest(): void {
    if (!this.isLive) return;
    this.#keep();
    this.isLive = false;
  }

  #keep(): void {
    const { freshMs } = this.source as Source;
    this.#keptMs = freshMs;
    if (this.#isLeased) this.#leasedMs = freshMs;
  }

  /** Everything that is kept of it is void. */
  void(): void {
    this.generation++;
  }

  /** Another primary, or another lineage. */
  lead(source: Source | null, lineage: number, epoch: number, keeps: boolean): void {
    this.isLive = false;
    if (this.source !== source) this.former = this.source;
    this.source = source;
    this.lineage = lineage;
    this.epoch = epoch;
    if (keeps) return;
    this.through = 0;
    this.history = [];
    this.#keptMs = Number.NEGATIVE_INFINITY;
    this.#leasedMs = Number.NEGATIVE_INFINITY;
    this.void();
  }

  begin({ upTo, history, leased }: PartitionNews, keeps: boolean): void {
    if (this.through !== upTo && !keeps) this.void();
    this.through = upTo;
    this.history = history;
    this.isLive = true;
    this.#isLeased = leased;
  }

  moveOn({ upTo, leased, all }: PartitionNews): void {
    if (this.#isLeased && !leased) this.#keep();
    this.#isLeased = leased;
    if (all) this.void();
    this.through = upTo;
  }
}

export class Tracks {
  readonly #host: TracksHost;
  readonly #sources = new Map<MemberId, Source>();
  #tracks: Track[] = [];
  #view: View | null = null;
  #lineage = 0;
  #round = 0;
  #timer: Timer | null = null;
  readonly #demand = new Demand();
  #isStopped = false;

  constructor(host: TracksHost) {
    this.#host = host;
  }

  /** Somebody tells of the changes of keys with this hash. */
  isLive(hash: number): boolean {
    return this.#tracks[partitionOf(hash, this.#tracks.length)]?.isLive === true;
  }

  /** Undefined while no view is known. */
  of(partition: number): Track | undefined {
    return this.#tracks[partition];
  }

  /** Another view is followed. */
  adopted(view: View): void {
    const lineage = lineageTag(view.lineage);
    if (lineage !== this.#lineage || view.table.length !== this.#tracks.length) {
      for (const track of this.#tracks) track.void();
      this.#sources.clear();
      this.#tracks = view.table.map((_, partition) => new Track(partition));
    }
    this.#view = view;
    this.#lineage = lineage;
    const renewed = new Set<Source>();
    for (const [partition, { replicas, epoch }] of view.table.entries()) {
      const track = this.#tracks[partition] as Track;
      const primary = replicas[0]?.member;
      const source = primary === undefined ? null : this.#sourceOf(primary);
      if (track.source === source && track.epoch === epoch && track.lineage === lineage) continue;
      track.lead(source, lineage, epoch, this.#host.faults.keepsBeyondTakeover === true);
      if (source !== null) renewed.add(source);
    }
    for (const id of this.#sources.keys())
      if (!view.members.some((member) => member.id === id)) this.#sources.delete(id);
    for (const source of renewed) this.#renew(source);
    this.#askNow();
  }

  #sourceOf(member: MemberId): Source {
    let source = this.#sources.get(member);
    if (source === undefined) {
      source = {
        member,
        round: 0,
        next: 0,
        isConfirmed: false,
        freshMs: Number.NEGATIVE_INFINITY,
        asked: new Asked(),
        watchedMs: Number.NEGATIVE_INFINITY,
        patienceMs: FIRST_PATIENCE_MS,
        waitsSinceMs: Number.POSITIVE_INFINITY,
      };
      this.#sources.set(member, source);
    }
    return source;
  }

  // --- asking

  /** Somebody reads what must be no older than this. */
  demanded(nowMs: number, maxStalenessMs: number): void {
    const isSooner = this.#demand.want(nowMs, intervalFor(maxStalenessMs));
    if (this.#timer === null || isSooner) this.#askNow();
  }

  /** A member can be reached from now on. */
  connected(member: MemberId): void {
    const source = this.#sources.get(member);
    if (source === undefined || this.#timer === null) return;
    this.#renew(source);
    this.#askSource(source, this.#host.clock.now());
  }

  /** There are more maps to watch. */
  watchMore(): void {
    for (const source of this.#sources.values()) this.#renew(source);
    this.#askNow();
  }

  #askNow(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#ask(this.#host.clock.now());
  }

  #ask(nowMs: number): void {
    this.#timer = null;
    let inMs = this.#demand.settle(nowMs);
    if (this.#isStopped || inMs === Number.POSITIVE_INFINITY) return;
    for (const source of this.#sources.values()) {
      this.#askSource(source, nowMs);
      if (!source.isConfirmed) inMs = Math.min(inMs, source.patienceMs);
    }
    this.#timer = this.#host.clock.setTimer(inMs, () => this.#ask(this.#host.clock.now()));
  }

  #askSource(source: Source, nowMs: number): void {
    const silentMs = Math.max(FIRST_PATIENCE_MS, 4 * this.#demand.intervalMs);
    if (source.isConfirmed && nowMs - source.waitsSinceMs > silentMs) this.#renew(source);
    if (source.isConfirmed) {
      source.waitsSinceMs = Math.min(source.waitsSinceMs, nowMs);
      source.asked.add(nowMs);
      this.#host.send(source.member, askPositions, { round: source.round, askedMs: nowMs });
    } else if (nowMs - source.watchedMs >= source.patienceMs) {
      if (source.watchedMs !== Number.NEGATIVE_INFINITY)
        source.patienceMs = Math.min(MAX_PATIENCE_MS, 2 * source.patienceMs);
      source.watchedMs = nowMs;
      source.round = this.#round = (this.#round + 1) >>> 0;
      source.next = 0;
      source.asked.add(nowMs);
      const body = { round: source.round, askedMs: nowMs, maps: this.#host.watched() };
      this.#host.send(source.member, watch, body);
    }
  }

  /** What it says from now on does not go on from what it has said. */
  #renew(source: Source): void {
    source.isConfirmed = false;
    source.round = 0;
    source.watchedMs = Number.NEGATIVE_INFINITY;
    source.patienceMs = FIRST_PATIENCE_MS;
    for (const track of this.#tracks) if (track.source === source) track.rest();
  }

  // --- being told

  /** A member tells of changes; `lineage` is the one that it is in. */
  told(from: MemberId, lineage: number, body: BodyOf<typeof changes>): void {
    const source = this.#sources.get(from);
    if (source === undefined || this.#view === null || lineage !== this.#lineage) return;
    if (body.round !== source.round || source.round === 0) return;
    if (body.number !== source.next) {
      this.#renew(source);
      this.#askNow();
      return;
    }
    source.next++;
    source.isConfirmed = true;
    source.patienceMs = FIRST_PATIENCE_MS;
    source.waitsSinceMs = Number.POSITIVE_INFINITY;
    const moved = body.partitions.map((news) => this.#told(source, news));
    for (const { at, map, hash, before } of body.keys) {
      const track = moved[at];
      const news = body.partitions[at];
      if (track != null && news !== undefined) this.#host.changed(map, track, hash, news.upTo - before);
    }
    // Only now everything is known that had changed by then.
    if (body.askedMs > source.freshMs && source.asked.has(body.askedMs)) source.freshMs = body.askedMs;
    if (this.#host.faults.believesDeposed === true) this.#believe(source);
  }

  #believe(deposed: Source): void {
    for (const { former, source } of this.#tracks)
      if (former === deposed && source !== null) source.freshMs = Math.max(source.freshMs, deposed.freshMs);
  }

  /** The track that the news is of, or null for one that another member leads as far as is known here. */
  #told(source: Source, news: PartitionNews): Track | null {
    const track = this.#tracks[news.partition];
    if (track === undefined) return null;
    if (track.source !== source || (news.what !== 'end' && track.epoch !== news.epoch)) return null;
    if (news.what === 'end') track.rest();
    else if (news.what === 'begin') track.begin(news, this.#host.faults.keepsBeyondTakeover === true);
    else if (track.isLive) track.moveOn(news);
    else return null;
    return track;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const { member, round } of this.#sources.values())
      if (round !== 0) this.#host.send(member, watch, { round: 0, askedMs: 0, maps: [] });
  }
}
