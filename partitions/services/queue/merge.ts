/**
 * Puts the two sides of a split together for one queue: the union of what was added, less the union of what was
 * removed, in the order of the hybrid clock. Names of items tell what is the same, so the outcome does not depend on the
 * order in which sides come, and what comes again changes nothing. Nothing acknowledged is lost; an item that both sides
 * have given out is reported, and that comes again with its page. A call that the owner has applied itself counts there:
 * what it added on the source is left out, what it took there is put back. The source's part is
 * `changes.ts`; called on the owner's primary.
 */
import type { Reader, Writer } from '../../../src/base/bytes.js';
import { ProtocolError } from '../../../src/base/errors.js';
import { encodeKey } from '../../../src/wire/keys.js';
import { mergePolicyOf } from '../../merge-policies.js';
import type { DiscardedEntry, MergeContext } from '../../service.js';
import { nameOfActor } from '../actors.js';
import * as records from './records.js';
import { DELTA, type ItemImage, type ItemName, RECORD, Traces } from './records.js';
import type { RemovedItem } from './removed.js';
import type { QueueState } from './state.js';

/** A merge stops when its delta has so many bytes; one item more, of the largest size, still fits into a message. */
const DELTA_BYTES = 1024 * 1024;
const TAKEN_TWICE = 'the item was taken on both sides';
const TAKEN_THERE = 'the item was taken on the side that is not merged, and is here still';

/** `Service.merge` of the queue. */
export function mergeRecords(state: QueueState, input: Reader, merge: MergeContext): void {
  const step = new QueueMerge(state, merge);
  while (input.remaining > 0 && !step.isFull) {
    const kind = input.u8();
    if (kind === RECORD.item) step.takeItem(records.readItem(input));
    else if (kind === RECORD.gone) step.takeGone(records.readGone(input));
    else if (kind === RECORD.removed) step.takeTaken(input.u8() === 1, records.readItem(input));
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

  /** The source gave an item out that was there when the two parted: the owner has it still, or took it away too. */
  takeTaken(hasBytes: boolean, image: ItemImage): void {
    if (this.#repeated.removed.has(image)) return;
    const { actor, ms, counter } = image;
    const bytes = hasBytes ? image.bytes : null;
    if (this.#state.isHere({ ms, counter, memberHi: actor.memberHi, memberLo: actor.memberLo })) {
      if (!this.#takes) this.#report({ kept: bytes, discarded: null, reason: TAKEN_THERE });
      return;
    }
    const own = this.#removedHere(image);
    const wasDropped = own !== undefined && !own.isTaken;
    if (!wasDropped) this.#report({ kept: null, discarded: bytes, reason: TAKEN_TWICE });
  }

  #removedHere(name: ItemName): RemovedItem | undefined {
    this.#removed ??= new Map(this.#state.removed.all().map((each) => [textOf(each), each]));
    return this.#removed.get(textOf(name));
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

function textOf({ actor, ordinal }: ItemName): string {
  return `${nameOfActor(actor)}#${ordinal}`;
}
