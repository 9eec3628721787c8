/**
 * Merges what another side of a split did to a map into this side's partition. What only the other side changed is
 * taken; where both sides changed an entry the map's merge policy decides. Invariants: each acknowledged value that
 * is not kept is reported; what stays has a version that is not older than any that lost, so that a further merge
 * does not turn the decision round; a record that comes again changes nothing. Called on the owner's primary.
 *
 * A removal whose mark was purged here leaves nothing to decide by: the other side's entry is taken. It is reported
 * as resurrected when it was created before something that both sides share, which is certain. What was created
 * after the last shared write that was seen, but before the parting, is not told from a new entry.
 */
import { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { reasonOf } from '../../../src/base/reason.js';
import { isThenable } from '../../../src/base/thenable.js';
import { decodeKey } from '../../../src/wire/keys.js';
import { murmur3 } from '../../hash.js';
import {
  compareVersions,
  DEFAULT_MERGE_POLICY,
  type MergeConflict,
  type MergePolicy,
  mergePolicyOf,
  type Side,
} from '../../merge-policies.js';
import type { IndexDefinition } from '../../query/index-definition.js';
import type { MergeContext } from '../../service.js';
import { expirationOf, REMOVAL, type RecordMeta } from '../../store/record-layout.js';
import { nameOf, readVersion } from '../../store/record-version.js';
import { MERGED } from './delta.js';
import { entryViewOf } from './entry-view.js';
import { boundsOf } from './forgotten.js';
import { readDefinitions } from './indexes.js';
import { isOnlyForgotten, wasLoaded } from './owed.js';
import { CHANGED, readImage } from './record-image.js';
import type { MapState } from './state.js';
import { removesOutside } from './stored.js';

/** A merge stops when its delta has so many bytes; one record more, of the largest size, still fits into a message. */
const DELTA_BYTES = 1024 * 1024;
const MAX_TIME_MS = 2 ** 48;
const SKIPPED =
  'the call was declared void or applied on the other side; an earlier value of this key may have been lost with it';
const IN_STORE =
  'the other side has told the store of keys that it has not in memory any more, perhaps of this one: what the store has counts';
const NO_VALUE = new Uint8Array(0);

interface Version {
  readonly key: Uint8Array;
  readonly meta: RecordMeta;
  /** Empty for a removal. */
  readonly value: Uint8Array;
}

/** What a function decided: one of the two entries, or another value. */
type Verdict = Side | { readonly value: Uint8Array | null };

/** `Service.merge` of the map. */
export function mergeRecords(state: MapState, records: Reader, merge: MergeContext): void {
  const step = new MapMerge(state, merge);
  while (records.remaining > 0 && !step.isFull) {
    const flags = records.u8();
    if (flags === CHANGED.locks) {
      step.takeLocks(records);
      continue;
    }
    if (flags === CHANGED.indexes) {
      step.takeIndexes(readDefinitions(records));
      continue;
    }
    if (flags === CHANGED.forgotten) {
      step.askStore(records.u8());
      continue;
    }
    const { meta, key, value } = readImage(records, merge.operation.seq);
    checkTimes(meta);
    if ((flags & CHANGED.skipped) !== 0 || step.isRepeated(meta)) step.skip({ key, meta, value });
    else step.take({ key, meta, value }, (flags & CHANGED.existed) !== 0);
  }
}

class MapMerge {
  readonly #state: MapState;
  readonly #merge: MergeContext;
  /** Undefined for a function, and for a name that means nothing here. */
  readonly #policy: MergePolicy | undefined;
  /** Versions that calls gave which this side has applied itself or declared void, and the source has from a merge. */
  readonly #repeated = new Set<string>();
  #out: Writer | null = null;

  constructor(state: MapState, merge: MergeContext) {
    this.#state = state;
    this.#merge = merge;
    this.#policy = mergePolicyOf(merge.policy);
    for (const trace of merge.repeated) {
      const reader = new Reader(trace);
      while (reader.remaining > 0) this.#repeated.add(nameOf(readVersion(reader)));
    }
  }

  isRepeated(meta: RecordMeta): boolean {
    return this.#repeated.size > 0 && this.#repeated.has(nameOf(meta));
  }

  get isFull(): boolean {
    return this.#out !== null && this.#out.length > DELTA_BYTES;
  }

  takeLocks(records: Reader): void {
    const written = new Writer();
    const { operation, sharedSeq } = this.#merge;
    const parts = this.#state.locks.merge(records, sharedSeq, operation, written);
    if (parts > 0) this.#state.mergeLocks(this.#begin(), parts, written.toBytes());
  }

  /** Both sides' indexes are there from now on: what only one had is missed by nobody who has more. */
  takeIndexes(others: readonly IndexDefinition[]): void {
    const all = this.#state.indexes.unitedWith(others);
    if (all !== null) this.#state.mergeIndexes(this.#begin(), all, this.#merge.operation);
  }

  /**
   * The source has told the store of keys in this range that it has not in memory any more, and nobody knows which: what
   * the owner has there goes out of its memory as well, unless the store is owed it. A policy that takes nothing has the
   * store told again what the owner has.
   */
  askStore(range: number): void {
    const { store, owed } = this.#state;
    const { operation, sharedSeq } = this.#merge;
    if (!removesOutside(operation)) return;
    const out = this.#begin();
    out.u8(MERGED.forgotten);
    out.u8(range);
    owed.forgotten.noteRange(range, operation.seq);
    const owners: Version[] = [];
    const [first, last] = boundsOf(range);
    store.visitRange(first, last, (ref) => {
      const key = Buffer.from(store.keyOf(ref));
      const meta = store.metaOf(ref);
      if (meta.tombstone && isOnlyForgotten(meta.cause)) return;
      if (owed.pending.has(key) || owed.isBusy(key)) return;
      owners.push({ key, meta, value: Buffer.from(store.valueOf(ref)) });
    });
    for (const owner of owners) {
      const { meta, key } = owner;
      if (this.#policy?.takes === false && !wasLoaded(meta)) this.#put(owner, meta);
      else {
        const forgotten = { tombstone: true, cause: REMOVAL.evicted, expiresMs: 0, ttlMs: 0, maxIdleMs: 0 };
        this.#put({ ...owner, value: NO_VALUE }, { ...meta, ...this.#newVersion(), ...forgotten });
        if (meta.seq > sharedSeq && !meta.tombstone && !wasLoaded(meta))
          this.#discarded('owner', { ...owner, key }, null, contentOf(owner), IN_STORE);
      }
    }
  }

  take(source: Version, existed: boolean): void {
    const { store, merged } = this.#state;
    this.#merge.operation.observe(source.meta);
    const ref = store.find(murmur3(source.key), source.key);
    if (merged.has(source.meta)) return;
    if (ref < 0) {
      this.#takeNew(source, existed);
      return;
    }
    if (store.compareVersion(ref, source.meta) === 0) return;
    // A copy, because it is reported after it was overwritten.
    const value = Buffer.from(store.valueOf(ref));
    const owner = { key: source.key, meta: store.metaOf(ref), value };
    // What was loaded from a store is nobody's write.
    if (owner.meta.seq <= this.#merge.sharedSeq || wasLoaded(owner.meta)) this.#takeUnchanged(owner, source);
    else this.#decide(owner, source);
  }

  /**
   * The last change of the key at the source does not count here. What it overwrote there is gone, be it a value that
   * both sides have or one that the source has told its users of: when this side has no later one, that is reported.
   */
  skip(source: Version): void {
    const { store, merged } = this.#state;
    this.#merge.operation.observe(source.meta);
    if (merged.has(source.meta)) return;
    const ref = store.find(murmur3(source.key), source.key);
    if (ref >= 0 && store.seqOf(ref) > this.#merge.sharedSeq) return;
    const kept = ref < 0 || store.isTombstone(ref) ? null : Buffer.from(store.valueOf(ref));
    this.#discarded('source', source, kept, contentOf(source), SKIPPED);
  }

  /**
   * The key has no record here. The mark of a removal removes nothing, and is taken all the same: a third side may
   * bring an older value.
   */
  #takeNew(source: Version, existed: boolean): void {
    const isRemoval = source.meta.tombstone;
    if (this.#policy?.takes === false) {
      if (isRemoval) this.#mark(source);
      else this.#keepOwner(null, source, this.#merge.policy);
      return;
    }
    this.#putSource(null, source);
    if (!isRemoval) this.#merge.merged(1);
    if (existed) this.#merge.resurrected(Buffer.from(source.key));
  }

  /** Only the source changed the entry. */
  #takeUnchanged(owner: Version, source: Version): void {
    if (this.#isLapse(owner, source)) return;
    if (this.#policy?.takes === false) {
      this.#keepOwner(owner, source, this.#merge.policy);
      return;
    }
    this.#putSource(owner, source);
    this.#merge.merged(1);
  }

  /** Both sides changed the entry. */
  #decide(owner: Version, source: Version): void {
    if (owner.meta.tombstone && source.meta.tombstone) {
      // The later removal counts: a third side may bring a value from between the two.
      if (compareVersions(source.meta, owner.meta) > 0) this.#putSource(owner, source);
      else this.#mark(source);
      this.#merge.merged(1);
      return;
    }
    if (this.#isLapse(owner, source)) return;
    if (this.#policy === undefined) {
      this.#decideByFunction(owner, source);
      return;
    }
    const side = this.#policy.decide(owner.meta, source.meta);
    if (side === 'source') this.#keepSource(owner, source, this.#merge.policy);
    else this.#keepOwner(owner, source, this.#merge.policy);
  }

  /**
   * What expired, or was evicted, was removed by nobody: whatever the policy, it takes no value with it that is not older
   * than the one that ended. An entry that only went on at the owner ends by its own times, with uses that the other side
   * did not see.
   */
  #isLapse(owner: Version, source: Version): boolean {
    if (this.#policy?.takes === false || owner.meta.tombstone === source.meta.tombstone) return false;
    const isShared = owner.meta.seq <= this.#merge.sharedSeq;
    if (hasLapsed(source)) {
      const isKept = isShared
        ? owner.meta.ms === source.meta.createdMs
        : owner.meta.ms > source.meta.createdMs;
      if (!isKept) return false;
      this.#mark(source);
      if (compareVersions(owner.meta, source.meta) < 0)
        this.#put(owner, { ...owner.meta, ...this.#newVersion() });
    } else if (hasLapsed(owner) && source.meta.ms > owner.meta.createdMs) this.#putSource(owner, source);
    else return false;
    this.#merge.merged(1);
    return true;
  }

  #decideByFunction(owner: Version, source: Version): void {
    const { policy } = this.#merge;
    let verdict: Verdict;
    try {
      verdict = this.#ask(owner, source);
    } catch (error) {
      const reason = `merge function ${policy}: ${reasonOf(error)}`;
      this.#keepOwner(owner, source, reason);
      this.#merge.failed(Buffer.from(source.key), reason);
      return;
    }
    if (verdict === 'source') this.#keepSource(owner, source, policy);
    else if (verdict === 'owner') this.#keepOwner(owner, source, policy);
    else this.#keepMade(owner, source, verdict.value);
  }

  /** Throws what the function throws, and for what it gives that cannot be stored. */
  #ask(owner: Version, source: Version): Verdict {
    const { functions, policy } = this.#merge;
    const decide = functions.find(policy);
    if (decide === undefined) throw new TypeError('it is not registered at this member');
    const { codec } = functions;
    const key: unknown = decodeKey(source.key);
    const view = (version: Version): MergeConflict['existing'] =>
      version.meta.tombstone ? null : viewOf(key, codec.decode(version.value), version);
    const given = decide({ name: this.#state.name, key, existing: view(owner), merging: view(source) });
    if (given === null || given === undefined) {
      return owner.meta.tombstone ? 'owner' : source.meta.tombstone ? 'source' : { value: null };
    }
    if (isThenable(given)) throw new TypeError('it gave a promise; it has to give the value itself');
    const value = codec.encode(given);
    if (hasValue(owner, value)) return 'owner';
    return hasValue(source, value) ? 'source' : { value };
  }

  #keepSource(owner: Version, source: Version, reason: string): void {
    this.#putSource(owner, source);
    if (isSameContent(owner, source)) this.#merge.merged(1);
    else this.#discarded('owner', source, contentOf(source), contentOf(owner), reason);
  }

  /** `owner` is null when it has no record of the key. */
  #keepOwner(owner: Version | null, source: Version, reason: string): void {
    this.#mark(source);
    const isOlder = owner !== null && compareVersions(owner.meta, source.meta) < 0;
    if (isOlder) this.#put(owner, { ...owner.meta, ...this.#newVersion() });
    // The other side may have written to the store.
    else if (owner !== null && removesOutside(this.#merge.operation)) this.#put(owner, owner.meta);
    if (owner !== null && isSameContent(owner, source)) this.#merge.merged(1);
    else
      this.#discarded('source', source, owner === null ? null : contentOf(owner), contentOf(source), reason);
  }

  /** The function gave a value that neither side has: none of the two acknowledged ones is there any more. */
  #keepMade(owner: Version, source: Version, value: Uint8Array | null): void {
    const [a, b] = [owner.meta, source.meta];
    const nowMs = Math.floor(this.#merge.operation.wallMs);
    const live = a.tombstone ? b : a;
    this.#mark(source);
    this.#put(
      { key: source.key, meta: a, value: value ?? NO_VALUE },
      {
        ...live,
        ...this.#newVersion(),
        tombstone: value === null,
        cause: REMOVAL.removed,
        updatedMs: nowMs,
        accessedMs: Math.max(a.accessedMs, b.accessedMs),
        hits: Math.max(a.hits, b.hits),
      },
    );
    for (const [side, lost] of [['source', source] as const, ['owner', owner] as const]) {
      if (!lost.meta.tombstone) this.#discarded(side, source, value, contentOf(lost), this.#merge.policy);
    }
  }

  #putSource(owner: Version | null, source: Version): void {
    const isLater = owner === null || compareVersions(source.meta, owner.meta) > 0;
    // Under other policies than this a record that comes again could win against what was written after it.
    if (!isLater || this.#merge.policy !== DEFAULT_MERGE_POLICY) this.#mark(source);
    // Both sides saw uses of what it is now.
    const accessedMs = Math.max(source.meta.accessedMs, owner?.meta.accessedMs ?? 0);
    const meta = source.meta.tombstone ? source.meta : { ...source.meta, accessedMs };
    this.#put(source, isLater ? meta : { ...meta, ...this.#newVersion() });
  }

  #put({ key, value }: Version, meta: RecordMeta): void {
    const { seq } = this.#merge.operation;
    this.#state.mergeImage(this.#begin(), key, value, { ...meta, seq }, this.#merge.operation);
  }

  /** The record alone will not show that this version of it was merged. */
  #mark({ meta }: Version): void {
    this.#state.mergeMark(this.#begin(), meta, Math.floor(this.#merge.operation.wallMs));
  }

  #begin(): Writer {
    this.#out ??= this.#state.beginMerge(this.#merge.operation);
    return this.#out;
  }

  /** Of a value that is made or kept against the order of versions: from now on it is the latest. */
  #newVersion(): Pick<RecordMeta, 'ms' | 'counter' | 'memberHi' | 'memberLo' | 'origin'> {
    const { ms, counter, memberHi, memberLo } = this.#merge.operation.version();
    return { ms, counter, memberHi, memberLo, origin: 0 };
  }

  #discarded(
    side: Side,
    { key }: Version,
    kept: Uint8Array | null,
    discarded: Uint8Array | null,
    reason: string,
  ): void {
    this.#merge.discarded({
      key: Buffer.from(key),
      kept: kept === null ? null : Buffer.from(kept),
      discarded: discarded === null ? null : Buffer.from(discarded),
      side,
      reason,
    });
  }
}

