/** Why an entry of a map is gone: told by the mark of its removal, on every replica, however it got there. */
import { describe, expect, it } from 'vitest';
import { murmur3 } from '../../partitions/hash.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { REMOVAL } from '../../partitions/store/record-layout.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { encodeKey } from '../../src/wire/keys.js';
import { Primary, Replica } from './partition-harness.js';

const value = Buffer.from('v');
const TTL_MS = 1_000;

/** The entries `removed`, `deleted` and so on, each gone in the way of its name. */
function gone(): Primary {
  const primary = new Primary(MAP.service);
  const put = (name: string) => primary.run(ops.set, { key: encodeKey(name), value });
  for (const name of ['removed', 'deleted', 'same', 'evicted']) put(name);
  primary.run(ops.remove, { key: encodeKey('removed') });
  primary.run(ops.delete, { key: encodeKey('deleted') });
  primary.run(ops.removeIfSame, { key: encodeKey('same'), expected: value });
  primary.run(ops.evict, { key: encodeKey('evicted') });
  put('cleared');
  primary.run(ops.clear, { cursor: 0, upTo: 0 });
  put('allEvicted');
  primary.run(ops.evictAll, { cursor: 0, upTo: 0 });
  const key = encodeKey('expired');
  const load = { key, client: 9, token: 1, leaseMs: 1_000, staleMs: 0 };
  const { fence } = primary.run(ops.beginLoad, load).reply as { fence: object };
  primary.run(ops.finishLoad, { key, fence, value, ttlMs: TTL_MS, staleMs: 0 });
  primary.wallMs += TTL_MS;
  primary.expireAll();
  return primary;
}

function causes(replica: Replica): Record<string, number | undefined> {
  const { store } = replica.state as MapState;
  const causeOf = (name: string) => {
    const key = encodeKey(name);
    const { tombstone, cause } = store.metaOf(store.find(murmur3(key), key));
    return tombstone ? cause : undefined;
  };
  const names = ['removed', 'deleted', 'same', 'evicted', 'cleared', 'allEvicted', 'expired'];
  return Object.fromEntries(names.map((name) => [name, causeOf(name)]));
}

const EXPECTED = {
  removed: REMOVAL.removed,
  deleted: REMOVAL.removed,
  same: REMOVAL.removed,
  evicted: REMOVAL.evicted,
  cleared: REMOVAL.cleared,
  allEvicted: REMOVAL.evicted,
  expired: REMOVAL.expired,
};

describe('the cause of a removal', () => {
  it('is known at the primary, and at a backup that applied its changes', () => {
    const primary = gone();
    const backup = new Replica(MAP.service);
    for (const entry of primary.log) backup.apply(entry);
    expect(causes(primary)).toEqual(EXPECTED);
    expect(causes(backup)).toEqual(EXPECTED);
  });

  it('travels with copies and repairs', () => {
    const primary = gone();
    const copied = new Replica(MAP.service);
    const out = new Writer();
    for (let cursor = 0; cursor >= 0; ) cursor = primary.state.copy(cursor, 1_000, out);
    copied.paste(out.toBytes());
    expect(causes(copied)).toEqual(EXPECTED);

    const mended = new Replica(MAP.service);
    const hashes = Object.keys(EXPECTED).map((name) => murmur3(encodeKey(name)));
    const records = new Writer();
    for (const hash of hashes) primary.state.digested?.writeHash(hash, records);
    mended.state.digested?.mend(hashes, new Reader(records.toBytes()), primary.seq, true);
    expect(causes(mended)).toEqual(EXPECTED);
  });

  it('ends with the next value', () => {
    const primary = gone();
    primary.run(ops.set, { key: encodeKey('evicted'), value });
    const { store } = primary.state as MapState;
    const key = encodeKey('evicted');
    expect(store.metaOf(store.find(murmur3(key), key))).toMatchObject({ tombstone: false, cause: 0 });
  });
});
