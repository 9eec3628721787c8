/**
 * Puts the two sides of a split together for one atomic long. Of each actor's sum the copy with more additions is kept,
 * of the bases the latest; additions that the latest base had not seen count on top of it, whichever side made them.
 * So nothing is lost but a value that was set and overtaken by one set later on the other side: that is reported.
 * Invariants: the outcome depends on what came, not on its order; what comes again changes nothing (a base that lost
 * is reported again). Of the merge policies only Discard plays a part: nothing is taken then. Called on the source
 * (`writeChanges`) and on the owner's primary (`mergeSums`).
 */
import { Reader, type Writer } from '../../../src/base/bytes.js';
import { i64 } from '../../../src/wire/fields.js';
import { encodeKey } from '../../../src/wire/keys.js';
import { ValueCodec } from '../../../src/wire/values.js';
import { mergePolicyOf } from '../../merge-policies.js';
import type { MergeContext, MergeSince } from '../../service.js';
import { isSameActor } from '../actors.js';
import {
  type Base,
  bounded,
  compareBases,
  isRemoved,
  readSums,
  readVoided,
  readVoidedList,
  type Sum,
  type Sums,
  tallyOf,
  type Voided,
  valueOfSums,
  writeSums,
  writeVoidedList,
} from './sums.js';

const FLAG = { baseChanged: 1, removed: 2 } as const;

/** What is known of a call that the owner has applied itself: what it added, or which base it replaced. */
export interface SkippedCall {
  readonly addition: Voided | null;
  readonly replaced: Base | null;
}

/**
 * Sums that changed since the parting, the base, and the additions that do not count. The base goes along also when
 * it did not change: an owner that has purged its removal needs to know what it had seen.
 */
export function writeChanges(
  out: Writer,
  state: Sums,
  { sharedSeq, skipped }: MergeSince,
  read: (delta: Uint8Array) => SkippedCall,
): void {
  const calls = new Map(
    [...skipped]
      .filter(([seq, delta]) => seq > sharedSeq && delta.length > 0)
      .map(([seq, delta]) => [seq, read(delta)]),
  );
  let { base } = state;
  for (let call = calls.get(base?.seq ?? 0); base !== null && call !== undefined; ) {
    base = call.replaced;
    call = calls.get(base?.seq ?? 0);
  }
  const additions = [...calls.values()].flatMap(({ addition }) => addition ?? []);
  const sums = state.sums.filter(({ seq }) => seq > sharedSeq);
  const voided = state.voided.filter(({ actor }) => tallyOf(sums, actor) !== undefined);
  out.u8(
    (base !== null && base.seq > sharedSeq ? FLAG.baseChanged : 0) | (isRemoved(state) ? FLAG.removed : 0),
  );
  i64.write(out, valueOfSums(state));
  writeVoidedList(out, additions);
  writeSums(out, { ...state, base, sums, voided });
}

/** The owner's state with the source's records; the same object when they change nothing. Tells what was lost. */
export function mergeSums(own: Sums | null, records: Reader, merge: MergeContext, name: string): Sums | null {
  const { operation } = merge;
  const flags = records.u8();
  const baseChanged = (flags & FLAG.baseChanged) !== 0;
  const sourceValue = i64.read(records);
  const read = (head: Uint8Array) => readVoided(new Reader(head.subarray(1)));
  const skipped = [...readVoidedList(records), ...merge.repeated.map(read)];
  const source = readSums(records, operation.seq);
  const before: Sums = own ?? { base: null, sums: [], voided: [], seq: 0 };
  if (mergePolicyOf(merge.policy)?.takes === false) {
    if (hasNews(before, source, skipped, baseChanged)) {
      const discarded = (flags & FLAG.removed) === 0 ? encodeLong(sourceValue) : null;
      const kept = encodedValue(before);
      merge.discarded({ key: encodeKey(name), kept, discarded, side: 'source', reason: merge.policy });
    }
    return own;
  }
  const sums = joinSums(before, source, merge);
  const voided = joinVoided(before, source, skipped, merge.standing.map(read));
  const base = laterBase(before.base, source.base, baseChanged, operation.seq);
  if (source.base !== null) operation.observe(source.base.version);
  const isSame = sums === before.sums && voided === before.voided && base === before.base;
  const after = isSame ? before : bounded({ base, sums, voided, seq: operation.seq });
  const lost = lostBase(before, source, baseChanged, merge.sharedSeq);
  if (lost === null) {
    if (!isSame) merge.merged(1);
  } else {
    merge.discarded({
      key: encodeKey(name),
      kept: encodedValue(after),
      discarded: lost.base.tombstone ? null : encodeLong(lost.base.value),
      side: lost.side,
      reason: 'a later value was set on the other side',
    });
  }
  return isSame ? own : after;
}

