/**
 * The primary's side of anti-entropy towards one backup of one partition: compares from the roots down what differs,
 * lists the records where digests end, and sends what is missing or wrong there. One message is on its way at a time,
 * and each is complete for the position at which it is sent, so writes may go on between them. Owned by
 * `anti-entropy.ts`.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import type { Digested, ServiceState } from '../partitions/service.js';
import { emptySum, firstHash, lastHash } from '../partitions/store/digest.js';
import { Writer } from '../src/base/bytes.js';
import { ProtocolError } from '../src/base/errors.js';
import type { BodyOf, MessageDef } from '../src/wire/message.js';
import { MEND_BYTES, takeOver } from './anti-entropy-backup.js';
import * as messages from './anti-entropy-messages.js';
import {
  type Allowance,
  digestOfWhole,
  isBehind,
  listOf,
  type Sender,
  type StructureName,
} from './anti-entropy-parts.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import type { PrimaryStream } from './primary.js';
import type { Slot } from './slot.js';

/** Levels of the tree between one message and the next: 16 children for each node that differs. */
const LEVELS = 4;
/** A tree with deeper leaves is compared in parts of 2^10 leaves, so that no step has to compute more than these. */
const PART_BITS = 10;
/** Records in one message of a list. */
const LIST_RECORDS = 512;
/** Bytes that wait for the backup; above, comparing would only be in the way. */
const MAX_QUEUED_BYTES = 256 * 1024;
const ANSWER_MS = 3_000;
/** Attempts in a row that found the backup at another position. */
const MAX_MISSES = 40;

export interface NodeRef extends StructureName {
  readonly depth: number;
  readonly prefix: number;
}

/** What is still to be done; the last one first, so that one path is followed to its end. */
type Work =
  | { readonly kind: 'roots'; readonly after: StructureName }
  | (StructureName & { readonly kind: 'nodes'; readonly depth: number; readonly prefixes: readonly number[] })
  | (StructureName & { readonly kind: 'list'; readonly from: number; readonly to: number })
  | (StructureName & { readonly kind: 'mend'; readonly hashes: readonly number[]; readonly isWhole: boolean })
  | (NodeRef & { readonly kind: 'restore' });

interface RootItem extends StructureName {
  readonly isOpen: boolean;
}

/** The message that an answer is awaited for, and the work to do again when it comes to nothing. */
interface Waiting {
  readonly task: number;
  readonly sentMs: number;
  readonly work: Work;
  /** In the order of the message. */
  readonly items: readonly RootItem[];
  /** There are no structures behind these. */
  readonly isLast: boolean;
}

const START: StructureName = { service: 0, structure: '' };

const sum = emptySum();
const scratch = new Writer(64 * 1024);

export interface TaskHost {
  readonly host: ReplicationHost;
  readonly counters: ReplicationCounters;
  readonly allowance: Allowance;
  readonly sender: Sender;
  newTask(): number;
  /** Contents of this primary that do not fit their digest. */
  faulty(replica: PartitionReplica, node: NodeRef): void;
}

export class Comparison {
  readonly primary: PrimaryStream;
  readonly slot: Slot;
  readonly #of: TaskHost;
  #work: Work[];
  #waiting: Waiting | null = null;
  #misses = 0;
  /** Until the next tick: the backup, or this member, needs time. */
  #rests = false;
  #isFailed = false;
  /** The node of a `restore` has its contents back. */
  isHealed = false;

  constructor(primary: PrimaryStream, slot: Slot, of: TaskHost, restore?: NodeRef) {
    this.primary = primary;
    this.slot = slot;
    this.#of = of;
    this.#work = [restore === undefined ? { kind: 'roots', after: START } : { kind: 'restore', ...restore }];
  }

  get isDone(): boolean {
    return this.#isFailed || (this.#work.length === 0 && this.#waiting === null);
  }

  /** For the answer to this message. */
  isWaitingFor(task: number): boolean {
    return this.#waiting?.task === task;
  }

