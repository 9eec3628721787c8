/**
 * The locks of keys in one partition of a structure: who holds which, with which fence. They are replicated state, in a
 * table of leases. Invariants: a lock is held until a change says otherwise - the end of its lease, and of its holder's
 * session, are changes that the primary makes (`LockKeeper`) -, so handlers and backups look at no clock; a fence is larger
 * than all that the key had before in this lineage, because it begins with the takeover and goes on with the position of
 * the stream; a merge keeps the locks of the side that stays, and lifts its fences above those of the other one.
 * Called by the states of map and multimap.
 */
import { type Reader, textOf, type Writer } from '../../src/base/bytes.js';
import { KeyLockedError, LockLostError, NotLockOwnerError, OverloadError } from '../../src/base/errors.js';
import { keyText } from '../../src/wire/key-text.js';
import { MAX_KEY_BYTES } from '../../src/wire/keys.js';
import type { IsGone, OperationContext, PurgeHorizon, SelfEnding } from '../service.js';
import {
  ENDED_ELSEWHERE,
  type EndedLock,
  isSameLock,
  NAMED_BYTES,
  type NamedLock,
  readNamed,
  withEnded,
  writeNamed,
} from './ended-locks.js';
import {
  endedBy,
  holderName,
  type KeyLock,
  LOCK_CODEC,
  NOBODY,
  WHY,
  type Why,
  whoHolds,
} from './key-lock.js';
import { DROPPED, type Entry, hasEnded, LeaseTable } from './lease-table.js';
import { isSameFence, type LockFence } from './lock-fence.js';

/** Keys of one structure that are locked in one partition at a time; one more is refused. */
export const MAX_LOCKS = 10_000;
/** Marks of locks that were given back and wait for housekeeping; with more of them, no further key is locked. */
export const MAX_MARKS = 50_000;
/** That one change of the keeper ends. */
const MAX_OVER = 500;
/** Of marks that housekeeping leaves for merges. */
const KEPT_MARKS = 200;
const FENCE_BYTES = 32;
/** Keys that one side tells another of, at the most, and bytes: what is made of them is one delta. */
const MAX_TOLD = 4_096;
const MAX_TOLD_BYTES = 1024 * 1024;

/** Behind the kind of a delta, and in a copy. */
const PART = { lock: 1, fence: 2 } as const;

/** Of a key of which nothing is known. */
const MARK = { held: NOBODY, isReleased: true, sinceMs: null };

/** The latest fence that was given, or one above those of a side that was merged in, and when: the next merge has to know. */
interface Given extends LockFence {
  /** Wall clock of the primary. */
  readonly atMs: number;
}

/** A delta, behind its kind, is that of a lock that was given. */
export function givesLock(delta: Reader): boolean {
  if (delta.u8() !== PART.lock) return false;
  delta.blob(MAX_KEY_BYTES);
  return delta.u8() === 0;
}

export class KeyLocks implements SelfEnding {
  /** The first byte of its deltas, among those of the structure. */
  readonly #kind: number;
  readonly #table = new LeaseTable<KeyLock>(LOCK_CODEC);
  #given: Given | null = null;
  /** Fences of another lineage were higher by so many views; all later ones are lifted above them. */
  #lift = 0;
  /** No fork can be alive that parted before, as far as housekeeping has told; on the wall clock, at the primary only. */
  #partedSinceMs = Number.NEGATIVE_INFINITY;

  constructor(kind: number) {
    this.#kind = kind;
  }

  /** Locks that are held: while there are none, nothing waits for one. */
  get heldCount(): number {
    return this.#table.activeCount;
  }

  get markCount(): number {
    return this.#table.markCount;
  }

  get sizeBytes(): number {
    return this.#table.sizeBytes + (this.hasFence ? FENCE_BYTES : 0);
  }

  get hasFence(): boolean {
    return this.#given !== null || this.#lift > 0;
  }

  /** There is something to copy. */
  get isEmpty(): boolean {
    return this.#table.count === 0 && !this.hasFence;
  }

  find(key: Uint8Array): Entry<KeyLock> | undefined {
    return this.#table.find(key);
  }

  /** The entry of a key, also the mark of a lock that was given back. */
  look(key: Uint8Array): Entry<KeyLock> | undefined {
    return this.#table.get(key);
  }

