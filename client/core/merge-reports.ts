/**
 * Merge reports as users see them: what merges have kept and discarded, until somebody acknowledges it. The journals
 * of the partitions hold it; one report here is what all of them tell of one merge. The same for clients and embedded
 * members. Delivery is at least once: each handler gets each report once in the life of the process, and again in the
 * next one, until it is acknowledged. Nothing is asked for while there is no handler.
 */
import type { Invoker } from '../../partitions/invoker.js';
import { JOURNAL_NAME, JOURNAL_OPERATIONS } from '../../partitions/merge-journal/ops.js';
import type { Clock, Logger, Timer } from '../../src/base/ports.js';
import { reasonOf } from '../../src/base/reason.js';
import { tagText } from '../../src/cluster/view.js';
import { decodeKey } from '../../src/wire/keys.js';
import type { OperationDef, ReplyOf } from '../../src/wire/message.js';

const POLL_MS = 1_000;
const ASK_MS = 5_000;
const POLL_ASK_MS = 2_000;
const PAGE_BYTES = 256 * 1024;
const FIRST_KEYS = 10;
/** Partitions that are asked at a time. */
const CONCURRENCY = 8;

/** What a merge did with the entries of one structure. */
export interface MergeCounts {
  /** `map`, `atomicLong`, `multiMap`, `topic`. Empty, like the name, for the sum of what lies beyond the first 128 structures of a partition. */
  readonly service: string;
  readonly name: string;
  /** Entries of the source that were taken over or decided on without a loss. */
  readonly merged: number;
  /** Acknowledged writes that were not kept. */
  readonly discarded: number;
  /** Removals that the source, which had parted long before, brought back. */
  readonly resurrected: number;
  /** Entries for which the merge function threw, or gave what cannot be stored. */
  readonly failed: number;
}

/** A write that a merge did not keep. */
export interface MergeEntry {
  readonly service: string;
  readonly structure: string;
  readonly key: unknown;
  /** What there is instead; null for nothing. */
  readonly kept: unknown;
  readonly discarded: unknown;
  /** Whose write was not kept: that of the lineage which came in, or that of the one that goes on. */
  readonly side: 'source' | 'owner';
  readonly reason: string;
}

/** What became of the data of one lineage (or member) that came into another one. */
export interface MergeReport {
  readonly id: string;
  /** First 32 bits of the lineage ids, as 8 hexadecimal digits; equal for a member that was left behind. */
  readonly fromLineage: string;
  readonly toLineage: string;
  /** Wall clock of the first step, in ms. */
  readonly startedMs: number;
  readonly structures: readonly MergeCounts[];
  /** Some entries were left out, because the report has no more room: they are counted, and `keyHashes` tells of them. */
  readonly truncated: boolean;
  /** Keys of the first entries. */
  readonly firstKeys: readonly unknown[];
  /** All entries that the report has, read by pages as you go. Rejects with a `GridError`. */
  entries(): AsyncIterable<MergeEntry>;
  /** Hashes (Murmur3) of the keys of entries that were left out, as many as there was room for. */
  keyHashes(): Promise<number[]>;
  /** Removes the report from the grid. What came to it later is delivered as a report of its own. */
  ack(): Promise<void>;
}

type Summary = ReplyOf<typeof JOURNAL_OPERATIONS.summary>['reports'][number];
type Page = ReplyOf<typeof JOURNAL_OPERATIONS.page>;
type WireEntry = Page['entries'][number];

/** A report as one partition has it. */
interface Place {
  readonly partition: number;
  readonly summary: Summary;
}

export interface MergeReportsOptions {
  readonly invoker: Invoker;
  readonly clock: Clock;
  readonly logger: Logger;
  /** One partition of each member that is primary of any: each is asked for all that its member knows. */
  readonly representatives: () => readonly number[];
}

interface Handler {
  readonly call: (report: MergeReport) => void;
  /** Reports that it was given. */
  readonly seen: Set<string>;
}

