/**
 * What users ask of the store that a map is kept in: to load, to wait until it has everything, and what it refuses.
 * Invariant: all of it is asked of primaries. Called by the proxy of the map.
 */
import { StoreFailedError, TimeoutError } from '../../../src/base/errors.js';
import { decodeKey, encodeKey } from '../../../src/wire/keys.js';
import type { RequestOptions } from '../../invoker.js';
import { partitionOfName } from '../../placement.js';
import { type BulkItem, checkedIterable, mapItems } from '../bulk.js';
import { type KeyedRequests, pause } from '../proxy-requests.js';
import { MAP_OPERATIONS as ops } from './ops.js';

/** Between two questions whether it is done. */
const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 500;

/** Of the time of a call that was not enough, for the reason. */
const REASON_SHARE = 1 / 8;
const MOST_REASON_MS = 500;
const NOT_DONE = 'it was not done in time';

const NO_BYTES = new Uint8Array(0);

/** A write that the store refuses. */
export interface RefusedWrite<K> {
  readonly key: K;
  readonly attempts: number;
  /** What the store said last. */
  readonly error: string;
  /** It is not tried again by itself. */
  readonly isSetAside: boolean;
}

/** What the store of a map lacks; with failed writes of each partition, at most 100 of one. */
export interface StoreStatus<K> {
  /** Writes that the store does not have yet. */
  readonly pending: number;
  /** Of the oldest of these, by the wall clock; 0 when there is none. */
  readonly oldestAgeMs: number;
  /** Keys whose last write was set aside. */
  readonly setAside: number;
  readonly failed: readonly RefusedWrite<K>[];
}

export class MapStoreRequests<K, V> {
  readonly #requests: KeyedRequests<K, V>;

  constructor(requests: KeyedRequests<K, V>) {
    this.#requests = requests.whole();
  }

  get #clock() {
    return this.#requests.invoker.clock;
  }

  /** Reads go to the primary, whatever the map's preset says. */
  #strict(): KeyedRequests<K, V> {
    const options: RequestOptions = { ...this.#requests.options, isStrict: true };
    return this.#requests.with(options);
  }

  async loadKeys(keys: Iterable<K>, replaces: boolean): Promise<void> {
    const items = mapItems(
      'keys',
      checkedIterable('keys', keys, 'an array of keys'),
      (key): BulkItem => ({ key, keyBytes: encodeKey(key), valueBytes: NO_BYTES }),
    );
    const requests = this.#requests;
    const load = async (partition: number, batch: readonly BulkItem[]) => {
      const request = { keys: batch.map(({ keyBytes }) => keyBytes), evicts: false };
      if (replaces) await requests.sendTo(ops.loadKeys, partition, { ...request, evicts: true }, () => {});
      await requests.sendTo(ops.loadKeys, partition, request, () => {});
    };
    const bytes = items.map(({ keyBytes }) => keyBytes);
    await requests.changing(bytes, () => requests.inBulk('loadAll', items, load));
  }

  /** Everything that the store has. */
  async fill(replaces: boolean): Promise<void> {
    const requests = this.#strict();
    const { invoker, name } = requests;
    const partition = partitionOfName(name, invoker.partitionCount);
    const request = { client: invoker.client, token: invoker.nextToken(), replaces };
    await requests.changing('all', () =>
      this.#until('loadAll', async () => {
        const filling = await requests.sendTo(ops.fillMap, partition, request, (reply) => reply);
        if (filling.state === 'failed')
          throw new StoreFailedError(`loadAll on '${name}': ${filling.message}`);
        return filling.state === 'done';
      }),
    );
  }

  /** Resolves when the store has all that was written before. */
  async flush(): Promise<void> {
    const requests = this.#strict();
    // The last of the time is for the reason why it was not enough.
    const { deadlineMs = Number.POSITIVE_INFINITY } = requests.options;
    const endMs = deadlineMs - Math.min(MOST_REASON_MS, REASON_SHARE * (deadlineMs - this.#clock.now()));
    let reason: Promise<string> | null = null;
    const ending = {
      endMs,
      why: () => {
        reason ??= this.#lacking();
        return reason;
      },
    };
    await requests.everywhere(async (partition) => {
      let upTo = 0;
      await this.#until(
        'flush',
        async () => {
          const left = await requests.sendTo(ops.flushStore, partition, { upTo }, (reply) => reply);
          upTo = left.upTo;
          if (left.pending === 0 && left.failed > 0) {
            const why = `${left.failed} writes were set aside because the store refuses them; see storeStatus()`;
            throw new StoreFailedError(`flush on '${requests.name}': ${why}`);
          }
          return left.pending === 0;
        },
        ending,
      );
    });
  }

  /** What the store lacks, and what it said. */
  async #lacking(): Promise<string> {
    const { pending, failed } = await this.status().catch((): Partial<StoreStatus<K>> => ({}));
    if (pending === undefined) return NOT_DONE;
    const writes = pending === 1 ? '1 write still waits' : `${pending} writes still wait`;
    const said = failed?.find(({ isSetAside }) => !isSetAside)?.error;
    return `${writes} for the store${said === undefined ? '' : `, which said last: ${said}`}`;
  }

  async #until(
    what: string,
    isDone: () => Promise<boolean>,
    {
      endMs = this.#requests.options.deadlineMs ?? Number.POSITIVE_INFINITY,
      why = async () => NOT_DONE,
    } = {},
  ): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !(await isDone()); pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
      if (this.#clock.now() + pauseMs >= endMs)
        throw new TimeoutError(`${what} on '${this.#requests.name}': ${await why()}`);
      await pause(this.#requests.invoker, pauseMs);
    }
  }

  async status(): Promise<StoreStatus<K>> {
    const requests = this.#strict();
    let [pending, setAside, oldestMs] = [0, 0, 0];
    const failed: RefusedWrite<K>[] = [];
    await requests.everywhere(async (partition) => {
      await requests.sendTo(ops.storeStatus, partition, {}, (reply) => {
        pending += reply.pending;
        setAside += reply.setAside;
        if (reply.oldestMs > 0) oldestMs = Math.min(reply.oldestMs, oldestMs || reply.oldestMs);
        for (const { key, attempts, message, isAside } of reply.failed)
          failed.push({ key: decodeKey(key) as K, attempts, error: message, isSetAside: isAside });
      });
    });
    const oldestAgeMs = oldestMs === 0 ? 0 : Math.max(0, this.#clock.wallNow() - oldestMs);
    return { pending, oldestAgeMs, setAside, failed };
  }

  /** Resolves with how many writes are tried again. */
  async retryFailed(): Promise<number> {
    let total = 0;
    await this.#requests.everywhere(async (partition) => {
      for (let retried = 1; retried > 0; total += retried)
        retried = await this.#requests.sendTo(ops.retryFailed, partition, {}, (reply) => reply.retried);
    });
    return total;
  }
}
