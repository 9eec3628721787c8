/**
 * Puts the two sides of a split together for one queue: the union of what was added, less the union of what was
 * removed, in the order of the hybrid clock. Names of items tell what is the same, so the outcome does not depend on the
 * order in which sides come, and what comes again changes nothing. Nothing acknowledged is lost; an item that both sides
 * have given out is reported, and that comes again with its page; so is one that one side took and the other one handed
 * out. A call that the owner has applied itself counts there:
 * what it added on the source is left out, what it took there is put back. The source's part is
 * `changes.ts`; called on the owner's primary.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { encodeKey } from '../../../src/wire/keys.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { mergePolicyOf } from '../../merge-policies.js';
import type { DiscardedEntry, MergeContext } from '../../service.js';
import { isSameActor } from '../actors.js';
import { type HandOut, readHandOut, WHERE, writeHandOut } from './hand-out.js';
import * as records from './records.js';
import { DELTA, type ItemImage, NameSet, RECORD, TAKEN, type Take, Traces } from './records.js';
import type { RemovedItem } from './removed.js';
import type { QueueState } from './state.js';

/** A merge stops when its delta has so many bytes; one item more, of the largest size, still fits into a message. */
const DELTA_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);
const TAKEN_TWICE = 'the item was taken on both sides';
const TAKEN_DOUBLED =
  'the item was taken on one side, and the call that had added it counts on the other, or was declared void there';
const TAKEN_WHILE_OUT =
  'the item was taken or acknowledged on one side, and handed out on the other, whose consumer cannot acknowledge it';
const TAKEN_THERE = 'the item was taken on the side that is not merged, and is here still';

/** `Service.merge` of the queue. */
export function mergeRecords(state: QueueState, input: Reader, merge: MergeContext): void {
  const step = new QueueMerge(state, merge);
  while (input.remaining > 0 && !step.isFull) {
    const kind = input.u8();
    if (kind === RECORD.item) step.takeItem(records.readItem(input));
    else if (kind === RECORD.gone) step.takeGone(records.readGone(input));
    else if (kind === RECORD.taken)
      step.takeTaken(input.u8(), records.readTake(input), records.readItem(input));
    else if (kind === RECORD.handed)
      step.takeHanded(input.u8(), readHandOut(input), input.blob(MAX_VALUE_BYTES + 1));
    else throw new ProtocolError(`unknown record of a queue: ${kind}`);
  }
  step.end();
}

class QueueMerge {
  readonly #state: QueueState;
  readonly #merge: MergeContext;
  /** What calls did that the source has from an earlier merge, and that this side has applied itself. */
  readonly #repeated: Traces;
  readonly #takes: boolean;
  #removed: ReadonlyMap<string, RemovedItem> | null = null;
  /** Items that this step adds. */
  readonly #added = new NameSet();
  /** The item that came last, which a hand-out without bytes follows. */
  #last: ItemImage | null = null;
  #out: Writer | null = null;

  constructor(state: QueueState, merge: MergeContext) {
    this.#state = state;
    this.#merge = merge;
    this.#repeated = new Traces(merge.repeated);
    this.#takes = mergePolicyOf(merge.policy)?.takes !== false;
  }

  get isFull(): boolean {
    return this.#out !== null && this.#out.length > DELTA_BYTES;
  }