  tick(nowMs: number): void {
    this.#rests = false;
    if (this.#waiting !== null && nowMs - this.#waiting.sentMs > ANSWER_MS) this.#isFailed = true;
    this.pump();
  }

  /** Sends the next message when that may be. */
  pump(): void {
    const { slot, primary } = this;
    if (this.#waiting !== null || this.#rests || this.isDone || !this.#of.allowance.maySend) return;
    const { replica } = primary;
    // What the log holds back has not been sent: the backup can not be at this position.
    const isLevel = slot.synced && slot.streaming && slot.sent === replica.seq;
    if (!isLevel || this.#of.host.queuedBytes(slot.member) > MAX_QUEUED_BYTES) {
      this.#missed();
      return;
    }
    while (this.#waiting === null && this.#work.length > 0) {
      const work = this.#work.pop() as Work;
      if (!this.#begin(work)) {
        this.#work.push(work);
        this.#rests = true;
        return;
      }
    }
  }

  #missed(): void {
    this.#rests = true;
    if (++this.#misses > MAX_MISSES) this.#isFailed = true;
  }

  /** False when the budget does not reach for it now. */
  #begin(work: Work): boolean {
    switch (work.kind) {
      case 'roots':
        return this.#sendRoots(work);
      case 'nodes':
        return this.#sendNodes(work);
      case 'list':
        return this.#sendList(work);
      case 'mend':
        return this.#sendMend(work);
      case 'restore':
        return this.#sendRestore(work);
    }
  }

  #await(
    work: Work,
    items: Waiting['items'] = [],
    isLast = true,
  ): { task: number; epoch: number; seq: number } {
    const task = this.#of.newTask();
    this.#waiting = { task, sentMs: this.#of.host.clock.now(), work, items, isLast };
    const { epoch, seq } = this.primary.replica;
    return { task, epoch, seq };
  }

