/**
 * Loads all that a store has into its map: lists the keys, and has the primaries of their partitions load them in batches.
 * A job runs at the member that leads the partition of the map's name, and is forgotten with it: whoever asks again begins
 * it anew, which does no harm. Invariants: a map has one job at work, and whoever asks meanwhile shares the one after it,
 * because what the store got since may be missing in the keys that were listed; a job that nobody asks for ends; a member
 * does other things while a store lists keys, however it does that. Owned by the member's stores.
 */
import { partitionOfKey } from '../../partitions/placement.js';
import type { Filling } from '../../partitions/service.js';
import { MAX_BATCH } from '../../partitions/services/keyed-ops.js';
import type { WhyNot } from '../../partitions/store-port.js';
import type { Clock, Logger } from '../base/ports.js';
import { reasonOf } from '../base/reason.js';
import type { MapStore } from '../mapstore/map-store.js';
import { keyGiven, keysGiven } from './given-by-store.js';

/** Jobs of a member that are at work or wait for another one of their map. */
const MAX_JOBS = 100;
/** Of whom it is known which job is theirs. */
const MAX_CALLERS = 10_000;
/** Callers ask at least every second; a job that none asks for has none left. */
const ABANDONED_MS = 15_000;
/** Keys between two turns of the event loop. */
const KEYS_A_TURN = 500;
/** Batches that are being loaded at a time. */
const PARALLEL = 8;
/** Between two attempts to load everything at the start. */
const PAUSE_MS = 2_000;
const MAX_MESSAGE = 500;

export interface FillSender {
  /** Has the primary of a partition load keys; resolves with how many have a value then. */
  loadKeys(map: string, partition: number, keys: readonly Uint8Array[], evicts: boolean): Promise<number>;
}

export interface FillHost {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly partitionCount: number;
  readonly sender: () => FillSender;
}

export interface Filled {
  readonly name: string;
  readonly options: { readonly name: string; readonly batchSize: number };
  readonly store: MapStore;
}

interface Job {
  readonly map: Filled;
  readonly replaces: boolean;
  readonly controller: AbortController;
  state: 'waiting' | Filling['state'];
  loaded: number;
  message: string;
  askedMs: number;
}

interface Caller {
  readonly job: Job;
  askedMs: number;
}

export class FillJobs {
  readonly #host: FillHost;
  readonly #callers = new Map<string, Caller>();
  /** By map: the job at work, and those that wait for it, one of each kind. */
  readonly #lines = new Map<string, Job[]>();
  /** By map: when everything is loaded at the start; infinite while it is. */
  readonly #eager = new Map<string, number>();
  readonly #running = new Set<Job>();
  /** Jobs in `#lines`. */
  #jobs = 0;

  constructor(host: FillHost) {
    this.#host = host;
  }

  /** The store of the map is being read. */
  isAtWork(map: string): boolean {
    return this.#lines.has(map) || this.#eager.get(map) === Number.POSITIVE_INFINITY;
  }

  /** Has everything loaded for a caller of this name, or says how far that is. */
  ask(map: Filled, caller: string, replaces: boolean): Filling | WhyNot {
    const name = `${map.name}/${caller}`;
    const nowMs = this.#host.clock.now();
    let known = this.#callers.get(name);
    if (known === undefined) {
      const job = this.#callers.size < MAX_CALLERS ? this.#jobFor(map, replaces, nowMs) : null;
      if (job === null) return TOO_MANY;
      known = { job, askedMs: nowMs };
      this.#callers.set(name, known);
    }
    known.askedMs = nowMs;
    known.job.askedMs = nowMs;
    const { state, loaded, message } = known.job;
    return { state: state === 'waiting' ? 'running' : state, loaded, message };
  }

  /** One that has not begun; null when there are too many. */
  #jobFor(map: Filled, replaces: boolean, nowMs: number): Job | null {
    const line = this.#lines.get(map.name) ?? [];
    const waiting = line.find((job) => job.state === 'waiting' && job.replaces === replaces);
    if (waiting !== undefined) return waiting;
    if (this.#jobs >= MAX_JOBS) return null;
    const job = jobOf(map, replaces, nowMs);
    this.#jobs++;
    this.#lines.set(map.name, line);
    line.push(job);
    if (line.length === 1) this.#begin(job);
    return job;
  }

