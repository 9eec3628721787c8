/**
 * Anti-entropy: in the background, each primary compares digests with its synced backups and mends what differs, and a
 * slow scrub compares contents with their digests, so that memory which decayed is found as well. Composition of the
 * parts, their allowances of processor time and bytes, and the rounds. Synchronous; called by `replication.ts`.
 *
 * What is found, and who is right: a backup that differs from its primary is mended from the primary. A backup whose
 * own contents changed in memory is found by its scrub, and then mended. A primary whose contents changed in memory is
 * found by its scrub too; it takes them back from a backup whose contents still fit the digest that the primary had
 * computed before. When there is none, or when a write of the same leaf (8 to 16 records) came first, what the primary
 * has counts from then on: it can not know better. Structures without a record store have no digest to scrub against.
 */
import type { PartitionReplica } from '../partitions/replica.js';
import { firstHash, lastHash } from '../partitions/store/digest.js';
import type { Reader } from '../src/base/bytes.js';
import { lineageTag, type MemberId } from '../src/cluster/view.js';
import type { Header } from '../src/wire/frame.js';
import { AntiEntropyBackup } from './anti-entropy-backup.js';
import * as messages from './anti-entropy-messages.js';
import { Allowance, type AntiEntropyOptions, type Replicas, Sender } from './anti-entropy-parts.js';
import { Comparison, type NodeRef, type TaskHost } from './anti-entropy-task.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import { Scrub } from './scrub.js';

/** Pairs of a partition and a backup that are compared at a time. */
const MAX_RUNNING = 8;
const MAX_FAULTS = 1_000;

/** Contents of a primary that do not fit their digest. */
interface Fault extends NodeRef {
  readonly replica: PartitionReplica;
  readonly tried: Set<MemberId>;
}

export class AntiEntropy {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #options: AntiEntropyOptions;
  readonly #replicas: Replicas;
  readonly #allowance: Allowance;
  readonly #taskHost: TaskHost;
  readonly #backup: AntiEntropyBackup;
  readonly #scrub: Scrub;
  readonly #running = new Set<Comparison>();
  /** Of the round: what is still to be compared. */
  #queue: { readonly partition: number; readonly member: MemberId }[] = [];
  readonly #faults: Fault[] = [];
  #repair: { readonly fault: Fault; readonly comparison: Comparison } | null = null;
  #isRound = false;
  #nextTask = 1;
  #nextRoundMs: number;
  #tickedMs: number;
  /** Rounds that were finished. */
  rounds = 0;