/** Whether the source has done something that the owner does not have. */
function hasNews(own: Sums, source: Sums, skipped: readonly Voided[], baseChanged: boolean): boolean {
  if (baseChanged && source.base !== null) {
    if (own.base === null || compareBases(source.base, own.base) !== 0) return true;
  }
  return source.sums.some(({ actor, additions }) => {
    const known = tallyOf(own.sums, actor)?.additions ?? 0;
    const isNew = (one: Voided) => one.ordinal > known && isSameActor(one.actor, actor);
    return additions - known > skipped.filter(isNew).length;
  });
}

function joinSums(own: Sums, source: Sums, { operation }: MergeContext): readonly Sum[] {
  const taken = source.sums.filter(
    ({ actor, additions }) => additions > (tallyOf(own.sums, actor)?.additions ?? 0),
  );
  if (taken.length === 0) return own.sums;
  const { seq } = operation;
  const nowMs = Math.floor(operation.wallMs);
  const kept = own.sums.filter(({ actor }) => tallyOf(taken, actor) === undefined);
  // In front of this side's own, which are looked for more often.
  const joined = taken.map(({ actor, sum, additions }) => {
    const sinceMs = tallyOf(own.sums, actor)?.sinceMs ?? nowMs;
    return { actor, sum, additions, seq, lastMs: nowMs, sinceMs, isMerged: true };
  });
  return [...joined, ...kept];
}

/**
 * A call that the owner knows counts once. When the addition is part of the owner's copy of the sum already, the call
 * became known by that merge, and was settled then. `standing`: what the owner added itself by skipped calls. The source
 * may have voided it in favour of what is skipped now: one of the two has to count.
 */
function joinVoided(
  own: Sums,
  source: Sums,
  skipped: readonly Voided[],
  standing: readonly Voided[],
): readonly Voided[] {
  const fresh = skipped.filter(({ actor, ordinal }) => ordinal > (tallyOf(own.sums, actor)?.additions ?? 0));
  const known = (list: readonly Voided[], one: Voided) =>
    list.some(({ actor, ordinal }) => ordinal === one.ordinal && isSameActor(actor, one.actor));
  const added: Voided[] = [];
  for (const one of [...source.voided.filter((each) => !known(standing, each)), ...fresh]) {
    const isPart = tallyOf(source.sums, one.actor) ?? tallyOf(own.sums, one.actor);
    if (isPart !== undefined && !known(own.voided, one) && !known(added, one)) added.push(one);
  }
  return added.length === 0 ? own.voided : [...own.voided, ...added];
}

function laterBase(own: Base | null, source: Base | null, changed: boolean, seq: number): Base | null {
  if (source === null) return own;
  if (own !== null && (!changed || compareBases(source, own) <= 0)) return own;
  return { ...source, seq };
}

/** The base that both sides' users were told was set, and that is not the latest. */
function lostBase(
  own: Sums,
  source: Sums,
  sourceChanged: boolean,
  sharedSeq: number,
): { readonly base: Base; readonly side: 'source' | 'owner' } | null {
  if (own.base === null || source.base === null || !sourceChanged) return null;
  const order = compareBases(source.base, own.base);
  const { tombstone, value } = source.base;
  if (order === 0 || (tombstone === own.base.tombstone && value === own.base.value)) return null;
  if (order < 0) return { base: source.base, side: 'source' };
  return own.base.seq > sharedSeq ? { base: own.base, side: 'owner' } : null;
}

function encodedValue(state: Sums): Uint8Array | null {
  return isRemoved(state) ? null : encodeLong(valueOfSums(state));
}

/** As a value of a map, so that one reader of reports reads both. */
function encodeLong(value: bigint): Uint8Array {
  return new ValueCodec().encode(value);
}
