/**
 * The backups' side of anti-entropy: compares digests that a primary sends with its own, tells what differs, and takes
 * over what the primary sends as right. Keeps nothing between two messages. Invariant: digests are compared, and
 * records dropped, only at the very position that the message names. Called by `anti-entropy.ts`.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import { emptySum, firstHash, lastHash } from '../partitions/store/digest.js';
import { Reader, Writer } from '../src/base/bytes.js';
import { ProtocolError } from '../src/base/errors.js';
import type { MemberId } from '../src/cluster/view.js';
import type { BodyOf } from '../src/wire/message.js';
import * as messages from './anti-entropy-messages.js';
import {
  type Allowance,
  differingHashes,
  digestOfWhole,
  isBehind,
  listOf,
  type Sender,
  type StructureName,
} from './anti-entropy-parts.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';

/** Bytes of records in one answer; a single hash may have more. */
export const MEND_BYTES = 128 * 1024;

const sum = emptySum();
const scratch = new Writer(64 * 1024);

interface Place {
  readonly epoch: number;
  readonly seq: number;
}

function isAt(replica: PartitionReplica, place: Place): boolean {
  return replica.epoch === place.epoch && replica.seq === place.seq;
}

export class AntiEntropyBackup {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #allowance: Allowance;
  readonly #sender: Sender;

  constructor(host: ReplicationHost, counters: ReplicationCounters, allowance: Allowance, sender: Sender) {
    this.#host = host;
    this.#counters = counters;
    this.#allowance = allowance;
    this.#sender = sender;
  }