  takeItem(image: ItemImage): void {
    this.#last = image;
    const { actor, ms, counter, bytes } = image;
    const place = { ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo };
    this.#merge.operation.observe(place);
    if (this.#repeated.added.has(image) || this.#state.isGone(image) || this.#state.isHere(place)) return;
    if (!this.#takes) {
      this.#report({ kept: null, discarded: bytes, reason: this.#merge.policy });
      return;
    }
    const out = this.#begin();
    out.u8(RECORD.item);
    out.f64(this.#merge.operation.seq);
    records.writeItem(out, image, bytes);
    this.#added.add(actor, image.ordinal);
    this.#merge.merged(1);
  }

  takeGone({ actor, gone }: records.GoneRecord): void {
    if (!this.#takes) return;
    const known = this.#state.goneOf(actor);
    const counted = this.#repeated.removed.leftOf(actor, gone);
    const news = known === undefined ? counted : counted.without(known);
    if (news.length === 0) return;
    const { seq } = this.#merge.operation;
    const { ms } = this.#merge.operation.version();
    const out = this.#begin();
    out.u8(RECORD.gone);
    records.writeGone(out, { actor, seq, ms, gone: news });
    this.#merge.merged(1);
  }

  /**
   * Somebody got an item of the source. It is remembered here also when this side never had it: a further side may have
   * given it out too.
   */
  takeTaken(flags: number, take: Take, image: ItemImage): void {
    if (this.#repeated.removed.has(image)) return;
    const { actor, ms, counter } = image;
    const bytes = (flags & TAKEN.withBytes) === 0 ? null : image.bytes;
    if ((flags & TAKEN.doubled) !== 0 || this.#repeated.added.has(image)) {
      this.#report({ kept: null, discarded: bytes, reason: TAKEN_DOUBLED });
      return;
    }
    const isHere = this.#state.isHere({ ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo });
    if (!this.#takes) {
      if (isHere) this.#report({ kept: bytes, discarded: null, reason: TAKEN_THERE });
      return;
    }
    this.#removed ??= this.#state.removed.byName();
    const own = this.#removed.get(records.textOf(image));
    if (own?.isTaken === true) {
      const isSame = own.take.bySeq === take.bySeq && isSameActor(own.take.by, take.by);
      if (!isSame) this.#report({ kept: null, discarded: bytes, reason: TAKEN_TWICE });
      return;
    }
    if (!isHere && own === undefined) {
      const isShared = (flags & TAKEN.shared) !== 0;
      // Both sides had it, and nothing is known of it here any more: it was given out here as well, or dropped, long ago.
      if (isShared) this.#report({ kept: null, discarded: bytes, reason: TAKEN_TWICE });
      if (isShared || this.#state.isGone(image)) return;
    }
    const handOut = isHere ? this.#state.handed.find(image) : undefined;
    // Whoever got it here since the sides parted may do again what was done there; a dead letter may be one already.
    if (handOut !== undefined && (handOut.fence.seq > this.#merge.sharedSeq || handOut.where === WHERE.dead))
      this.#report({ kept: null, discarded: bytes ?? this.#bytesOf(image), reason: TAKEN_WHILE_OUT });
    const out = this.#begin();
    out.u8(RECORD.taken);
    // Of one that was never here the bytes are kept: there is no other copy to name it by in a report.
    records.writeItem(out, image, isHere || own !== undefined ? NO_BYTES : (bytes ?? NO_BYTES));
    records.writeTake(out, { ...take, takenMs: this.#merge.operation.version().ms });
    if (isHere) this.#merge.merged(1);
  }

  #bytesOf({ actor, ms, counter }: records.Named): Uint8Array | null {
    const item = this.#state.itemAt({ ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo });
    return item === undefined ? null : this.#state.bytesOf(item);
  }

  /**
   * An item of the source that is there still was handed out. Who has it there may acknowledge it here, unless somebody
   * here has it: that one was told nothing else. One that died on either side stays dead, because it may be in the
   * dead-letter queue.
   */
  takeHanded(flags: number, handOut: HandOut, bytes: Uint8Array): void {
    if (!this.#takes || this.#repeated.added.has(handOut)) return;
    const { actor, ms, counter } = handOut;
    const isHere = this.#state.isHere({ ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo });
    if (!isHere && !this.#added.has(handOut)) {
      this.#removed ??= this.#state.removed.byName();
      const own = this.#removed.get(records.textOf(handOut));
      const wasTaken = own?.isTaken ?? (flags & TAKEN.shared) !== 0;
      const isSince = handOut.fence.seq > this.#merge.sharedSeq || handOut.where === WHERE.dead;
      if (!wasTaken || !isSince) return;
      const discarded = (flags & TAKEN.withBytes) === 0 ? this.#bytesBefore(handOut, own) : bytes;
      this.#report({ kept: null, discarded, reason: TAKEN_WHILE_OUT });
      return;
    }
    const own = this.#state.handed.find(handOut);
    const deliveries = Math.max(own?.deliveries ?? 0, handOut.deliveries);
    const isDeadThere = handOut.where === WHERE.dead && own?.where !== WHERE.dead;
    const isKept = own !== undefined && own.where !== WHERE.back && !isDeadThere;
    if (own !== undefined && own.deliveries === deliveries && (isKept || handOut.where === WHERE.back))
      return;
    const out = this.#begin();
    out.u8(RECORD.handed);
    out.f64(this.#merge.operation.seq);
    writeHandOut(out, { ...(isKept ? own : handOut), deliveries });
    this.#merge.merged(1);
  }

  /** Of an item that came just before its hand-out; a further side gave it out, and has told of it already. */
  #bytesBefore(handOut: HandOut, own: RemovedItem | undefined): Uint8Array | null {
    if (this.#last !== null && records.textOf(this.#last) === records.textOf(handOut))
      return this.#last.bytes;
    return own === undefined ? null : this.#state.removed.bytesOf(own);
  }

  #report(what: Pick<DiscardedEntry, 'kept' | 'discarded' | 'reason'>): void {
    const copy = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes));
    const { kept, discarded, reason } = what;
    this.#merge.discarded({
      key: encodeKey(this.#state.name),
      kept: copy(kept),
      discarded: copy(discarded),
      side: 'source',
      reason,
    });
  }

  #begin(): Writer {
    if (this.#out === null) {
      this.#out = this.#merge.operation.delta();
      this.#out.u8(DELTA.merge);
    }
    return this.#out;
  }

  end(): void {
    if (this.#out !== null) this.#state.mergeIn(this.#out, this.#merge.operation.seq);
  }
}