  // --- who may write

  /** Somebody else holds the key, so that the caller must not change it. */
  isBlocked(key: Uint8Array, { client, lockOwner }: OperationContext): boolean {
    const held = this.#table.find(key)?.held;
    return held !== undefined && (held.client !== client || held.owner !== lockOwner);
  }

  /**
   * Before a call changes a key: true when somebody else holds it and the call waits in line, so that what the handler
   * gives is void. Throws a `KeyLockedError` when it must not wait any longer.
   */
  blocks(key: Uint8Array, context: OperationContext): boolean {
    if (!this.isBlocked(key, context)) return false;
    if (this.waits(key, context, null)) return true;
    throw this.lockedError(key, context);
  }

  /** A call on a blocked key waits in line for so long since it was made (null: as it asks itself); false: no more. */
  waits(key: Uint8Array, context: OperationContext, waitMs: number | null): boolean {
    const { held } = this.#table.find(key) as Entry<KeyLock>;
    const as = holderName(context.client, context.lockOwner);
    return context.waitFor(textOf(key), holderName(held.client, held.owner), as, waitMs);
  }

  lockedError(key: Uint8Array, context: OperationContext): KeyLockedError {
    const { held } = this.#table.find(key) as Entry<KeyLock>;
    return new KeyLockedError(
      `the key ${keyText(key)} is locked by ${whoHolds(held, context)}; try again when it is unlocked`,
    );
  }

  // --- lock and unlock

  /**
   * Gives the lock, as the one change of the operation: of a free key, or once more to the owner that holds it, whose lease
   * never ends earlier by it.
   */
  grant(key: Uint8Array, token: number, leaseMs: number, context: OperationContext): LockFence {
    const entry = this.#table.get(key);
    const { lockGrantedTwice, fenceRestarts } = context.faults ?? {};
    if (entry?.isReleased === false && lockGrantedTwice !== true)
      return this.#again(entry, token, leaseMs, context);
    this.#refuseTooMany();
    const fence = { epoch: this.#epochOfNext(context, fenceRestarts === true), seq: context.seq };
    const atMs = Math.floor(context.wallMs);
    this.#given = { ...fence, atMs };
    const { client, lockOwner: owner } = context;
    const { lostBy, lostWhy, ended } = entry?.held ?? NOBODY;
    const { lineage } = context.actor;
    const what = { client, owner, token, count: 1, leaseMs, fence, givenSeq: fence.seq, lineage, atMs };
    const held = { ...what, lostBy, lostWhy, ended };
    const out = this.#begin(context);
    this.#change(out, key, held, false, context);
    this.#writeFence(out);
    return fence;
  }

  /** Views of another lineage may have had higher numbers. */
  #epochOfNext({ actor: { epoch } }: OperationContext, restarts: boolean): number {
    if (restarts) return 100_000 - epoch;
    this.#lift = Math.max(this.#lift, (this.#given?.epoch ?? 0) - epoch);
    return epoch + this.#lift;
  }