  #digested({ service, structure }: StructureName): Digested | undefined {
    return this.primary.replica.find(service, structure)?.digested;
  }

  #sendRoots(work: Work & { kind: 'roots' }): boolean {
    const { replica } = this.primary;
    const { after } = work;
    const items: { service: number; structure: string; isOpen: boolean; lo: number; hi: number }[] = [];
    let isLast = true;
    for (const { serviceId: service, name: structure, state } of replica.structures()) {
      if (!isBehind({ service, structure }, after)) continue;
      const isOpen = (state.digested?.store.digest.bits ?? 0) > PART_BITS;
      if (items.length === messages.MAX_STRUCTURES || !this.#rootOf(state, isOpen)) {
        if (items.length === 0) return false;
        isLast = false;
        break;
      }
      items.push({ service, structure, isOpen, lo: isOpen ? 0 : sum.lo, hi: isOpen ? 0 : sum.hi });
    }
    const { service: afterService, structure: afterStructure } = after;
    const body = {
      ...this.#await(work, items, isLast),
      afterService,
      afterStructure,
      isLast,
      structures: items,
    };
    this.#send(messages.digestRoots, body);
    return true;
  }

  #rootOf(state: ServiceState, isOpen: boolean): boolean {
    if (isOpen) return true;
    const { allowance } = this.#of;
    if (state.digested !== undefined) return allowance.digestOf(state.digested.store.digest, 0, 0, sum);
    if (!allowance.hasTime) return false;
    Object.assign(sum, digestOfWhole(state));
    return true;
  }

  /** All nodes at `depth` below the given ones at depth `from`. */
  #pushNodes(name: StructureName, depth: number, above: readonly number[], from: number): void {
    const { service, structure } = name;
    const span = 2 ** (depth - from);
    const prefixes: number[] = [];
    for (const prefix of above) for (let i = 0; i < span; i++) prefixes.push(prefix * span + i);
    this.#work.push({ kind: 'nodes', service, structure, depth, prefixes });
  }

  #sendNodes(work: Work & { kind: 'nodes' }): boolean {
    const { service, structure, depth, prefixes } = work;
    const digested = this.#digested(work);
    const nodes: { prefix: number; lo: number; hi: number }[] = [];
    for (const prefix of prefixes) {
      if (nodes.length === messages.MAX_NODES) break;
      sum.lo = sum.hi = 0;
      if (digested !== undefined && !this.#of.allowance.digestOf(digested.store.digest, depth, prefix, sum))
        break;
      nodes.push({ prefix, lo: sum.lo, hi: sum.hi });
    }
    if (nodes.length === 0) return false;
    const rest = prefixes.slice(nodes.length);
    if (rest.length > 0) this.#work.push({ ...work, prefixes: rest });
    const sent = { ...work, prefixes: prefixes.slice(0, nodes.length) };
    const body = { ...this.#await(sent), service, structure, depth, nodes };
    this.#send(messages.digestNodes, body, 40 + structure.length + 12 * nodes.length);
    return true;
  }

  #sendList(work: Work & { kind: 'list' }): boolean {
    const { service, structure, from } = work;
    const digested = this.#digested(work);
    if (digested !== undefined && !digested.store.digest.holds(from, this.#of.allowance.work())) {
      const { bits } = digested.store.digest;
      this.#of.faulty(this.primary.replica, {
        service,
        structure,
        depth: bits,
        prefix: from >>> (32 - bits),
      });
      return true;
    }
    const { records, to } = listOf(digested, from, work.to, LIST_RECORDS);
    // So many keys of one hash are no accident, and have no place in one message.
    if (records.length > messages.MAX_LISTED) return true;
    if (to < work.to) this.#work.push({ ...work, from: to + 1 });
    const body = { ...this.#await({ ...work, to }), service, structure, from, to, records };
    this.#send(messages.digestList, body, 48 + structure.length + 12 * records.length);
    return true;
  }

  #sendMend(work: Work & { kind: 'mend' }): boolean {
    const { service, structure, isWhole, hashes } = work;
    const state = this.primary.replica.find(service, structure);
    scratch.reset();
    let sent = 0;
    if (isWhole) state?.copy(0, Number.POSITIVE_INFINITY, scratch);
    else {
      for (; sent < hashes.length && scratch.length < MEND_BYTES; sent++)
        state?.digested?.writeHash(hashes[sent] as number, scratch);
    }
    if (sent < hashes.length) this.#work.push({ ...work, hashes: hashes.slice(sent) });
    const named = hashes.slice(0, sent);
    const { ms: hlcMs, counter: hlcCounter } = this.#of.host.hlc.latest;
    const records = scratch.toBytes();
    const place = this.#await({ ...work, hashes: named });
    const body = { ...place, service, structure, isWhole, hlcMs, hlcCounter, hashes: named, records };
    this.#send(messages.digestMend, body, 64 + structure.length + 4 * sent + records.length);
    return true;
  }

  #sendRestore(work: Work & { kind: 'restore' }): boolean {
    const { service, structure, depth, prefix } = work;
    const digested = this.#digested(work);
    // After a write nobody knows any more what the contents were.
    if (digested?.store.digest.isFaulty(depth, prefix) !== true) return true;
    digested.store.digest.digestOf(depth, prefix, { bytes: 0, records: 0 }, sum);
    const { lo, hi } = sum;
    const { records } = listOf(
      digested,
      firstHash(depth, prefix),
      lastHash(depth, prefix),
      messages.MAX_LISTED,
    );
    if (records.length > messages.MAX_LISTED) return true;
    const body = { ...this.#await(work), service, structure, depth, prefix, lo, hi, records };
    this.#send(messages.digestFetch, body);
    return true;
  }

  #send<T>(def: MessageDef<T>, body: T, size?: number): void {
    this.#of.sender.send(this.slot.member, def, this.primary.replica.id, body, size);
  }

  // --- answers

  /** The answer has come; null when the backup was not at the position, and the same work is to be done again. */
  #answered(isLevel: boolean): Waiting | null {
    const waiting = this.#waiting as Waiting;
    this.#waiting = null;
    if (isLevel) {
      this.#misses = 0;
      return waiting;
    }
    this.#work.push(waiting.work);
    // Its continuation, if there is one, is in the work already; what was sent is compared again with it.
    this.#missed();
    return null;
  }

  onDiffer(body: BodyOf<typeof messages.digestDiffer>): void {
    const waiting = this.#answered(body.isLevel);
    if (waiting === null) return;
    const { work, items } = waiting;
    const { counters } = this.#of;
    counters.digestsDiffering += body.differing.length;
    if (work.kind === 'roots') {
      counters.digestsCompared += items.length - body.skipped.length;
      this.#goOn(waiting);
      for (const name of body.extra) this.#extra(name);
      for (const index of body.skipped) this.#again(items[index]);
      for (const index of body.differing) this.#differs(items[index]);
    } else if (work.kind === 'nodes') {
      counters.digestsCompared += work.prefixes.length - body.skipped.length;
      const pick = (indexes: readonly number[]) => indexes.map((index) => prefixAt(work.prefixes, index));
      if (body.skipped.length > 0) this.#work.push({ ...work, prefixes: pick(body.skipped) });
      if (body.differing.length > 0) this.#descend(work, work.depth, pick(body.differing));
    } else throw new ProtocolError('an answer to another question');
    // It needs time to compute its own.
    if (body.skipped.length > 0) this.#rests = true;
    this.pump();
  }

  /** The next structures, and the large ones of these in parts. */
  #goOn({ items, isLast }: Waiting): void {
    const last = items[items.length - 1];
    if (!isLast && last !== undefined) this.#work.push({ kind: 'roots', after: last });
    for (const { service, structure, isOpen } of items) {
      const bits = this.#digested({ service, structure })?.store.digest.bits ?? 0;
      if (isOpen) this.#pushNodes({ service, structure }, Math.max(0, bits - PART_BITS), [0], 0);
    }
  }

  #again(item: StructureName | undefined): void {
    if (item === undefined) throw new ProtocolError('an index beyond the question');
    const { service, structure } = item;
    if (this.#digested(item) !== undefined)
      this.#work.push({ kind: 'nodes', service, structure, depth: 0, prefixes: [0] });
  }

  #differs(item: StructureName | undefined): void {
    if (item === undefined) throw new ProtocolError('an index beyond the question');
    const { service, structure } = item;
    const state = this.primary.replica.find(service, structure);
    if (state === undefined) return;
    if (state.digested === undefined)
      this.#work.push({ kind: 'mend', service, structure, hashes: [], isWhole: true });
    else this.#descend(item, 0, [0]);
  }

  /** The backup has something of which this primary has nothing. */
  #extra({ service: id, structure }: StructureName): void {
    const service = this.#of.host.executor().service(id);
    const { replica } = this.primary;
    if (service === undefined || replica.find(id, structure) !== undefined) return;
    const name = { service: id, structure };
    if (replica.emptyState(service, structure).digested === undefined)
      this.#work.push({ kind: 'mend', ...name, hashes: [], isWhole: true });
    else this.#work.push({ kind: 'list', ...name, from: 0, to: lastHash(0, 0) });
  }

  #descend({ service, structure }: StructureName, depth: number, prefixes: readonly number[]): void {
    const name = { service, structure };
    const bits = this.#digested(name)?.store.digest.bits ?? 0;
    if (depth < bits) {
      this.#pushNodes(name, Math.min(depth + LEVELS, bits), prefixes, depth);
      return;
    }
    for (const prefix of prefixes)
      this.#work.push({ kind: 'list', ...name, from: firstHash(depth, prefix), to: lastHash(depth, prefix) });
  }

  onWants(body: BodyOf<typeof messages.digestWants>): void {
    const waiting = this.#answered(body.isLevel);
    if (waiting === null) return;
    const { work } = waiting;
    if (work.kind !== 'list' || body.to < work.from) throw new ProtocolError('an answer to another question');
    const { service, structure } = work;
    if (body.to < work.to) this.#work.push({ ...work, from: body.to + 1 });
    if (body.hashes.length > 0)
      this.#work.push({ kind: 'mend', service, structure, hashes: body.hashes, isWhole: false });
    this.pump();
  }

  onMended(body: BodyOf<typeof messages.digestMended>): void {
    const waiting = this.#answered(body.isLevel);
    if (waiting === null) return;
    this.pump();
  }

  /** A backup sends back what this primary has lost, or so it says. */
  onMend(body: BodyOf<typeof messages.digestMend>): void {
    const work = this.#answered(true)?.work;
    if (work?.kind !== 'restore' || body.isWhole) throw new ProtocolError('an answer to another question');
    const { depth, prefix, service, structure } = work;
    const isInside = (hash: number) => hash >= firstHash(depth, prefix) && hash <= lastHash(depth, prefix);
    if (body.service !== service || body.structure !== structure || !body.hashes.every(isInside))
      throw new ProtocolError('an answer to another question');
    const { replica } = this.primary;
    const digest = this.#digested(work)?.store.digest;
    if (body.epoch !== replica.epoch || digest?.isFaulty(depth, prefix) !== true) return;
    digest.digestOf(depth, prefix, { bytes: 0, records: 0 }, sum);
    const { lo, hi } = sum;
    takeOver(replica, body, this.#of.host, this.#of.counters);
    digest.doubt(firstHash(depth, prefix), lastHash(depth, prefix));
    digest.digestOf(depth, prefix, { bytes: Number.POSITIVE_INFINITY, records: 0 }, sum);
    this.isHealed = sum.lo === lo && sum.hi === hi;
  }
}

function prefixAt(prefixes: readonly number[], index: number): number {
  const prefix = prefixes[index];
  if (prefix === undefined) throw new ProtocolError('an index beyond the question');
  return prefix;
}
