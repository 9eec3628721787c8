/**
 * One listener of a process: how far it was told of each partition, and what it is given. Invariants: events of a partition
 * are given in their order, each goes on exactly from what was given before, else a gap is given first; a part that does not
 * go on from there is left out. Owned by `subscriber.ts`.
 */
import { ALL_OF_POSITION, type EventPlace, isSamePlace } from '../partitions/events/event.js';
import type { GapReason, ListenRequest } from '../partitions/events/listening.js';
import { type EpochName, isSameEpoch } from '../partitions/history.js';
import type { Logger } from '../src/base/ports.js';
import type { MemberId, View } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import { type events, MAX_LEFT } from './messages.js';

export type ToldPart = BodyOf<typeof events>['parts'][number];

/** One partition. */
export interface Track {
  readonly partition: number;
  /** Who leads it, in the view that is followed, and in which epoch. */
  leader: MemberId | null;
  epoch: EpochName;
  /** Null before it was told of anything. */
  place: EventPlace | null;
  /** The leader tells of it from `place` on. */
  isLive: boolean;
  /** The leader has no room for the listener, which was told so with a gap. */
  isRefused: boolean;
  /** Of what was given last; another one is a gap. */
  toldLineage: number;
  /** By lineage: how far it was told when it went on in another one. */
  left: Map<number, EventPlace> | null;
}

export class ProcessListener {
  readonly number: number;
  readonly id: string;
  readonly request: ListenRequest;
  readonly #logger: Logger;
  #tracks: Track[] = [];
  isSettled = false;
  /** It was removed: nothing is given to it any more. */
  isEnded = false;
  readonly startedMs: number;

  constructor(number: number, id: string, request: ListenRequest, startedMs: number, logger: Logger) {
    this.number = number;
    this.id = id;
    this.request = request;
    this.startedMs = startedMs;
    this.#logger = logger;
  }

  get tracks(): readonly Track[] {
    return this.#tracks;
  }

  /** Another view is followed: who leads another partition, or leads it anew, has to be asked. */
  adopted(view: View, lineage: number): void {
    if (this.#tracks.length === 0) this.#begin(view);
    for (const track of this.#tracks) {
      const entry = view.table[track.partition];
      const leader = entry?.replicas[0]?.member ?? null;
      const epoch = { lineage, epoch: entry?.epoch ?? 0 };
      if (track.leader === leader && isSameEpoch(track.epoch, epoch)) continue;
      Object.assign(track, { leader, epoch, isLive: false, isRefused: false });
    }
  }

  #begin({ table }: View): void {
    const { partitionOf, from } = this.request;
    const partitions = partitionOf === null ? table.map((_, p) => p) : [partitionOf(table.length)];
    this.#tracks = partitions.map((p) => {
      // What a list of places leaves out has to be told of with a gap.
      const place = from === null ? null : (from.get(p) ?? NOWHERE);
      const toldLineage = place?.lineage ?? 0;
      const rest = { leader: null, epoch: NO_EPOCH, isLive: false, isRefused: false, left: null };
      return { partition: p, place, toldLineage, ...rest };
    });
  }

  #leave(track: Track, place: EventPlace): void {
    track.left ??= new Map();
    const before = track.left.get(place.lineage);
    // The lineage that was left last is forgotten last.
    track.left.delete(place.lineage);
    track.left.set(place.lineage, before !== undefined && isLater(before, place) ? before : place);
    for (const lineage of track.left.keys()) {
      if (track.left.size <= MAX_LEFT) return;
      track.left.delete(lineage);
    }
  }

  /** Whoever led these partitions has to be asked again. */
  rest(member: MemberId): void {
    for (const track of this.#tracks) if (track.leader === member) track.isLive = false;
  }

  /** Partitions that the member leads and does not tell of. */
  missing(member: MemberId): Track[] {
    return this.#tracks.filter(({ leader, isLive }) => leader === member && !isLive);
  }

  /** Every partition that anybody leads is told of. */
  get isLive(): boolean {
    return this.#tracks.length > 0 && this.#tracks.every(({ isLive, leader }) => isLive || leader === null);
  }

  /** A member has no room for it, which it had when it was added: false when that is known. */
  refused(member: MemberId): boolean {
    const news = this.missing(member).filter(({ isRefused }) => !isRefused);
    for (const track of news) {
      track.isRefused = true;
      this.#gap(track, 'overflow', track.toldLineage);
    }
    return news.length > 0;
  }

  /** A member tells of a partition. */
  told(member: MemberId, part: ToldPart): void {
    const track =
      this.request.partitionOf === null
        ? this.#tracks[part.partition]
        : this.#tracks.find(({ partition }) => partition === part.partition);
    // From an epoch that has ended, or that is not known here yet: it says nothing about the one that is asked for.
    if (this.isEnded || track?.leader !== member || !isSameEpoch(part.epoch, track.epoch)) return;
    if (!isSamePlace(part.before, track.place)) {
      track.isLive = false;
      return;
    }
    const { what, reason, through } = part;
    // Nobody led it when the listener was added: what came before may be missing.
    if (what === 'gap' || (what === 'begin' && this.isSettled))
      this.#gap(track, reason ?? 'moved', through.lineage);
    else if (what === 'begin') track.toldLineage = through.lineage;
    for (const event of part.events) {
      if (this.isEnded) return;
      if (track.toldLineage !== event.lineage) this.#gap(track, 'lineage', event.lineage);
      this.#give(() => this.request.event({ ...event, partition: part.partition, member }));
      const { lineage, epoch, seq, index } = event;
      this.#reached(track, { lineage, epoch, seq, index: index + 1 });
    }
    this.#reached(track, through);
    track.isLive = true;
    track.isRefused = false;
    if (!this.isEnded) this.#give(() => this.request.reached(part.partition, through));
  }

  #reached(track: Track, place: EventPlace): void {
    const before = track.place;
    // A fork goes on from before what was told of its parent.
    if (before !== null && (before.lineage !== place.lineage || isLater(before, place)))
      this.#leave(track, before);
    track.place = place;
  }

  #gap(track: Track, reason: GapReason, lineage: number): void {
    track.toldLineage = lineage;
    this.#give(() => this.request.gap(track.partition, reason));
  }

  /** A listener that throws, or gives a promise that fails, stops nobody. */
  #give(call: () => unknown): void {
    try {
      const given = Object(call()) as { readonly then?: unknown };
      if (typeof given.then === 'function') given.then(nothing, (error: unknown) => this.#threw(error));
    } catch (error) {
      this.#threw(error);
    }
  }

  #threw(error: unknown): void {
    const { structure } = this.request;
    this.#logger.log('error', 'a listener threw', { structure, error: String(error) });
  }
}

const NO_EPOCH: EpochName = { lineage: 0, epoch: 0 };
/** Before everything. */
const NOWHERE: EventPlace = { lineage: 0, epoch: 0, seq: 0, index: ALL_OF_POSITION };

/** Of two places in one lineage. */
function isLater(a: EventPlace, b: EventPlace): boolean {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch;
  return a.seq > b.seq || (a.seq === b.seq && a.index > b.index);
}

function nothing(): void {}
