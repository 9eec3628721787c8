/**
 * A map's store in Redis: a key for each entry, or one hash for the whole map. Invariants: a command is sent only while
 * the connection is there and nobody has given the call up, and never sent again by itself, so that no write comes later
 * than the call that made it; what Redis answers with an error it has not done. Registered by users; see docs/mapstore.md.
 */
import { Redis } from 'ioredis';
import { checkNames } from '../base/option-names.js';
import { type MapStore, type StoreCall, StoreRefusedError } from '../mapstore/map-store.js';
import { type Codecs, codecsOf, type Encoding, type KeyEncoding } from './codecs.js';

/** Between two attempts to connect. */
const RECONNECT_MS = 50;
const MAX_RECONNECT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Keys that Redis looks at in one step of a scan. */
const SCAN_COUNT = 1_000;

/** How ioredis says that a command would have to wait; one that connects lazily does so for its first command. */
const UNCONNECTED = ['connecting', 'connect', 'reconnecting', 'close', 'end'];

export interface RedisMapStoreOptions {
  /** For example `redis://127.0.0.1:6379/0`. Either this or `client`. */
  readonly url?: string;
  /** A client of your own; it is not closed by the store. Best with `enableOfflineQueue: false`. */
  readonly client?: Redis;
  /** In front of each key, or the name of the hash. */
  readonly prefix: string;
  /** `keys` (default): one key of Redis for each entry. `hash`: all entries in one hash named `prefix`. */
  readonly layout?: 'keys' | 'hash';
  /** `string` (default): keys are strings and stay as they are. `json`: what JSON gives back exactly; `grid`: any key, as the grid's bytes. */
  readonly keys?: KeyEncoding;
  /** `json` (default), readable for others, of what JSON gives back exactly; or `grid`: the grid's bytes, exact for every value that it takes. */
  readonly values?: Encoding;
}

const OPTION_NAMES = ['url', 'client', 'prefix', 'layout', 'keys', 'values'];

/** Throws a `TypeError` for options that mean nothing. */
export function redisMapStore<K = unknown, V = unknown>(options: RedisMapStoreOptions): RedisMapStore<K, V> {
  return new RedisMapStore(options);
}

type Pipeline = ReturnType<Redis['pipeline']>;