  #again(
    { key, held, sinceMs }: Entry<KeyLock>,
    token: number,
    leaseMs: number,
    context: OperationContext,
  ): LockFence {
    const leftMs = held.leaseMs - (context.nowMs - (sinceMs ?? context.nowMs));
    const longerMs = held.leaseMs === 0 || leaseMs === 0 ? 0 : Math.ceil(Math.max(leftMs, leaseMs));
    const again = { ...held, token, count: held.count + 1, givenSeq: context.seq, leaseMs: longerMs };
    this.#change(this.#begin(context), key, again, false, context);
    return held.fence;
  }

  #refuseTooMany(): void {
    const { activeCount, markCount } = this.#table;
    if (activeCount >= MAX_LOCKS)
      throw new OverloadError(`${activeCount} keys of the partition are locked, which is the limit`);
    if (markCount >= MAX_MARKS)
      throw new OverloadError(
        `${markCount} keys of the partition were unlocked since housekeeping, which is the limit; try again in some seconds`,
      );
  }

  /**
   * Takes one back; throws when the caller does not hold it. `token` (0 for none) and `fence`: only this acquisition, for
   * another flow of the session may have got the lock meanwhile.
   */
  unlock(
    key: Uint8Array,
    { token, fence }: { readonly token: number; readonly fence: LockFence | null },
    context: OperationContext,
  ): void {
    const entry = this.#table.get(key);
    if (entry === undefined || entry.isReleased || this.isBlocked(key, context))
      throw notOwner(entry, context);
    const { held } = entry;
    const isOther = fence !== null && !isSameFence(fence, held.fence);
    if (isOther || (token !== 0 && held.token !== token)) throw notOwner(entry, context, isOther);
    const out = this.#begin(context);
    // Without its token: an unlock of that acquisition that comes twice counts once.
    if (held.count > 1) this.#change(out, key, { ...held, token: 0, count: held.count - 1 }, false, context);
    else this.#release(out, entry, WHY.unlocked, context);
  }

  /** Whoever holds it; false when nobody does. */
  forceUnlock(key: Uint8Array, context: OperationContext): boolean {
    const entry = this.#table.find(key);
    if (entry !== undefined) this.#release(this.#begin(context), entry, WHY.forced, context);
    return entry !== undefined;
  }

  #release(out: Writer, { key, held }: Entry<KeyLock>, why: Why, context: OperationContext): void {
    const { lostBy, lostWhy, client, ended } = held;
    const isEnded = why === WHY.unlocked || why === WHY.forced;
    const lost = why === WHY.unlocked ? { lostBy, lostWhy } : { lostBy: client, lostWhy: why };
    const atMs = Math.floor(context.wallMs);
    const before = { ...lost, ended: isEnded ? this.#withEnded(ended, held, context.actor, context) : ended };
    this.#change(out, key, { ...NOBODY, atMs, ...before }, true, context);
    context.wake(textOf(key));
  }

  #withEnded(
    list: readonly EndedLock[],
    { fence, lineage, givenSeq }: NamedLock,
    { lineage: byLineage, epoch }: EndedLock['by'],
    { seq, wallMs }: OperationContext,
  ): readonly EndedLock[] {
    const by = { lineage: byLineage, epoch };
    const ended = { fence, lineage, givenSeq, seq, by, atMs: Math.floor(wallMs) };
    return withEnded(list, ended, this.#partedSinceMs);
  }

  #change(out: Writer, key: Uint8Array, held: KeyLock, isReleased: boolean, context: OperationContext): void {
    this.#put(out, { key, seq: context.seq, isReleased, held, sinceMs: isReleased ? null : context.nowMs });
    if (held.leaseMs > 0) context.endsIn(held.leaseMs);
  }

  #put(out: Writer, entry: Entry<KeyLock>): void {
    out.u8(PART.lock);
    this.#table.write(out, entry);
    this.#table.put(entry);
  }

  #begin(context: OperationContext): Writer {
    const out = context.delta();
    out.u8(this.#kind);
    return out;
  }

  // --- ends that nobody asks for

  /** How long until one of the leases is over; Infinity when none ends by itself. */
  nextEndMs(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { isReleased, held, sinceMs } of this.#table.entries())
      if (!isReleased && held.leaseMs > 0)
        nextMs = Math.min(nextMs, (sinceMs ?? nowMs) + held.leaseMs - nowMs);
    return nextMs;
  }

  /** The keys whose locks are over, and why; as many as one change may end. */
  over(nowMs: number, isGone: IsGone): Map<Uint8Array, Why> {
    const found = new Map<Uint8Array, Why>();
    for (const entry of this.#table.entries()) {
      if (found.size >= MAX_OVER) break;
      if (entry.isReleased) continue;
      entry.sinceMs ??= nowMs;
      const { held, key, sinceMs } = entry;
      if (isGone(held.client, sinceMs)) found.set(key, WHY.session);
      else if (held.leaseMs > 0 && hasEnded(entry, held.leaseMs, nowMs)) found.set(key, WHY.lease);
    }
    return found;
  }

  /** Ends them, as a change. */
  end(keys: ReadonlyMap<Uint8Array, number>, context: OperationContext): void {
    const out = this.#begin(context);
    for (const [key, why] of keys) {
      const entry = this.#table.find(key);
      if (entry !== undefined) this.#release(out, entry, why as Why, context);
    }
  }

  // --- replication

  /** A delta, behind its kind. */
  apply(input: Reader, seq: number): void {
    while (input.remaining > 0) {
      if (input.u8() === PART.fence) this.#readFence(input);
      else this.#table.put(this.#table.read(input, seq));
    }
  }

  /** Keys of marks that every replica has; a few stay for as long as a merge may have to know of them. */
  droppable({ seq, ms }: PurgeHorizon): Uint8Array[] {
    this.#partedSinceMs = ms;
    const isNeeded = ({ held }: Entry<KeyLock>) => this.markCount <= KEPT_MARKS && held.atMs >= ms;
    return this.#table.keys(DROPPED, (entry) => entry.isReleased && entry.seq <= seq && !isNeeded(entry));
  }

  /** No fork can be alive any more that parted before the last fence was given. */
  isFenceOver({ seq, ms }: PurgeHorizon): boolean {
    return this.#given !== null && this.#given.atMs < ms && this.#given.seq <= seq;
  }

  /** What housekeeping drops: the marks of these keys, and the last fence, for all replicas at one position. */
  purge(keys: readonly Uint8Array[], withFence: boolean, upToSeq: number, out: Writer): void {
    out.u8(withFence ? 1 : 0);
    out.u32(keys.length);
    for (const key of keys) out.bytes(key);
    this.#purge(keys, withFence, upToSeq);
  }

  applyPurge(input: Reader, upToSeq: number): void {
    const withFence = input.u8() === 1;
    const keys = Array.from({ length: input.u32() }, () => input.blob(MAX_KEY_BYTES));
    this.#purge(keys, withFence, upToSeq);
  }

  #purge(keys: readonly Uint8Array[], withFence: boolean, upToSeq: number): void {
    for (const key of keys) this.#table.drop(key, upToSeq);
    if (withFence && this.#given !== null && this.#given.seq <= upToSeq) this.#given = null;
  }

  /** Writes parts from a position on, each behind `prefix`; returns the next position, or -1 at the end. */
  copy(fromSeq: number, maxBytes: number, out: Writer, prefix: (out: Writer) => void): number {
    if (fromSeq === 0 && this.hasFence) {
      prefix(out);
      out.f64(0);
      this.#writeFence(out);
    }
    return this.#table.copy(fromSeq, maxBytes, out, (prefixed) => prefix(prefixed));
  }

  paste(input: Reader): void {
    const seq = input.f64();
    if (seq > 0) this.#table.put(this.#table.read(input, seq));
    else {
      input.u8();
      this.#readFence(input);
    }
  }

  #writeFence(out: Writer): void {
    out.u8(PART.fence);
    out.u32(this.#lift);
    out.u32(this.#given?.epoch ?? 0);
    out.f64(this.#given?.seq ?? 0);
    out.f64(this.#given?.atMs ?? 0);
  }

  #readFence(input: Reader): void {
    this.#lift = Math.max(this.#lift, input.u32());
    // Fields are read in the order in which they stand here.
    const given = { epoch: input.u32(), seq: input.f64(), atMs: input.f64() };
    if (given.seq > (this.#given?.seq ?? 0)) this.#given = given;
  }

  // --- merge

  /**
   * For a merge into another lineage, behind a flag: the view of the highest fence that was given beyond a position, and
   * which acquisitions were unlocked beyond it, by key. Nothing without either.
   */
  writeChanges(sharedSeq: number, flag: number, out: Writer): void {
    const told: { readonly key: Uint8Array; readonly ended: readonly NamedLock[] }[] = [];
    let bytes = 0;
    for (const { key, held } of this.#table.entries()) {
      const ended = held.ended.filter(({ seq }) => seq > sharedSeq);
      bytes += ended.length === 0 ? 0 : key.length + ended.length * NAMED_BYTES;
      if (told.length >= MAX_TOLD || bytes > MAX_TOLD_BYTES) break;
      if (ended.length > 0) told.push({ key, ended });
    }
    const epoch = this.#given !== null && this.#given.seq > sharedSeq ? this.#given.epoch : 0;
    if (epoch === 0 && told.length === 0) return;
    out.u8(flag);
    out.u32(epoch);
    out.u32(told.length);
    for (const { key, ended } of told) {
      out.bytes(key);
      out.u8(ended.length);
      for (const one of ended) writeNamed(out, one);
    }
  }

  /**
   * Takes over what `writeChanges` told: fences go on above those of the other side, and what its holder has unlocked
   * there is unlocked here. All else of the other side is gone. `sharedSeq`: where they parted. Writes the parts of a
   * delta; gives their number.
   */
  merge(records: Reader, sharedSeq: number, context: OperationContext, out: Writer): number {
    let parts = 0;
    const told = records.u32();
    if (told > 0 && told >= (this.#given?.epoch ?? 0)) {
      this.#given = { epoch: told + 1, seq: context.seq, atMs: Math.floor(context.wallMs) };
      this.#writeFence(out);
      parts++;
    }
    for (let left = records.u32(); left > 0; left--) {
      const key = records.blob(MAX_KEY_BYTES);
      const ended = Array.from({ length: records.u8() }, () => readNamed(records));
      if (this.#mergeEnded(key, ended, sharedSeq, context, out)) parts++;
    }
    return parts;
  }

  /** These were unlocked on the other side: false when that changes nothing. */
  #mergeEnded(
    key: Uint8Array,
    told: readonly NamedLock[],
    sharedSeq: number,
    context: OperationContext,
    out: Writer,
  ): boolean {
    const { held, isReleased, sinceMs } = this.#table.get(key) ?? MARK;
    const meant = told.find((one) => !isReleased && isSameLock(one, held));
    // One that its holder has locked once more meanwhile is not over.
    const isOver = meant !== undefined && (held.givenSeq <= sharedSeq || held.givenSeq === meant.givenSeq);
    const news = told.filter((one) => one !== meant && !held.ended.some((other) => isSameLock(one, other)));
    if (!isOver && (news.length === 0 || this.#table.markCount >= MAX_MARKS)) return false;
    // A third side may hold them, and be told by this one.
    let { ended } = held;
    for (const one of news) ended = this.#withEnded(ended, one, ENDED_ELSEWHERE, context);
    const atMs = isReleased ? Math.floor(context.wallMs) : held.atMs;
    const entry = { key, seq: context.seq, isReleased, held: { ...held, ended, atMs }, sinceMs };
    if (isOver) this.#release(out, entry, WHY.unlocked, context);
    else this.#put(out, entry);
    return true;
  }

  /** The parts of a delta that `merge` wrote. */
  applyMerge(input: Reader, parts: number, seq: number): void {
    for (let left = parts; left > 0; left--) {
      if (input.u8() === PART.fence) this.#readFence(input);
      else this.#table.put(this.#table.read(input, seq));
    }
  }

  dump(): string[] {
    return [...this.#table.entries()].map(({ key, seq, isReleased, held }) => {
      const hex = Buffer.from(key).toString('hex');
      // For those who compare contents it is what a tombstone is.
      if (isReleased) return `${hex} lock ${seq} tombstone`;
      const { client, owner, token, count, fence } = held;
      return `${hex} lock ${fence.epoch}.${fence.seq} of ${client}.${owner}.${token} x${count}`;
    });
  }

  clear(): void {
    this.#table.clear();
    this.#given = null;
    this.#lift = 0;
  }
}

/** `isLater`: the caller has it by a later acquisition than the one that it means. */
function notOwner(entry: Entry<KeyLock> | undefined, context: OperationContext, isLater = false): Error {
  const held = entry?.held ?? NOBODY;
  const isHeld = entry?.isReleased === false;
  const now = isHeld ? `it is locked by ${whoHolds(held, context)} now` : 'it is not locked';
  if (isLater || (held.lostBy === context.client && held.lostWhy !== WHY.unlocked))
    return new LockLostError(
      `the lock of the key was taken from this session, ${held.lostWhy === WHY.unlocked ? 'or was unlocked already' : `because ${endedBy(held.lostWhy)}`}; ${now}: what was written under it since then may be of others, so begin again`,
    );
  return new NotLockOwnerError(
    isHeld
      ? `the caller does not hold the lock of the key: ${now}; unlock it there, or use forceUnlock`
      : 'the key is not locked: it was never locked, or was unlocked already',
  );
}