  #begin(job: Job): void {
    job.state = 'running';
    this.#run(job).then(
      () => this.#end(job, 'done'),
      (error: unknown) => this.#end(job, 'failed', reasonOf(error)),
    );
  }

  #end(job: Job, state: 'done' | 'failed', message = ''): void {
    if (job.state === 'done' || job.state === 'failed') return;
    const wasRunning = job.state === 'running';
    job.state = state;
    job.message = message.slice(0, MAX_MESSAGE);
    job.controller.abort();
    this.#jobs--;
    const { name } = job.map;
    const line = (this.#lines.get(name) ?? []).filter((other) => other !== job);
    const [next] = line;
    if (next === undefined) this.#lines.delete(name);
    else this.#lines.set(name, line);
    if (next !== undefined && wasRunning) this.#begin(next);
  }

  /** Ends what nobody asks for. */
  tick(): void {
    const untilMs = this.#host.clock.now() - ABANDONED_MS;
    for (const [name, { askedMs }] of this.#callers) if (askedMs < untilMs) this.#callers.delete(name);
    for (const line of [...this.#lines.values()])
      for (const job of [...line].reverse())
        if (job.askedMs < untilMs) this.#end(job, 'failed', 'nobody waits for it');
  }

  stop(): void {
    this.#callers.clear();
    for (const line of [...this.#lines.values()])
      for (const job of [...line].reverse()) this.#end(job, 'failed', 'the member shuts down');
    for (const { controller } of this.#running) controller.abort();
  }

  /** Loads everything once; tries again while it fails. */
  eagerly(map: Filled, done: () => void): void {
    const nowMs = this.#host.clock.now();
    if ((this.#eager.get(map.name) ?? Number.NEGATIVE_INFINITY) > nowMs) return;
    this.#eager.set(map.name, Number.POSITIVE_INFINITY);
    const job = jobOf(map, false, nowMs);
    this.#run(job).then(
      () => {
        this.#host.logger.log('info', 'a map was filled from its store', {
          map: map.name,
          entries: job.loaded,
        });
        this.#eager.delete(map.name);
        done();
      },
      (error: unknown) => {
        this.#eager.set(map.name, this.#host.clock.now() + PAUSE_MS);
        this.#host.logger.log('warn', 'a map could not be filled from its store', { map: map.name, error });
      },
    );
  }

  async #run(job: Job): Promise<void> {
    this.#running.add(job);
    try {
      await this.#load(job);
    } finally {
      this.#running.delete(job);
      job.controller.abort();
    }
  }

  async #load(job: Job): Promise<void> {
    const { map, replaces, controller } = job;
    const { name, options, store } = map;
    const { signal } = controller;
    if (typeof store.loadAllKeys !== 'function')
      throw new Error(`the store ${JSON.stringify(options.name)} has no method loadAllKeys`);
    const size = Math.min(options.batchSize, MAX_BATCH);
    const batches = new Map<number, Uint8Array[]>();
    const sending = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | null = null;
    const send = async (partition: number, keys: readonly Uint8Array[]) => {
      try {
        const sender = this.#host.sender();
        if (replaces) await sender.loadKeys(name, partition, keys, true);
        job.loaded += await sender.loadKeys(name, partition, keys, false);
      } catch (error) {
        failure ??= { error };
      }
    };
    const check = () => {
      if (failure !== null) throw failure.error;
      signal.throwIfAborted();
    };
    const begin = async (partition: number) => {
      const keys = batches.get(partition) ?? [];
      batches.delete(partition);
      const sent: Promise<void> = send(partition, keys).finally(() => sending.delete(sent));
      sending.add(sent);
      if (sending.size >= PARALLEL) await Promise.race(sending);
      // Many partitions have a full batch at about the same time.
      await this.#turn();
      check();
    };
    let listed = 0;
    const all = await store.loadAllKeys({ map: name, signal });
    for await (const key of keysGiven(options.name, all)) {
      const bytes = keyGiven('loadAllKeys', options.name, key);
      const partition = partitionOfKey(bytes, this.#host.partitionCount);
      const batch = batches.get(partition) ?? [];
      batches.set(partition, batch);
      if (batch.push(bytes) >= size) await begin(partition);
      // A store that has all its keys at hand, or goes on for ever, would let nobody else have a turn.
      if (++listed % KEYS_A_TURN === 0) await this.#turn();
      check();
    }
    for (const partition of [...batches.keys()]) await begin(partition);
    await Promise.all(sending);
    check();
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#host.clock.defer(resolve));
  }
}

function jobOf(map: Filled, replaces: boolean, askedMs: number): Job {
  return {
    map,
    replaces,
    controller: new AbortController(),
    state: 'waiting',
    loaded: 0,
    message: '',
    askedMs,
  };
}

const TOO_MANY: WhyNot = {
  error: 'StoreOverload',
  message: 'the member loads as many maps as a whole as it can at a time',
};