export class RedisMapStore<K, V> implements MapStore<K, V> {
  readonly #client: Redis;
  readonly #isOwnClient: boolean;
  readonly #prefix: string;
  readonly #isHash: boolean;
  readonly #codecs: Codecs;
  /** Calls that wait for the connection. */
  readonly #waiting = new Set<() => void>();
  readonly #isReady = () => {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const tell of waiting) tell();
  };

  constructor(options: RedisMapStoreOptions) {
    checkOptions(options);
    const { url, client, prefix, layout = 'keys', keys = 'string', values = 'json' } = options;
    this.#isOwnClient = client === undefined;
    this.#client = client ?? connectTo(url as string);
    this.#prefix = prefix;
    this.#isHash = layout === 'hash';
    this.#codecs = codecsOf(keys, values);
  }

  async load(key: K, call: StoreCall): Promise<V | null> {
    const field = this.#codecs.keyText(key);
    await this.#ready(call);
    const found = this.#isHash
      ? await this.#client.hgetBuffer(this.#prefix, field)
      : await this.#client.getBuffer(this.#prefix + field);
    return found === null ? null : (this.#codecs.valueOf(found) as V);
  }

  async loadAll(keys: readonly K[], call: StoreCall): Promise<[K, V][]> {
    if (keys.length === 0) return [];
    const fields = keys.map((key) => this.#codecs.keyText(key));
    await this.#ready(call);
    const found = this.#isHash
      ? await this.#client.hmgetBuffer(this.#prefix, ...fields)
      : await this.#client.mgetBuffer(...fields.map((field) => this.#prefix + field));
    return keys.flatMap((key, i): [K, V][] => {
      const bytes = found[i] ?? null;
      return bytes === null ? [] : [[key, this.#codecs.valueOf(bytes) as V]];
    });
  }

  /** By SCAN or HSCAN, so that Redis serves others meanwhile; a key may come twice. */
  async *loadAllKeys(call: StoreCall): AsyncGenerator<K> {
    const pattern = `${this.#prefix.replace(/[\\*?[\]]/g, '\\$&')}*`;
    let cursor = '0';
    do {
      await this.#ready(call);
      const [next, found] = this.#isHash
        ? await this.#client.hscan(this.#prefix, cursor, 'COUNT', SCAN_COUNT)
        : await this.#client.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      cursor = next;
      // A hash gives fields and values in turn.
      const fields = this.#isHash
        ? found.filter((_, i) => i % 2 === 0)
        : found.map((name) => name.slice(this.#prefix.length));
      for (const field of fields) yield this.#codecs.keyOf(field) as K;
    } while (cursor !== '0');
  }

  async store(key: K, value: V, call: StoreCall): Promise<void> {
    const field = this.#codecs.keyText(key);
    const bytes = this.#codecs.valueBytes(value);
    await this.#ready(call);
    await this.#told(() =>
      this.#isHash
        ? this.#client.hset(this.#prefix, field, bytes)
        : this.#client.set(this.#prefix + field, bytes),
    );
  }

  async storeAll(entries: readonly (readonly [K, V])[], call: StoreCall): Promise<void> {
    const encoded = entries.map(
      ([key, value]) => [this.#codecs.keyText(key), this.#codecs.valueBytes(value)] as const,
    );
    await this.#piped(call, (pipeline) => {
      for (const [field, bytes] of encoded) {
        if (this.#isHash) pipeline.hset(this.#prefix, field, bytes);
        else pipeline.set(this.#prefix + field, bytes);
      }
    });
  }

  async delete(key: K, call: StoreCall): Promise<void> {
    const field = this.#codecs.keyText(key);
    await this.#ready(call);
    await this.#told(() =>
      this.#isHash ? this.#client.hdel(this.#prefix, field) : this.#client.del(this.#prefix + field),
    );
  }

  async deleteAll(keys: readonly K[], call: StoreCall): Promise<void> {
    const fields = keys.map((key) => this.#codecs.keyText(key));
    await this.#piped(call, (pipeline) => {
      for (const field of fields) {
        if (this.#isHash) pipeline.hdel(this.#prefix, field);
        else pipeline.del(this.#prefix + field);
      }
    });
  }

  async close(): Promise<void> {
    if (this.#isOwnClient) this.#client.disconnect();
  }

  /** In one round trip; rejects with the first error, when the others may be done. */
  async #piped(call: StoreCall, fill: (pipeline: Pipeline) => void): Promise<void> {
    await this.#ready(call);
    const pipeline = this.#client.pipeline();
    fill(pipeline);
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
  }

  /** One command: what Redis answers with an error it has not done. */
  async #told(send: () => Promise<unknown>): Promise<void> {
    try {
      await send();
    } catch (error) {
      if (!isReplyError(error)) throw error;
      throw new StoreRefusedError(`Redis: ${error.message}`, { cause: error });
    }
  }

  /** Waits for the connection, for as long as somebody waits for the call. */
  async #ready({ signal }: StoreCall): Promise<void> {
    if (signal.aborted) throw this.#notSent();
    if (!UNCONNECTED.includes(this.#client.status)) return;
    await new Promise<void>((resolve, reject) => {
      const isGivenUp = () => {
        this.#waiting.delete(isReady);
        if (this.#waiting.size === 0) this.#client.off('ready', this.#isReady);
        reject(this.#notSent());
      };
      const isReady = () => {
        signal.removeEventListener('abort', isGivenUp);
        resolve();
      };
      signal.addEventListener('abort', isGivenUp, { once: true });
      if (this.#waiting.size === 0) this.#client.once('ready', this.#isReady);
      this.#waiting.add(isReady);
    });
  }

  #notSent(): StoreRefusedError {
    return new StoreRefusedError('Redis is not reached, and nothing was sent to it');
  }
}

function connectTo(url: string): Redis {
  const client = new Redis(url, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    // What waited in a queue would be done when nobody counts on it any more.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(attempt * RECONNECT_MS, MAX_RECONNECT_MS),
  });
  // Calls tell of it; without a listener ioredis writes to the console.
  client.on('error', () => {});
  return client;
}

function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

function checkOptions(options: RedisMapStoreOptions): void {
  checkNames(options, OPTION_NAMES);
  const { url, client, prefix, layout, keys, values } = options;
  if ((url === undefined) === (client === undefined))
    throw new TypeError('redisMapStore: expected either url or client');
  if (url !== undefined && !/^rediss?:\/\//.test(String(url)))
    throw new TypeError(`redisMapStore: url: expected redis:// or rediss://, got ${String(url)}`);
  if (typeof prefix !== 'string' || prefix === '')
    throw new TypeError('redisMapStore: prefix: expected text that is not empty');
  checkOneOf('layout', layout, ['keys', 'hash']);
  checkOneOf('keys', keys, ['string', 'json', 'grid']);
  checkOneOf('values', values, ['json', 'grid']);
}

function checkOneOf(name: string, given: unknown, known: readonly string[]): void {
  if (given === undefined || known.includes(given as string)) return;
  throw new TypeError(`redisMapStore: ${name}: expected one of ${known.join(', ')}, got ${String(given)}`);
}