  constructor(
    host: ReplicationHost,
    counters: ReplicationCounters,
    options: AntiEntropyOptions,
    replicas: Replicas,
  ) {
    this.#host = host;
    this.#counters = counters;
    this.#options = options;
    this.#replicas = replicas;
    this.#allowance = new Allowance(options, host.clock);
    const sender = new Sender(host, counters, this.#allowance);
    this.#backup = new AntiEntropyBackup(host, counters, this.#allowance, sender);
    this.#taskHost = {
      host,
      counters,
      allowance: this.#allowance,
      sender,
      newTask: () => this.#nextTask++ >>> 0,
      faulty: (replica, node) => this.#fault(replica, node),
    };
    this.#scrub = new Scrub(options, {
      all: () => replicas.all(),
      fault: (replica, node) => this.#fault(replica, node),
    });
    this.#tickedMs = host.clock.now();
    this.#nextRoundMs = this.#tickedMs + options.intervalMs;
  }

  /** A round and a pass of the scrub begin with the next tick. */
  soon(): void {
    this.#nextRoundMs = Number.NEGATIVE_INFINITY;
    this.#scrub.soon();
  }

  get isIdle(): boolean {
    return (
      this.#running.size === 0 &&
      this.#queue.length === 0 &&
      this.#repair === null &&
      this.#faults.length === 0 &&
      !this.#scrub.isRunning
    );
  }

  /** Passes of the scrub that were finished. */
  get passes(): number {
    return this.#scrub.passes;
  }

  tick(nowMs: number): void {
    const elapsedMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    this.#allowance.refill(elapsedMs);
    if (!this.#options.enabled) return;
    this.#timed(() => {
      this.#compare(nowMs);
      this.#repairNext(nowMs);
      const budget = this.#allowance.work();
      this.#scrub.tick(nowMs, elapsedMs, budget);
      this.#counters.scrubbedRecords += budget.records;
    });
  }

  /** Whatever runs here uses up the allowance of processor time. */
  #timed(run: () => void): void {
    this.#allowance.begin();
    try {
      run();
    } finally {
      this.#allowance.end();
    }
  }

  #compare(nowMs: number): void {
    if (this.#running.size === 0 && this.#queue.length === 0 && nowMs >= this.#nextRoundMs) {
      this.#nextRoundMs = nowMs + this.#options.intervalMs;
      for (const { replica, slots } of this.#replicas.primaries())
        for (const { member, synced } of slots.values())
          if (synced) this.#queue.push({ partition: replica.id, member });
      this.#isRound = true;
      this.#countRound();
    }
    for (const comparison of this.#running) this.#move(comparison, nowMs);
    while (this.#running.size < MAX_RUNNING && this.#queue.length > 0 && this.#allowance.maySend) {
      const { partition, member } = this.#queue.shift() as { partition: number; member: MemberId };
      const comparison = this.#begin(partition, member);
      if (comparison !== null) this.#running.add(comparison);
      if (comparison !== null) this.#move(comparison, nowMs);
      this.#countRound();
    }
  }

  #begin(partition: number, member: MemberId, restore?: NodeRef): Comparison | null {
    const primary = this.#replicas.primary(partition);
    const slot = primary?.slots.get(member);
    if (primary === undefined || slot?.synced !== true) return null;
    return new Comparison(primary, slot, this.#taskHost, restore);
  }

  /** By the present view, this comparison is still one of a primary with its backup. */
  #isValid({ primary, slot }: Comparison): boolean {
    return this.#replicas.primary(primary.replica.id) === primary && primary.slots.get(slot.member) === slot;
  }

  #move(comparison: Comparison, nowMs: number): void {
    if (this.#isValid(comparison)) comparison.tick(nowMs);
    else this.#running.delete(comparison);
    this.#ended(comparison);
    this.#countRound();
  }

  #ended(comparison: Comparison): void {
    if (comparison.isDone) this.#running.delete(comparison);
  }

  #countRound(): void {
    if (!this.#isRound || this.#running.size > 0 || this.#queue.length > 0) return;
    this.#isRound = false;
    this.rounds++;
  }

  // --- contents that decayed

  #fault(replica: PartitionReplica, node: NodeRef): void {
    const isKnown = ({ replica: other, service, structure, prefix }: Fault) =>
      other === replica && service === node.service && structure === node.structure && prefix === node.prefix;
    if (this.#faults.some(isKnown) || (this.#repair !== null && isKnown(this.#repair.fault))) return;
    this.#counters.scrubFaults++;
    this.#host.logger.log('error', 'contents in memory changed without a write', {
      partition: replica.id,
      structure: node.structure,
    });
    const isPrimary = this.#replicas.primary(replica.id)?.replica === replica;
    // The primary mends it once the digest tells what is really there.
    if (!isPrimary || this.#faults.length >= MAX_FAULTS) doubt(replica, node);
    else this.#faults.push({ ...node, replica, tried: new Set() });
  }

  /** Asks the backups in turn for the contents that a primary has lost. */
  #repairNext(nowMs: number): void {
    if (this.#repair !== null) {
      const { comparison, fault } = this.#repair;
      const isValid = this.#isValid(comparison);
      if (isValid) comparison.tick(nowMs);
      if (isValid && !comparison.isDone) return;
      this.#repair = null;
      if (!comparison.isHealed) this.#faults.unshift(fault);
    }
    const fault = this.#faults[0];
    if (fault === undefined) return;
    this.#faults.shift();
    const slots = this.#replicas.primary(fault.replica.id)?.slots.values() ?? [];
    const next = [...slots].find(({ member, synced }) => synced && !fault.tried.has(member));
    const digest = fault.replica.find(fault.service, fault.structure)?.digested?.store.digest;
    // After a write of the leaf, nobody knows what its digest would have to be.
    if (next === undefined || digest?.isFaulty(fault.depth, fault.prefix) !== true) {
      this.#giveUp(fault);
      return;
    }
    fault.tried.add(next.member);
    const comparison = this.#begin(fault.replica.id, next.member, fault) as Comparison;
    this.#repair = { fault, comparison };
    comparison.tick(nowMs);
  }

  #giveUp(fault: Fault): void {
    this.#host.logger.log(
      'error',
      'no replica has the contents that changed in memory: they count as they are',
      {
        partition: fault.replica.id,
        structure: fault.structure,
        asked: fault.tried.size,
      },
    );
    doubt(fault.replica, fault);
  }

  // --- messages

  /** Handles the messages of anti-entropy; false when it is not one of them. */
  receive(from: MemberId, header: Header, reader: Reader): boolean {
    const { message } = header;
    if (message < messages.digestRoots.id || message > messages.digestFetch.id) return false;
    const { view } = this.#host;
    if (view === null || header.lineage !== lineageTag(view.lineage)) return true;
    this.#timed(() => {
      if (!this.#question(from, header, reader)) this.#answer(from, header, reader);
    });
    return true;
  }

  /** The replica of which this member is a synced backup, when `primary` leads it. */
  #backupUnder(partition: number, primary: MemberId): PartitionReplica | undefined {
    const replicas = this.#host.view?.table[partition]?.replicas ?? [];
    if (replicas[0]?.member !== primary || primary === this.#host.self) return undefined;
    const own = replicas.find(({ member }) => member === this.#host.self);
    const replica = this.#replicas.find(partition);
    return own?.synced === true && replica?.complete === true ? replica : undefined;
  }

  /** What a primary sends. */
  #question(from: MemberId, header: Header, reader: Reader): boolean {
    const replica = this.#backupUnder(header.partition, from);
    if (replica === undefined) return false;
    switch (header.message) {
      case messages.digestRoots.id:
        this.#backup.onRoots(replica, from, messages.digestRoots.read(reader));
        return true;
      case messages.digestNodes.id:
        this.#backup.onNodes(replica, from, messages.digestNodes.read(reader));
        return true;
      case messages.digestList.id:
        this.#backup.onList(replica, from, messages.digestList.read(reader));
        return true;
      case messages.digestMend.id:
        this.#backup.onMend(replica, from, messages.digestMend.read(reader));
        return true;
      case messages.digestFetch.id:
        this.#backup.onFetch(replica, from, messages.digestFetch.read(reader));
        return true;
      default:
        return false;
    }
  }

  /** What a backup answers, to the question that is open. */
  #answer(from: MemberId, header: Header, reader: Reader): void {
    switch (header.message) {
      case messages.digestDiffer.id: {
        const body = messages.digestDiffer.read(reader);
        this.#waiting(from, header, body.task, (comparison) => comparison.onDiffer(body));
        return;
      }
      case messages.digestWants.id: {
        const body = messages.digestWants.read(reader);
        this.#waiting(from, header, body.task, (comparison) => comparison.onWants(body));
        return;
      }
      case messages.digestMended.id: {
        const body = messages.digestMended.read(reader);
        this.#waiting(from, header, body.task, (comparison) => comparison.onMended(body));
        return;
      }
      case messages.digestMend.id: {
        const body = messages.digestMend.read(reader);
        this.#waiting(from, header, body.task, (comparison) => comparison.onMend(body));
        return;
      }
    }
  }

  #waiting(from: MemberId, header: Header, task: number, tell: (comparison: Comparison) => void): void {
    const all = this.#repair === null ? this.#running : [...this.#running, this.#repair.comparison];
    for (const comparison of all) {
      const { primary, slot } = comparison;
      if (slot.member !== from || primary.replica.id !== header.partition) continue;
      if (!comparison.isWaitingFor(task) || !this.#isValid(comparison)) continue;
      tell(comparison);
      if (!this.#running.has(comparison)) return;
      this.#ended(comparison);
      this.#countRound();
      return;
    }
  }
}

/** Its digest is to be computed from what is there. */
function doubt(replica: PartitionReplica, { service, structure, depth, prefix }: NodeRef): void {
  const digest = replica.find(service, structure)?.digested?.store.digest;
  digest?.doubt(firstHash(depth, prefix), lastHash(depth, prefix));
}
