/**
 * What the parts of anti-entropy share: the member's replicas, the allowances of time and bytes, sending, and digests
 * of structures that have no record store. Synchronous; put together by `anti-entropy.ts`.
 */
import { murmur3 } from '../partitions/hash.js';
import type { PartitionReplica } from '../partitions/replica.js';
import type { Digested, ServiceState } from '../partitions/service.js';
import type { DigestBudget, StoreDigest, Sum } from '../partitions/store/digest.js';
import { emptySum } from '../partitions/store/digest.js';
import { Writer } from '../src/base/bytes.js';
import type { Clock } from '../src/base/ports.js';
import type { MemberId } from '../src/cluster/view.js';
import { HEADER_BYTES } from '../src/wire/frame.js';
import type { MessageDef } from '../src/wire/message.js';
import type { ReplicationCounters, ReplicationHost } from './host.js';
import type { PrimaryStream } from './primary.js';

export interface AntiEntropyOptions {
  readonly enabled: boolean;
  /** From the start of one round to the next. */
  readonly intervalMs: number;
  /** Of one core. */
  readonly maxCpuShare: number;
  readonly maxBytesPerSecond: number;
  /** Time for one pass of the scrub through everything; 0 for no scrub. */
  readonly scrubIntervalMs: number;
}

/** What this member holds, by its view. */
export interface Replicas {
  primary(partition: number): PrimaryStream | undefined;
  primaries(): Iterable<PrimaryStream>;
  find(partition: number): PartitionReplica | undefined;
  all(): Iterable<PartitionReplica>;
}

/** Where a structure is in the order that the messages have. */
export interface StructureName {
  readonly service: number;
  readonly structure: string;
}

export function isBehind(a: StructureName, b: StructureName): boolean {
  return a.service !== b.service ? a.service > b.service : a.structure > b.structure;
}

/** Header and content bytes that are hashed between two looks at the clock: less than a millisecond. */
const STEP_BYTES = 96 * 1024;
/** What was not used is saved up to here, so that a busy moment stays short. */
const MAX_SAVED_MS = 2;
const MAX_SAVED_SECONDS = 0.5;

/** How much this member may still do. Refilled as time passes; a step is done when there is something left. */
export class Allowance {
  readonly #options: AntiEntropyOptions;
  readonly #clock: Clock;
  #cpuMs = 0;
  #bytes = 0;
  #beganMs: number;

  constructor(options: AntiEntropyOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#beganMs = clock.now();
  }

  refill(elapsedMs: number): void {
    const { maxCpuShare, maxBytesPerSecond } = this.#options;
    this.#cpuMs = Math.min(this.#cpuMs + elapsedMs * maxCpuShare, MAX_SAVED_MS);
    const more = (elapsedMs / 1000) * maxBytesPerSecond;
    this.#bytes = Math.min(this.#bytes + more, MAX_SAVED_SECONDS * maxBytesPerSecond);
  }

  /** For one step; clean digests can be compared without. */
  work(): DigestBudget {
    return { bytes: this.hasTime ? STEP_BYTES : 0, records: 0 };
  }

  get maySend(): boolean {
    return this.#bytes > 0 && this.hasTime;
  }

  /** Whatever runs until `end` uses up processor time. */
  begin(): void {
    this.#beganMs = this.#clock.now();
  }

  end(): void {
    this.#cpuMs -= this.#clock.now() - this.#beganMs;
  }

  /** Asked between `begin` and `end`. */
  get hasTime(): boolean {
    return this.#clock.now() - this.#beganMs < this.#cpuMs;
  }

  /** The digest of a node, into `out`; false when there is no time left to compute all that it needs. */
  digestOf(digest: StoreDigest, depth: number, prefix: number, out: Sum): boolean {
    while (!digest.digestOf(depth, prefix, this.work(), out)) if (!this.hasTime) return false;
    return true;
  }

  sent(bytes: number): void {
    this.#bytes -= bytes;
  }
}

const encoded = new Writer(4096);

/** Sends and counts. */
export class Sender {
  readonly #host: ReplicationHost;
  readonly #counters: ReplicationCounters;
  readonly #allowance: Allowance;

  constructor(host: ReplicationHost, counters: ReplicationCounters, allowance: Allowance) {
    this.#host = host;
    this.#counters = counters;
    this.#allowance = allowance;
  }

  /** `payloadBytes` of the body need not be written a second time to be counted. */
  send<T>(to: MemberId, def: MessageDef<T>, partition: number, body: T, payloadBytes?: number): void {
    let sizeBytes = payloadBytes;
    if (sizeBytes === undefined) {
      encoded.reset();
      def.write(encoded, body);
      sizeBytes = encoded.length;
    }
    this.#counters.antiEntropyBytes += sizeBytes + HEADER_BYTES;
    this.#allowance.sent(sizeBytes + HEADER_BYTES);
    this.#host.send(to, def, partition, body);
  }
}

const SECOND_SEED = 0x9747b28c;

/** The digest of a structure that is compared as a whole. */
export function digestOfWhole(state: ServiceState): Sum {
  const sum = emptySum();
  const kept = state.wholeDigest?.();
  if (kept !== undefined) return Object.assign(sum, kept);
  for (const line of state.dump()) {
    const bytes = Buffer.from(line);
    sum.lo = (sum.lo + murmur3(bytes)) >>> 0;
    sum.hi = (sum.hi + murmur3(bytes, SECOND_SEED)) >>> 0;
  }
  return sum;
}

export interface Listed {
  readonly hash: number;
  readonly lo: number;
  readonly hi: number;
}

/** The records with a hash in [from, to] as a list for a message, and the last hash that it covers. */
export function listOf(
  digested: Digested | undefined,
  from: number,
  to: number,
  max: number,
): { records: Listed[]; to: number } {
  const records: Listed[] = [];
  if (digested === undefined) return { records, to };
  const covered = digested.store.listDigests(from, to, max, (hash, lo, hi) => records.push({ hash, lo, hi }));
  return { records, to: covered };
}

/** The hashes up to `to` for which the two lists have different records, ascending. */
export function differingHashes(a: readonly Listed[], b: readonly Listed[], to: number): number[] {
  const sums = new Map<number, Sum>();
  const add = ({ hash, lo, hi }: Listed, sign: 1 | -1) => {
    if (hash > to) return;
    let sum = sums.get(hash);
    if (sum === undefined) {
      sum = emptySum();
      sums.set(hash, sum);
    }
    sum.lo = (sum.lo + sign * lo) | 0;
    sum.hi = (sum.hi + sign * hi) | 0;
    sum.records += sign;
  };
  for (const record of a) add(record, 1);
  for (const record of b) add(record, -1);
  const hashes = [...sums].filter(([, sum]) => sum.lo !== 0 || sum.hi !== 0 || sum.records !== 0);
  return hashes.map(([hash]) => hash).sort((x, y) => x - y);
}
