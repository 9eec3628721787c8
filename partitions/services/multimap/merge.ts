/**
 * Merges what another side of a split did to a multimap into this side's partition. Pairs of both sides are there
 * afterwards, and a removal takes out the pairs that it saw, under the ids that they had; what the other side put
 * meanwhile stays, an equal pair too. So nothing is lost, and no removal is undone. Invariants: the outcome depends on
 * what came, not on its order; what comes again changes nothing. Of the merge policies only Discard plays a part:
 * nothing is taken then, and each put and removal that is not is reported (again when it comes again). Called on the
 * owner's primary.
 *
 * A call that both sides have applied, or that was declared void, is left out at the source. What it removed there is
 * gone with its value; when this side never had the pair, that is reported. A pair that both sides put for one call
 * has two ids and is one pair: a removal of the one removes the other.
 */
import { Reader } from '../../../src/base/bytes.js';
import { mergePolicyOf } from '../../merge-policies.js';
import type { MergeContext } from '../../service.js';
import type { Image } from '../../store/mend.js';
import { nameOf, readVersion } from '../../store/record-version.js';
import { NO_VALUE, pairHash, readImage, userKeyOf } from './pair.js';
import { CHANGED, type Edit, type MultiMapState } from './state.js';

/** A merge stops when its delta has so many bytes; one pair more, of the largest size, still fits into a message. */
const DELTA_BYTES = 1024 * 1024;
const SKIPPED =
  'the removal was declared void or applied on the other side; a pair of this key may have been lost with it';

/** `Service.merge` of the multimap. */
export function mergePairs(state: MultiMapState, records: Reader, merge: MergeContext): void {
  const repeated = namesOf(merge.repeated);
  const takes = mergePolicyOf(merge.policy)?.takes !== false;
  const edit = state.edit(merge.operation);
  while (records.remaining > 0 && edit.sizeBytes <= DELTA_BYTES) {
    const flags = records.u8();
    if ((flags & CHANGED.locks) !== 0) {
      edit.takeLocks(records, merge.sharedSeq);
      continue;
    }
    const image = readImage(records, merge.operation.seq);
    merge.operation.observe(image.meta);
    if ((flags & CHANGED.skipped) !== 0 || repeated.has(nameOf(image.meta))) skip(state, image, merge);
    else if (takes) take(state, image, edit, merge);
    else refuse(state, image, merge);
  }
}

/** Versions that calls gave which this side has applied itself or declared void, and the source has from a merge. */
function namesOf(traces: readonly Uint8Array[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const trace of traces) {
    const reader = new Reader(trace);
    while (reader.remaining > 0) names.add(nameOf(readVersion(reader)));
  }
  return names;
}

function take(state: MultiMapState, image: Image, edit: Edit, merge: MergeContext): void {
  const { pairs } = state;
  const { key, value, meta } = image;
  const ref = pairs.find(pairHash(key), key);
  // Of two removals the later one is kept: its mark has to outlive forks of that time.
  const isNews = ref < 0 || (meta.tombstone && !(pairs.isTombstone(ref) && isOlder(state, ref, image)));
  if (!isNews) return;
  // The mark of a removal of what is not here changes nothing that a user can see; a third side may bring the pair.
  const double = ref < 0 ? state.doubleOf(key) : -1;
  if (double >= 0 && !meta.tombstone) return;
  const removes = [ref, double].filter((one) => one >= 0 && meta.tombstone && !pairs.isTombstone(one));
  const doubleKey = double >= 0 && removes.length > 0 ? Buffer.from(pairs.keyOf(double)) : null;
  edit.put(key, value, meta);
  if (doubleKey !== null) edit.put(doubleKey, NO_VALUE, meta);
  if (!meta.tombstone || removes.length > 0) merge.merged(1);
}

/** The removal that came is not later than the one that is here. */
function isOlder({ pairs }: MultiMapState, ref: number, { meta }: Image): boolean {
  return pairs.compareVersion(ref, meta) >= 0;
}

/** Reports what the source's users were told was done, and what is not so here. */
function refuse(state: MultiMapState, { key: pair, value, meta }: Image, merge: MergeContext): void {
  const { pairs } = state;
  const key = userKeyOf(pair);
  const own = pairs.find(pairHash(pair), pair);
  const ref = own < 0 ? state.doubleOf(pair) : own;
  if (!meta.tombstone) {
    if (ref < 0 && !state.has(key, value)) report(merge, key, null, value, merge.policy);
  } else if (ref >= 0 && !pairs.isTombstone(ref)) {
    report(merge, key, pairs.valueOf(ref), null, merge.policy);
  }
}

function skip({ pairs }: MultiMapState, { key: pair, meta }: Image, merge: MergeContext): void {
  const isUnknown = pairs.find(pairHash(pair), pair) < 0;
  if (meta.tombstone && isUnknown) report(merge, userKeyOf(pair), null, null, SKIPPED);
}

function report(
  merge: MergeContext,
  key: Uint8Array,
  kept: Uint8Array | null,
  discarded: Uint8Array | null,
  reason: string,
): void {
  merge.discarded({
    key: Buffer.from(key),
    kept: kept === null ? null : Buffer.from(kept),
    discarded: discarded === null ? null : Buffer.from(discarded),
    side: 'source',
    reason,
  });
}
