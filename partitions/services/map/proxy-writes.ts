/** Writes of one key that take more than a key and a value: arguments are checked, and become requests. Called by the proxy of the map. */
import { ValueTooLargeError } from '../../../src/base/errors.js';
import { encodeKey } from '../../../src/wire/keys.js';
import type { OperationDef, RequestOf } from '../../../src/wire/message.js';
import { MAX_VALUE_BYTES } from '../../../src/wire/values.js';
import { type BulkItem, checkedIterable, mapItems } from '../bulk.js';
import { attempt, inParts, type KeyedRequests, nothing } from '../proxy-requests.js';
import { AS_CONFIGURED, MAX_LIFE_MS } from './life.js';
import { MAP_OPERATIONS } from './ops.js';

interface AskedLife {
  readonly ttlMs: number;
  readonly maxIdleMs: number;
}

/** Null when the call says nothing; throws a `TypeError` for what is no time. */
export function askedLife(ttlMs: number | undefined, maxIdleMs: number | undefined): AskedLife | null {
  if (ttlMs === undefined && maxIdleMs === undefined) return null;
  return { ttlMs: askedMs('ttlMs', ttlMs), maxIdleMs: askedMs('maxIdleMs', maxIdleMs) };
}

function askedMs(name: string, ms: number | undefined): number {
  if (ms === undefined) return AS_CONFIGURED;
  if (Number.isInteger(ms) && ms >= 0 && ms <= MAX_LIFE_MS) return ms;
  const given = typeof ms === 'number' ? `${ms}` : ms === null ? 'null' : typeof ms;
  throw new TypeError(
    `${name}: expected whole milliseconds from 0 (for ever) to ${MAX_LIFE_MS}, or undefined, but got ${given}`,
  );
}

/** A call waits at the primary for so long at the most. */
const MAX_WAIT_MS = 60_000;

/** How long a call may wait for a lock. */
function askedWaitMs(timeoutMs: number): number {
  if (typeof timeoutMs === 'number' && timeoutMs >= 0 && timeoutMs <= MAX_WAIT_MS)
    return Math.ceil(timeoutMs);
  throw new TypeError(
    `timeoutMs: expected milliseconds from 0 to ${MAX_WAIT_MS}, but got ${String(timeoutMs)}`,
  );
}

/** Sets a value with what the caller says of its life. */
export function putFor<K, V, P, R>(
  requests: KeyedRequests<K, V>,
  operation: OperationDef<RequestOf<typeof MAP_OPERATIONS.set>, P>,
  [key, value, ttlMs, maxIdleMs]: readonly [K, V, number | undefined, number | undefined],
  decode: (reply: P) => R,
): Promise<R> {
  return attempt(() => {
    const life = askedLife(ttlMs, maxIdleMs);
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, value: requests.encode(value), life });
    return requests.onKey(operation, key, request, decode);
  });
}

export function setTtl<K, V>(
  requests: KeyedRequests<K, V>,
  key: K,
  ttlMs: number | undefined,
): Promise<boolean> {
  return attempt(() => {
    const ms = askedMs('ttlMs', ttlMs);
    const request = (keyBytes: Uint8Array) => ({ key: keyBytes, ttlMs: ms });
    return requests.onKey(MAP_OPERATIONS.setTtl, key, request, ({ found }) => found);
  });
}

export function tryPut<K, V>(
  requests: KeyedRequests<K, V>,
  key: K,
  value: V,
  timeoutMs: number,
): Promise<boolean> {
  return attempt(() => {
    const bytes = requests.encode(value);
    const ask = (waitMs: number) =>
      waiting(requests, waitMs).onKey(
        MAP_OPERATIONS.tryPut,
        key,
        (keyBytes) => ({ key: keyBytes, value: bytes, waitMs }),
        ({ done }) => done,
      );
    return inParts(requests.invoker.clock, askedWaitMs(timeoutMs), ask, (done) => done);
  });
}

export function tryRemove<K, V>(requests: KeyedRequests<K, V>, key: K, timeoutMs: number): Promise<boolean> {
  return attempt(async () => {
    const ask = (waitMs: number) =>
      waiting(requests, waitMs).onKey(
        MAP_OPERATIONS.tryRemove,
        key,
        (keyBytes) => ({ key: keyBytes, waitMs }),
        (reply) => reply,
      );
    const { clock } = requests.invoker;
    const reply = await inParts(clock, askedWaitMs(timeoutMs), ask, ({ isLocked }) => !isLocked);
    return reply.removed;
  });
}

function waiting<K, V>(requests: KeyedRequests<K, V>, waitMs: number): KeyedRequests<K, V> {
  return requests.with({ ...requests.options, waitMs });
}

export function replaceIfSame<K, V>(
  requests: KeyedRequests<K, V>,
  key: K,
  oldValue: V,
  newValue: V,
): Promise<boolean> {
  return attempt(() => {
    const keyBytes = encodeKey(key);
    const request = {
      key: keyBytes,
      expected: requests.encode(oldValue),
      value: requests.encode(newValue),
    };
    const bytes = request.expected.length + request.value.length - 2;
    if (bytes > MAX_VALUE_BYTES) {
      const limit = `the limit is ${MAX_VALUE_BYTES} bytes`;
      throw new ValueTooLargeError(`value: old and new value together have ${bytes} bytes; ${limit}`);
    }
    return requests.send(MAP_OPERATIONS.replaceIfSame, keyBytes, request, ({ replaced }) => replaced);
  });
}

export function removeIfSame<K, V>(requests: KeyedRequests<K, V>, key: K, value: V): Promise<boolean> {
  const request = (keyBytes: Uint8Array) => ({ key: keyBytes, expected: requests.encode(value) });
  return requests.onKey(MAP_OPERATIONS.removeIfSame, key, request, ({ removed }) => removed);
}

/** Sets many values; of two values for one key the later one stays. */
export function setAll<K, V>(
  requests: KeyedRequests<K, V>,
  what: string,
  entries: Iterable<readonly [K, V]>,
): Promise<void> {
  return attempt(() => {
    const given = checkedIterable('entries', entries, 'a Map, or an array of pairs [key, value]');
    const items = mapItems('entries', given, (entry: unknown): BulkItem => {
      if (!Array.isArray(entry))
        throw new TypeError(`expected a pair [key, value], got ${entry === null ? 'null' : typeof entry}`);
      const [key, value] = entry;
      return { key, keyBytes: encodeKey(key), valueBytes: requests.encode(value) };
    });
    const whole = requests.as(what).whole();
    const send = (partition: number, batch: readonly BulkItem[]) => {
      const pairs = batch.map(({ keyBytes, valueBytes }) => ({ key: keyBytes, value: valueBytes }));
      return whole.sendTo(MAP_OPERATIONS.setAll, partition, { entries: pairs }, nothing);
    };
    const keys = items.map(({ keyBytes }) => keyBytes);
    return whole.changing(keys, () => whole.inBulk(what, items, send));
  });
}