/** For each primary, one partition that it leads. */
export function representativesOf(
  view: { readonly table: readonly { readonly replicas: readonly { readonly member: string }[] }[] } | null,
): number[] {
  const byMember = new Map<string, number>();
  view?.table.forEach(({ replicas }, partition) => {
    const primary = replicas[0]?.member;
    if (primary !== undefined && !byMember.has(primary)) byMember.set(primary, partition);
  });
  return [...byMember.values()];
}

export class MergeReports {
  readonly #options: MergeReportsOptions;
  readonly #handlers = new Set<Handler>();
  /** By report: what it looked like when it was last asked for. It is delivered when it has come to rest. */
  #looks = new Map<string, string>();
  #timer: Timer | null = null;
  #closed = false;

  constructor(options: MergeReportsOptions) {
    this.#options = options;
  }

  /** Calls `handler` for each report that nobody has acknowledged, also those of earlier merges. */
  on(handler: (report: MergeReport) => void): () => void {
    const entry = { call: handler, seen: new Set<string>() };
    this.#handlers.add(entry);
    this.#schedule(0);
    return () => {
      this.#handlers.delete(entry);
    };
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** All reports that nobody has acknowledged. Rejects with a `GridError` when a partition cannot be asked. */
  async list(): Promise<MergeReport[]> {
    const places = await this.#places(ASK_MS);
    const reports: MergeReport[] = [];
    for (const [id, parts] of byReport(places)) reports.push(await this.#report(id, parts));
    return reports;
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#poll()
        .catch((error: unknown) => {
          // The grid may be in the middle of what makes merges: asked again soon.
          const fields = { error: reasonOf(error) };
          this.#options.logger.log('debug', 'merge reports could not be asked for', fields);
        })
        .finally(() => {
          this.#timer = null;
          if (this.#handlers.size > 0) this.#schedule(POLL_MS);
        });
    });
  }

  async #poll(): Promise<void> {
    const places = await this.#places(POLL_ASK_MS);
    const looks = new Map<string, string>();
    for (const [id, parts] of byReport(places)) {
      const look = JSON.stringify(parts.map(({ partition, summary }) => [partition, summary.seq]));
      looks.set(id, look);
      const isAtRest = parts.every(({ summary }) => summary.done) && this.#looks.get(id) === look;
      if (!isAtRest || [...this.#handlers].every(({ seen }) => seen.has(id))) continue;
      const report = await this.#report(id, parts);
      for (const handler of [...this.#handlers]) this.#deliver(handler, report);
    }
    this.#looks = looks;
  }

  #deliver(handler: Handler, report: MergeReport): void {
    if (handler.seen.has(report.id) || !this.#handlers.has(handler)) return;
    handler.seen.add(report.id);
    try {
      handler.call(report);
    } catch (error) {
      this.#options.logger.log('error', 'an event listener threw', { event: 'merged', error: String(error) });
    }
  }

  /** What the journals of all partitions tell. */
  async #places(timeoutMs: number): Promise<Place[]> {
    const partitions = new Set<number>();
    await inTurn(this.#options.representatives(), async (partition) => {
      const found = await this.#ask(JOURNAL_OPERATIONS.overview, partition, {}, timeoutMs, (reply) => reply);
      for (const one of found.partitions) partitions.add(one);
    });
    const places: Place[] = [];
    const { partitionCount } = this.#options.invoker;
    const known = [...partitions].filter((partition) => partition < partitionCount).sort((a, b) => a - b);
    await inTurn(known, async (partition) => {
      const { reports } = await this.#ask(
        JOURNAL_OPERATIONS.summary,
        partition,
        {},
        timeoutMs,
        (reply) => reply,
      );
      for (const summary of reports) places.push({ partition, summary });
    });
    return places.sort((a, b) => a.partition - b.partition);
  }

  #ask<Q, P, R>(
    operation: OperationDef<Q, P>,
    partition: number,
    request: Q,
    timeoutMs: number,
    decode: (reply: P) => R,
  ): Promise<R> {
    const { invoker } = this.#options;
    return invoker.invoke(operation, partition, JOURNAL_NAME, request, { timeoutMs }, decode);
  }

