/**
 * When what a map owes its store is written, by one member for the partitions that it leads: in batches, after a delay,
 * one call for a key at a time. Invariants: a write is told to the store only when a crash can not take it back; what a
 * former primary may still be writing is not overtaken; writes that the store refuses go alone, with growing pauses, and
 * are set aside when others got through meanwhile; while none gets through the store counts as down, is tried with one
 * write at a time, and nothing is set aside. Pure: time comes in, calls go out. Owned by the member's stores.
 */
import { textOf } from '../../../src/base/bytes.js';
import { type EpochName, isSameEpoch } from '../../history.js';
import type { Owed, PendingWrites } from './pending.js';

/** Keys that fail in a row, with none that succeeds between them, until the store counts as down. */
const DOWN_AFTER_KEYS = 3;
/** Between two attempts at a store that is down, for those who do not want to wait. */
const HURRIED_PAUSE_MS = 100;

export interface WriteBehindOptions {
  /** From the first write that is owed of a key. */
  readonly delayMs: number;
  readonly batchSize: number;
  /** Calls of the store at a time. */
  readonly concurrency: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/** One partition that this member leads and may write for. */
export interface Source {
  readonly partition: number;
  /** Of the primary's takeover. */
  readonly epoch: EpochName;
  readonly pending: PendingWrites;
  /** Position of the last change. */
  readonly seq: number;
  /** What is beyond it can be taken back by a crash. */
  readonly committedSeq: number;
  /** Writes that are owed since this position or longer may be on their way from a former primary, until `heldUntilMs`. */
  readonly heldSeq: number;
  readonly heldUntilMs: number;
  /** A call waits for the store with this key. */
  isBusy(key: Uint8Array): boolean;
}

export interface Item {
  readonly partition: number;
  readonly epoch: EpochName;
  readonly key: Uint8Array;
  readonly seq: number;
  readonly value: Uint8Array | null;
}

/** Why a store did not take a write. */
export type Problem = { readonly message: string };

export interface WriteBehindHost {
  now(): number;
  sources(): Iterable<Source>;
  /** Each key is there once. Calls `done` in a turn of its own. */
  tell(items: readonly Item[], done: (problem: Problem | null) => void): void;
  /** The store has these of one partition. */
  stored(items: readonly Item[]): void;
  setAside(item: Item, attempts: number, message: string): void;
}

interface Trouble {
  readonly item: Item;
  attempts: number;
  nextMs: number;
  /** When the store refused it alone for the first time. */
  firstMs: number | null;
  message: string;
}

const UNTRIED = { attempts: 0, nextMs: 0, firstMs: null };

interface Sample {
  readonly ms: number;
  readonly seq: number;
}

export class WriteBehind {
  readonly #host: WriteBehindHost;
  readonly #options: WriteBehindOptions;
  readonly #inFlight = new Map<string, Item>();
  readonly #troubles = new Map<string, Trouble>();
  /** By partition: up to which position changes are older than the delay. */
  readonly #samples = new Map<number, Sample[]>();
  readonly #flushes = new Map<number, number>();
  readonly #failing = new Set<string>();
  /** What was on its way when it was to be hurried. */
  readonly #hurried = new Set<string>();
  #calls = 0;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  #lastProblem: string | null = null;
  #pauseMs = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** When the store was told of something last. */
  #triedMs = Number.NEGATIVE_INFINITY;

