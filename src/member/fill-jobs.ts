/**
 * Loads all that a store has into its map: lists the keys, and has the primaries of their partitions load them in batches.
 * A job runs at the member that leads the partition of the map's name, and is forgotten with it: whoever asks again by the
 * same name begins it anew, which does no harm. Owned by the member's stores.
 */
import { murmur3, partitionOf } from '../../partitions/hash.js';
import type { Filling } from '../../partitions/service.js';
import { MAX_BATCH } from '../../partitions/services/keyed-ops.js';
import type { Clock, Logger } from '../base/ports.js';
import { reasonOf } from '../base/reason.js';
import { affinityBytes, encodeKey } from '../wire/keys.js';
import type { StoreRunner } from './store-runner.js';

/** Jobs that are remembered after their end. */
const MAX_JOBS = 100;
/** Batches that are being loaded at a time. */
const PARALLEL = 8;
/** Between two attempts to load everything at the start. */
const PAUSE_MS = 2_000;

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
  readonly options: { readonly batchSize: number };
  readonly runner: StoreRunner;
}

interface Job {
  state: Filling['state'];
  loaded: number;
  message: string;
}

export class FillJobs {
  readonly #host: FillHost;
  readonly #jobs = new Map<string, Job>();
  readonly #eager = new Map<string, number>();

  constructor(host: FillHost) {
    this.#host = host;
  }

  partitionOf(map: string, partitionCount: number): number {
    return partitionOf(murmur3(encodeKey(map)), partitionCount);
  }

  /** Starts the job of this name, or says how far it is. */
  ask(map: Filled, job: string, replaces: boolean): Filling {
    const name = `${map.name}/${job}`;
    const known = this.#jobs.get(name);
    if (known !== undefined) return { ...known };
    const begun: Job = { state: 'running', loaded: 0, message: '' };
    if (this.#jobs.size >= MAX_JOBS) this.#jobs.delete(this.#jobs.keys().next().value as string);
    this.#jobs.set(name, begun);
    this.#run(map, replaces, begun).then(
      () => {
        begun.state = 'done';
      },
      (error: unknown) => {
        begun.state = 'failed';
        begun.message = reasonOf(error).slice(0, 500);
      },
    );
    return { ...begun };
  }

  /** Loads everything once; tries again while it fails. */
  eagerly(map: Filled, done: () => void): void {
    const nowMs = this.#host.clock.now();
    if ((this.#eager.get(map.name) ?? Number.NEGATIVE_INFINITY) > nowMs) return;
    this.#eager.set(map.name, Number.POSITIVE_INFINITY);
    const job: Job = { state: 'running', loaded: 0, message: '' };
    this.#run(map, false, job).then(
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

  async #run({ name, options, runner }: Filled, replaces: boolean, job: Job): Promise<void> {
    const { store } = runner;
    if (store.loadAllKeys === undefined) throw new Error('the store has no loadAllKeys');
    const size = Math.min(options.batchSize, MAX_BATCH);
    const batches = new Map<number, Uint8Array[]>();
    const running = new Set<Promise<void>>();
    const send = async (partition: number, keys: readonly Uint8Array[]) => {
      const sender = this.#host.sender();
      if (replaces) await sender.loadKeys(name, partition, keys, true);
      job.loaded += await sender.loadKeys(name, partition, keys, false);
    };
    const begin = async (partition: number) => {
      const keys = batches.get(partition) ?? [];
      batches.delete(partition);
      const sent: Promise<void> = send(partition, keys).finally(() => running.delete(sent));
      // Also when nobody waits for it any more.
      sent.catch(() => {});
      running.add(sent);
      if (running.size >= PARALLEL) await Promise.race(running);
    };
    const controller = new AbortController();
    try {
      const call = { map: name, signal: controller.signal };
      for await (const key of await store.loadAllKeys(call)) {
        const bytes = encodeKey(key);
        const partition = partitionOf(murmur3(affinityBytes(bytes)), this.#host.partitionCount);
        const batch = batches.get(partition) ?? [];
        batches.set(partition, batch);
        if (batch.push(bytes) >= size) await begin(partition);
      }
      for (const partition of [...batches.keys()]) await begin(partition);
      await Promise.all(running);
    } finally {
      controller.abort();
    }
  }
}