  #notLevel(replica: PartitionReplica, to: MemberId, task: number): void {
    const body = { task, isLevel: false, differing: [], skipped: [], extra: [] };
    this.#sender.send(to, messages.digestDiffer, replica.id, body);
  }

  onRoots(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.digestRoots>): void {
    if (!isAt(replica, body)) {
      this.#notLevel(replica, from, body.task);
      return;
    }
    const differing: number[] = [];
    const skipped: number[] = [];
    body.structures.forEach((item, index) => {
      if (item.isOpen || this.#host.executor().service(item.service) === undefined) return;
      const state = replica.find(item.service, item.structure);
      if (state === undefined) Object.assign(sum, emptySum());
      else if (state.digested === undefined) Object.assign(sum, digestOfWhole(state));
      else if (!this.#allowance.digestOf(state.digested.store.digest, 0, 0, sum)) {
        skipped.push(index);
        return;
      }
      if (sum.lo !== item.lo || sum.hi !== item.hi) differing.push(index);
    });
    const extra = this.#extra(replica, body);
    const answer = { task: body.task, isLevel: true, differing, skipped, extra };
    this.#sender.send(from, messages.digestDiffer, replica.id, answer);
  }

  /** Structures that the primary would have named if it had them. */
  #extra(replica: PartitionReplica, body: BodyOf<typeof messages.digestRoots>): StructureName[] {
    const named = new Set(body.structures.map(({ service, structure }) => `${service}/${structure}`));
    const after = { service: body.afterService, structure: body.afterStructure };
    const last = body.structures[body.structures.length - 1];
    const extra: StructureName[] = [];
    for (const { serviceId: service, name: structure } of replica.structures()) {
      const own = { service, structure };
      if (!isBehind(own, after) || named.has(`${service}/${structure}`)) continue;
      if (!body.isLast && (last === undefined || isBehind(own, last))) break;
      if (extra.push(own) === messages.MAX_EXTRA) break;
    }
    return extra;
  }

  onNodes(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.digestNodes>): void {
    if (body.depth > 32) throw new ProtocolError(`a node at depth ${body.depth}`);
    if (!isAt(replica, body)) {
      this.#notLevel(replica, from, body.task);
      return;
    }
    const digested = replica.find(body.service, body.structure)?.digested;
    const differing: number[] = [];
    const skipped: number[] = [];
    body.nodes.forEach(({ prefix, lo, hi }, index) => {
      if (prefix >= 2 ** body.depth) throw new ProtocolError('a node that is not in the tree');
      sum.lo = sum.hi = 0;
      if (digested !== undefined && !this.#allowance.digestOf(digested.store.digest, body.depth, prefix, sum))
        skipped.push(index);
      else if (sum.lo !== lo || sum.hi !== hi) differing.push(index);
    });
    const answer = { task: body.task, isLevel: true, differing, skipped, extra: [] };
    this.#sender.send(from, messages.digestDiffer, replica.id, answer);
  }

  onList(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.digestList>): void {
    if (!isAt(replica, body)) {
      const answer = { task: body.task, isLevel: false, to: body.to, hashes: [] };
      this.#sender.send(from, messages.digestWants, replica.id, answer);
      return;
    }
    const digested = replica.find(body.service, body.structure)?.digested;
    const own = listOf(digested, body.from, body.to, messages.MAX_LISTED);
    let hashes = differingHashes(own.records, body.records, own.to);
    let to = own.to;
    if (hashes.length > messages.MAX_HASHES) {
      hashes = hashes.slice(0, messages.MAX_HASHES);
      to = hashes[hashes.length - 1] as number;
    }
    // The contents are equal and the digests were not: the tree is what is wrong.
    if (hashes.length === 0) digested?.store.digest.doubt(body.from, to);
    const answer = { task: body.task, isLevel: true, to, hashes };
    this.#sender.send(from, messages.digestWants, replica.id, answer);
  }

  onMend(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.digestMend>): void {
    const isLevel = replica.epoch === body.epoch && replica.seq >= body.seq;
    const repaired = isLevel ? takeOver(replica, body, this.#host, this.#counters) : -1;
    this.#sender.send(from, messages.digestMended, replica.id, {
      task: body.task,
      isLevel: repaired >= 0,
      repaired: Math.max(0, repaired),
    });
  }

  /** The primary does not trust its own contents. */
  onFetch(replica: PartitionReplica, from: MemberId, body: BodyOf<typeof messages.digestFetch>): void {
    if (body.depth > 32 || body.prefix >= 2 ** body.depth) throw new ProtocolError('a node outside the tree');
    const refuse = (isLevel: boolean) =>
      this.#sender.send(from, messages.digestMended, replica.id, { task: body.task, isLevel, repaired: 0 });
    if (!isAt(replica, body)) {
      refuse(false);
      return;
    }
    const digested = replica.find(body.service, body.structure)?.digested;
    if (digested === undefined) {
      refuse(true);
      return;
    }
    const [first, last] = [firstHash(body.depth, body.prefix), lastHash(body.depth, body.prefix)];
    Object.assign(sum, emptySum());
    digested.store.sumRange(first, last, sum);
    if (sum.lo >>> 0 !== body.lo || sum.hi >>> 0 !== body.hi) {
      refuse(true);
      return;
    }
    const own = listOf(digested, first, last, messages.MAX_LISTED);
    const hashes = differingHashes(own.records, body.records, own.to).slice(0, messages.MAX_HASHES);
    scratch.reset();
    const done: number[] = [];
    for (const hash of hashes) {
      if (scratch.length >= MEND_BYTES) break;
      digested.writeHash(hash, scratch);
      done.push(hash);
    }
    const { task, epoch, seq, service, structure } = body;
    const { ms: hlcMs, counter: hlcCounter } = this.#host.hlc.latest;
    const records = scratch.toBytes();
    const answer = {
      task,
      epoch,
      seq,
      service,
      structure,
      isWhole: false,
      hlcMs,
      hlcCounter,
      hashes: done,
      records,
    };
    this.#sender.send(from, messages.digestMend, replica.id, answer, 64 + 4 * done.length + records.length);
  }
}

/** Makes a replica's records what the message says; the number that was repaired, or -1 when it is too late for it. */
export function takeOver(
  replica: PartitionReplica,
  body: BodyOf<typeof messages.digestMend>,
  host: ReplicationHost,
  counters: ReplicationCounters,
): number {
  const service = host.executor().service(body.service);
  if (service === undefined) return 0;
  const isExact = replica.seq === body.seq;
  host.hlc.observe(body.hlcMs, body.hlcCounter);
  const state = replica.state(service, body.structure);
  const records = new Reader(body.records);
  let repaired = 1;
  if (body.isWhole) {
    if (!isExact) return -1;
    if (state.digested !== undefined) throw new ProtocolError('a whole copy of what is compared by records');
    state.dispose();
    state.paste(records);
  } else {
    if (state.digested === undefined) throw new ProtocolError('records of what is compared as a whole');
    repaired = state.digested.mend(body.hashes, records, body.seq, isExact);
  }
  replica.detachEmpty(service.id, body.structure);
  counters.entriesRepaired += repaired;
  if (repaired > 0) {
    host.logger.log('warn', 'anti-entropy repaired records that differed from another replica', {
      partition: replica.id,
      structure: body.structure,
      repaired,
    });
  }
  return repaired;
}