  constructor(host: WriteBehindHost, options: WriteBehindOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** None of the last writes got through. */
  get isDown(): boolean {
    return this.#failing.size >= DOWN_AFTER_KEYS;
  }

  /** Nothing is on its way to the store, or tried again. */
  get isIdle(): boolean {
    return this.#calls === 0 && this.#troubles.size === 0;
  }

  /** When a write got through last. */
  get lastSuccessMs(): number {
    return this.#lastSuccessMs;
  }

  /** What the store said when it did not take a write last; null when it took one since. */
  get lastProblem(): string | null {
    return this.#lastProblem;
  }

  /** Writes that failed and are tried again, with their last message. */
  get troubles(): readonly (Item & { readonly attempts: number; readonly message: string })[] {
    return [...this.#troubles.values()]
      .filter(({ attempts }) => attempts > 0)
      .map(({ item, attempts, message }) => ({ ...item, attempts, message }));
  }

  /** The store is being told of the key. */
  isInFlight(partition: number, key: Uint8Array): boolean {
    return this.#inFlight.size > 0 && this.#inFlight.has(placeOf(partition, key));
  }

  /**
   * What a partition owes up to a position is written without delay. Asked for the first time, what the store refused is
   * tried again at once, and once more if it was on its way.
   */
  flush(partition: number, upToSeq: number, isFirst = false): void {
    if (isFirst) this.hurry(partition);
    this.#flushes.set(partition, Math.max(upToSeq, this.#flushes.get(partition) ?? 0));
  }

  /** The store is asked again at once for what it refused, of one partition or of all. */
  hurry(partition?: number): void {
    // All partitions may be hurried one after the other: a store that is down is not asked in a row.
    const soonMs = this.#triedMs + this.#shortPauseMs;
    this.#pausedUntilMs = Math.min(this.#pausedUntilMs, soonMs);
    const isMeant = (item: Item) => partition === undefined || item.partition === partition;
    for (const trouble of this.#troubles.values()) if (isMeant(trouble.item)) trouble.nextMs = 0;
    for (const [place, item] of this.#inFlight) if (isMeant(item)) this.#hurried.add(place);
  }

  /** Sends what is due. */
  tick(): void {
    const nowMs = this.#host.now();
    const sources = [...this.#host.sources()];
    for (const source of sources) this.#sample(source, nowMs);
    this.#forget(sources);
    if (this.isDown) {
      this.#tryOne(sources, nowMs);
      return;
    }
    while (this.#calls < this.#options.concurrency) {
      const batch = this.#nextBatch(sources, nowMs);
      if (batch.length === 0) return;
      this.#send(batch);
    }
  }

  #sample({ partition, seq }: Source, nowMs: number): void {
    const samples = this.#samples.get(partition) ?? [];
    if (samples.at(-1)?.seq !== seq) samples.push({ ms: nowMs, seq });
    // The last one that is old enough is all that is needed of those.
    while ((samples[1]?.ms ?? nowMs) <= nowMs - this.#options.delayMs && samples.length > 1) samples.shift();
    this.#samples.set(partition, samples);
  }

  /** Of partitions that somebody else leads by now. */
  #forget(sources: readonly Source[]): void {
    const epochs = new Map(sources.map(({ partition, epoch }) => [partition, epoch]));
    for (const partition of this.#samples.keys())
      if (!epochs.has(partition)) {
        this.#samples.delete(partition);
        this.#flushes.delete(partition);
      }
    for (const [place, { item }] of this.#troubles)
      if (!isSameEpoch(epochs.get(item.partition), item.epoch)) this.#troubles.delete(place);
  }

  #dueSeq(partition: number, nowMs: number): number {
    const first = this.#samples.get(partition)?.[0];
    const byDelay = first !== undefined && first.ms <= nowMs - this.#options.delayMs ? first.seq : 0;
    return Math.max(byDelay, this.#flushes.get(partition) ?? 0);
  }

  #nextBatch(sources: readonly Source[], nowMs: number): Item[] {
    const batch: Item[] = [];
    for (const source of sources) {
      for (const { item, trouble } of this.#due(source, nowMs)) {
        if (trouble !== undefined && trouble.nextMs > nowMs) continue;
        if (trouble !== undefined) return [item];
        batch.push(item);
        if (batch.length >= this.#options.batchSize) return batch;
      }
    }
    return batch;
  }

  /** With one write the store shows whether it is there again: one that was tried least. */
  #tryOne(sources: readonly Source[], nowMs: number): void {
    if (this.#calls > 0 || nowMs < this.#pausedUntilMs) return;
    let best: { readonly item: Item; readonly attempts: number } | null = null;
    for (const source of sources) {
      for (const { item, trouble } of this.#due(source, nowMs)) {
        const attempts = trouble?.attempts ?? 0;
        if (best === null || attempts < best.attempts) best = { item, attempts };
        if (attempts === 0) break;
      }
    }
    if (best !== null) this.#send([best.item]);
  }

  *#due(
    source: Source,
    nowMs: number,
  ): Generator<{ readonly item: Item; readonly trouble: Trouble | undefined }> {
    const { partition, epoch, pending, committedSeq } = source;
    const dueSeq = this.#dueSeq(partition, nowMs);
    const heldSeq = nowMs < source.heldUntilMs ? source.heldSeq : -1;
    for (const owed of pending.all()) {
      if (owed.sinceSeq > dueSeq) return;
      const write = owed.writes[0];
      if (write === undefined || owed.failure !== null || owed.sinceSeq <= heldSeq) continue;
      const place = placeOf(partition, owed.key);
      if (write.seq > committedSeq || this.#inFlight.has(place) || source.isBusy(owed.key)) continue;
      yield { item: itemOf(partition, epoch, owed), trouble: this.#troubles.get(place) };
    }
  }

  #send(batch: readonly Item[]): void {
    this.#calls++;
    this.#triedMs = this.#host.now();
    for (const item of batch) this.#inFlight.set(placeOf(item.partition, item.key), item);
    this.#host.tell(batch, (problem) => {
      this.#calls--;
      for (const { partition, key } of batch) this.#inFlight.delete(placeOf(partition, key));
      if (problem === null) this.#succeeded(batch);
      else this.#refused(batch, problem.message);
      for (const { partition, key } of batch) this.#hurried.delete(placeOf(partition, key));
      this.tick();
    });
  }

  #succeeded(batch: readonly Item[]): void {
    // What failed while the store was down says nothing of the writes.
    if (this.isDown) for (const trouble of this.#troubles.values()) Object.assign(trouble, UNTRIED);
    this.#lastSuccessMs = this.#host.now();
    this.#lastProblem = null;
    this.#failing.clear();
    this.#pauseMs = 0;
    const byPartition = new Map<number, Item[]>();
    for (const item of batch) {
      this.#troubles.delete(placeOf(item.partition, item.key));
      const those = byPartition.get(item.partition);
      if (those === undefined) byPartition.set(item.partition, [item]);
      else those.push(item);
    }
    for (const items of byPartition.values()) this.#host.stored(items);
  }

  #refused(batch: readonly Item[], message: string): void {
    const nowMs = this.#host.now();
    const isAlone = batch.length === 1;
    this.#lastProblem = message;
    for (const item of batch) {
      const place = placeOf(item.partition, item.key);
      const trouble = this.#troubles.get(place) ?? { item, ...UNTRIED, message };
      this.#troubles.set(place, trouble);
      trouble.message = message;
      if (isAlone) this.#refusedAlone(place, trouble, item, nowMs);
    }
    if (!this.isDown) return;
    const isHurried = batch.some(({ partition, key }) => this.#hurried.has(placeOf(partition, key)));
    this.#pauseMs = this.#nextPause(this.#pauseMs);
    this.#pausedUntilMs = nowMs + (isHurried ? this.#shortPauseMs : this.#pauseMs);
  }

  get #shortPauseMs(): number {
    return Math.min(this.#options.backoffMs, HURRIED_PAUSE_MS);
  }

  #nextPause(lastMs: number): number {
    const { backoffMs, maxBackoffMs } = this.#options;
    return lastMs === 0 ? Math.min(backoffMs, maxBackoffMs) : Math.min(2 * lastMs, maxBackoffMs);
  }

  #refusedAlone(place: string, trouble: Trouble, item: Item, nowMs: number): void {
    const { backoffMs, maxBackoffMs, maxAttempts } = this.#options;
    trouble.attempts++;
    trouble.firstMs ??= nowMs;
    trouble.nextMs = nowMs + Math.min(backoffMs * 2 ** Math.min(trouble.attempts - 1, 30), maxBackoffMs);
    if (this.#hurried.has(place)) trouble.nextMs = nowMs;
    this.#failing.add(place);
    const othersGetThrough = this.#lastSuccessMs >= trouble.firstMs;
    if (trouble.attempts < maxAttempts || !othersGetThrough) return;
    this.#troubles.delete(place);
    this.#failing.delete(place);
    this.#host.setAside(item, trouble.attempts, trouble.message);
  }
}

function placeOf(partition: number, key: Uint8Array): string {
  return `${partition}/${textOf(key)}`;
}

function itemOf(partition: number, epoch: EpochName, { key, writes }: Owed): Item {
  const { seq, value } = writes[0] as Owed['writes'][number];
  return { partition, epoch, key, seq, value };
}