function hasLapsed({ meta: { tombstone, cause } }: Version): boolean {
  return tombstone && (cause === REMOVAL.expired || cause === REMOVAL.evicted);
}

function contentOf({ meta, value }: Version): Uint8Array | null {
  return meta.tombstone ? null : value;
}

function hasValue({ meta, value }: Version, other: Uint8Array): boolean {
  return !meta.tombstone && Buffer.compare(value, other) === 0;
}

function isSameContent(owner: Version, source: Version): boolean {
  if (owner.meta.tombstone || source.meta.tombstone) return owner.meta.tombstone && source.meta.tombstone;
  return Buffer.compare(owner.value, source.value) === 0;
}

function viewOf(key: unknown, value: unknown, version: Version): MergeConflict['existing'] {
  const { ms, counter, memberHi, memberLo, ...meta } = version.meta;
  return entryViewOf(key, value, {
    ...meta,
    expiresMs: expirationOf(version.meta),
    value: version.value,
    costBytes: version.key.length + version.value.length,
    versionMs: ms,
    versionCounter: counter,
    versionMemberHi: memberHi,
    versionMemberLo: memberLo,
  });
}

/** What comes from another side must not drag this side's clock to where it cannot count any more. */
function checkTimes(meta: RecordMeta): void {
  const times = [
    meta.ms,
    meta.createdMs,
    meta.updatedMs,
    meta.accessedMs,
    meta.expiresMs,
    meta.ttlMs,
    meta.maxIdleMs,
    meta.staleMs,
  ];
  for (const ms of times) {
    if (!(ms >= 0 && ms < MAX_TIME_MS)) throw new ProtocolError(`a record with the time ${ms}`);
  }
}
