/**
 * From where on a listener can be told what it was not told yet: places of its own history and of lineages that it has left,
 * against the history of a replica and what its ring still has. Called by the teller.
 */
import { ALL_OF_POSITION, type EventPlace } from '../partitions/events/event.js';
import type { GapReason } from '../partitions/events/listening.js';
import type { EventRing } from '../partitions/events/ring.js';
import { type EpochName, placeAt, seenBy } from '../partitions/history.js';
import type { PartitionReplica } from '../partitions/replica.js';

/**
 * What a process has asked of a partition: in which epoch of its primary, where it goes on, and up to where it was told of
 * lineages that it has left.
 */
export interface Wanted {
  readonly epoch: EpochName;
  readonly place: EventPlace | null;
  readonly left: readonly EventPlace[];
}

export function placeIn({ history }: PartitionReplica, seq: number): EventPlace {
  const { lineage, epoch } = placeAt(history, seq);
  return { lineage, epoch, seq, index: ALL_OF_POSITION };
}

export function reasonOf({ hasDropped }: EventRing): GapReason {
  return hasDropped ? 'overflow' : 'moved';
}

/** From where on a listener can be told everything, and why that is not from the place where it is. */
export function whereToGoOn(
  replica: PartitionReplica,
  ring: EventRing,
  { place, left }: Wanted,
  limit: number,
): { readonly reason: GapReason | null; readonly from: EventPlace } {
  const now = placeIn(replica, Math.max(ring.after, limit));
  if (place === null) return { reason: null, from: now };
  const seen = isOfLostContents(replica, place) ? 'lost' : seenBy(replica, place);
  // All that came after the positions which it shares with this history is told.
  const own = sharedPlace(replica, place);
  const known = left.map((one) => sharedPlace(replica, one)).reduce(later, own);
  if (seen === 'here' && known === own) {
    if (ring.covers(place)) return { reason: null, from: place };
    return { reason: reasonOf(ring), from: placeIn(replica, ring.after) };
  }
  const isLost = seen !== 'here' && seen !== 'elsewhere' && place.lineage === replica.history.at(-1)?.lineage;
  const from = known ?? now;
  return {
    reason: isLost ? 'lost' : 'lineage',
    from: ring.covers(from) ? from : placeIn(replica, ring.after),
  };
}

/** Before the first position of contents that were lost since: a place in them looks like one in those of today. */
function isOfLostContents(
  { generation, history }: PartitionReplica,
  { seq, lineage, epoch }: EventPlace,
): boolean {
  return seq === 0 && lineage === history[0]?.lineage && epoch < generation;
}

/** Of two places in one history; the first when they are equal. */
function later(a: EventPlace | null, b: EventPlace | null): EventPlace | null {
  if (a === null || b === null) return a ?? b;
  return b.seq > a.seq || (b.seq === a.seq && b.index > a.index) ? b : a;
}

/** Up to where whoever was told up to a place knows this history; null when that cannot be said. */
function sharedPlace(replica: PartitionReplica, place: EventPlace): EventPlace | null {
  if (seenBy(replica, place) === 'here') return place;
  const { history } = replica;
  // Of an epoch that this history does not have, what was told before it is not known: the end of the one before counts.
  const at = history.findLastIndex(({ lineage, epoch }) => lineage === place.lineage && epoch <= place.epoch);
  const end = at < 0 ? undefined : history[at + 1]?.start;
  return end === undefined ? null : placeIn(replica, end);
}