  async #report(id: string, places: readonly Place[]): Promise<MergeReport> {
    const [first] = places as [Place, ...Place[]];
    const { from, to } = first.summary.report;
    const firstKeys: unknown[] = [];
    for (const place of places) {
      if (firstKeys.length >= FIRST_KEYS) break;
      if (place.summary.report.entries === 0) continue;
      const { keys } = await this.#page(place.partition, id, '', 1, (page) => ({
        keys: page.entries.map(({ key }) => keyOf(key)),
      }));
      firstKeys.push(...keys.slice(0, FIRST_KEYS - firstKeys.length));
    }
    return {
      id,
      fromLineage: tagText(from),
      toLineage: tagText(to),
      startedMs: Math.min(...places.map(({ summary }) => summary.report.startedMs)),
      structures: sumOf(places),
      truncated: places.some(({ summary }) => summary.report.truncated > 0),
      firstKeys,
      entries: () => this.#entries(id, places),
      keyHashes: () => this.#hashes(id, places),
      ack: () => this.#ack(id, places),
    };
  }

  #page<R>(
    partition: number,
    id: string,
    after: string,
    maxBytes: number,
    decode: (page: Page) => R,
  ): Promise<R> {
    return this.#ask(JOURNAL_OPERATIONS.page, partition, { id, after, maxBytes }, ASK_MS, decode);
  }

  async *#entries(id: string, places: readonly Place[]): AsyncGenerator<MergeEntry> {
    for (const { partition } of places) {
      for (let after = ''; ; ) {
        const { entries, isLast, last } = await this.#page(partition, id, after, PAGE_BYTES, (page) => ({
          entries: page.entries.map((entry) => this.#decode(entry)),
          isLast: page.isLast,
          last: page.last,
        }));
        yield* entries;
        if (isLast) break;
        after = last;
      }
    }
  }

  async #hashes(id: string, places: readonly Place[]): Promise<number[]> {
    const hashes: number[] = [];
    for (const { partition, summary } of places) {
      if (summary.report.truncated === 0) continue;
      // Behind all entries there is only the last page, with the hashes.
      const page = await this.#page(partition, id, '~', PAGE_BYTES, (reply) => [...reply.hashes]);
      hashes.push(...page);
    }
    return hashes;
  }

  async #ack(id: string, places: readonly Place[]): Promise<void> {
    await inTurn(places, async ({ partition, summary }) => {
      const request = { id, seq: summary.seq };
      await this.#ask(JOURNAL_OPERATIONS.ack, partition, request, ASK_MS, (reply) => reply);
    });
    for (const { seen } of this.#handlers) seen.delete(id);
    this.#looks.delete(id);
  }

  #decode({ service, structure, key, kept, discarded, side, reason }: WireEntry): MergeEntry {
    const value = (bytes: Uint8Array | null): unknown => {
      if (bytes === null) return null;
      try {
        return this.#options.invoker.codec.decode(bytes);
      } catch {
        return Buffer.from(bytes);
      }
    };
    return {
      service,
      structure,
      key: keyOf(key),
      kept: value(kept),
      discarded: value(discarded),
      side,
      reason,
    };
  }
}

/** What is no key of a map is shown as it is. */
function keyOf(bytes: Uint8Array): unknown {
  try {
    return decodeKey(bytes);
  } catch {
    return Buffer.from(bytes);
  }
}

function byReport(all: readonly Place[]): Map<string, Place[]> {
  const found = new Map<string, Place[]>();
  for (const place of all) {
    const { id } = place.summary.report;
    const places = found.get(id);
    if (places === undefined) found.set(id, [place]);
    else places.push(place);
  }
  return found;
}

function sumOf(places: readonly Place[]): MergeCounts[] {
  const sums = new Map<string, MergeCounts>();
  for (const { summary } of places) {
    for (const one of summary.report.structures) {
      const key = `${one.service}/${one.name}`;
      const sum = sums.get(key);
      if (sum === undefined) sums.set(key, one);
      else
        sums.set(key, {
          ...one,
          merged: sum.merged + one.merged,
          discarded: sum.discarded + one.discarded,
          resurrected: sum.resurrected + one.resurrected,
          failed: sum.failed + one.failed,
        });
    }
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
}

/** A few at a time; the first failure ends it. */
async function inTurn<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, rest.length) }, worker));
}
