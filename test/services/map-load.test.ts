/** The primary's side of `getOrLoad`: who gets the lease of a key, what ends it, and what of it backups have. */
import { describe, expect, it } from 'vitest';
import { MAX_LEASES, MAX_MARKS } from '../../partitions/services/map/load-leases.js';
import { MAP_OPERATIONS as ops } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import type { MapState } from '../../partitions/services/map/state.js';
import { OverloadError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import type { AnyOperation, ReplyOf, RequestOf } from '../../src/wire/message.js';
import { Primary, Replica } from './partition-harness.js';

const key = encodeKey('k');
const v = (text: string) => Buffer.from(text);
const LEASE_MS = 1_000;
/** A primary lets a lease last a little longer, because clocks drift. */
const LEASE_ENDS_MS = 1_050;

function run<O extends AnyOperation>(primary: Primary, operation: O, request: RequestOf<O>): ReplyOf<O> {
  return primary.run(operation, request).reply as ReplyOf<O>;
}

function begin(primary: Primary, token = 1, staleMs = 0) {
  return run(primary, ops.beginLoad, { key, client: 9, token, leaseMs: LEASE_MS, staleMs });
}

type Begun = ReturnType<typeof begin>;

function finish(primary: Primary, { fence }: Begun, value: Buffer | null, ttlMs = 0, staleMs = 0) {
  return run(primary, ops.finishLoad, { key, fence, value, ttlMs, staleMs }).isCurrent;
}

const get = (primary: Primary) => run(primary, ops.get, { key }).value?.toString() ?? null;

/** A backup that leads now, after its primary crashed. */
function promoted(old: Primary): Primary {
  const next = old.fork({ ...old.actor, memberLo: 7, epoch: old.actor.epoch + 1 });
  // Clocks of two members have nothing to do with each other.
  next.nowMs = 500_000;
  return next;
}

describe('the lease of a key', () => {
  it('goes to one, and to the same token again; others wait', () => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    expect(first).toMatchObject({ outcome: 'load', fence: { lineage: 1, epoch: 1, seq: 1 } });
    expect(begin(primary)).toEqual(first);
    expect(begin(primary, 2)).toMatchObject({ outcome: 'wait', leftMs: LEASE_ENDS_MS });
    expect(run(primary, ops.awaitLoad, { key })).toMatchObject({ outcome: 'wait', leftMs: LEASE_ENDS_MS });
  });

  it('is over when its value was stored', () => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    expect(finish(primary, first, v('x'))).toBe(true);
    expect(begin(primary, 2)).toMatchObject({ outcome: 'value', value: v('x') });
    expect(run(primary, ops.awaitLoad, { key })).toMatchObject({ outcome: 'value', value: v('x') });
    expect(finish(primary, first, v('y'))).toBe(false);
    expect(get(primary)).toBe('x');
  });

  it('goes to the next one when the loader found nothing or failed', () => {
    const primary = new Primary(MAP.service);
    expect(finish(primary, begin(primary), null)).toBe(true);
    expect(run(primary, ops.awaitLoad, { key }).outcome).toBe('free');
    const second = begin(primary, 2);
    expect(second.outcome).toBe('load');
    run(primary, ops.abandonLoad, { key, fence: second.fence });
    expect(begin(primary, 3).outcome).toBe('load');
    expect(get(primary)).toBeNull();
  });

  it('ends by time, and then a late loader is refused', () => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    primary.nowMs += LEASE_ENDS_MS - 1;
    expect(begin(primary, 2).outcome).toBe('wait');
    primary.nowMs += 1;
    const second = begin(primary, 2);
    expect(second.outcome).toBe('load');
    expect(second.fence.seq).toBeGreaterThan(first.fence.seq);
    expect(finish(primary, first, v('late'))).toBe(false);
    run(primary, ops.abandonLoad, { key, fence: first.fence });
    expect(finish(primary, second, v('x'))).toBe(true);
    expect(get(primary)).toBe('x');
  });

  it.each([
    ['set', { key, value: v('put') }, 'put'],
    ['putIfAbsent', { key, value: v('put') }, 'put'],
    ['setAll', { entries: [{ key, value: v('put') }] }, 'put'],
    ['remove', { key }, null],
    ['delete', { key }, null],
    ['evict', { key }, null],
    ['clear', { cursor: 0, upTo: 0 }, null],
    ['evictAll', { cursor: 0, upTo: 0 }, null],
  ] as const)('is ended by %s, whose result stays', (name, request, left) => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    primary.run(ops[name], request);
    expect(finish(primary, first, v('loaded'))).toBe(false);
    expect(get(primary)).toBe(left);
  });

  it('is not ended by what changes nothing of the key', () => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    run(primary, ops.replace, { key, value: v('y') });
    run(primary, ops.removeIfSame, { key, expected: v('y') });
    run(primary, ops.set, { key: encodeKey('other'), value: v('y'), life: null });
    expect(finish(primary, first, v('x'))).toBe(true);
  });

  it('survives the crash of the primary, for a whole time from when somebody asks, with larger fences', () => {
    const old = new Primary(MAP.service);
    const first = begin(old);
    const next = promoted(old);
    expect(begin(next, 2)).toMatchObject({ outcome: 'wait', leftMs: LEASE_ENDS_MS });
    expect(begin(next)).toMatchObject({ outcome: 'load', fence: first.fence });
    next.nowMs += LEASE_ENDS_MS;
    const second = begin(next, 2);
    expect(second.fence).toMatchObject({ epoch: 2 });
    expect(finish(next, first, v('late'))).toBe(false);
    expect(finish(next, second, v('x'))).toBe(true);
  });

  it('that was given to a primary whose last changes are void is not mistaken for one of the same position', () => {
    const shared = new Primary(MAP.service);
    const lost = shared.fork(shared.actor);
    const first = begin(lost);
    const next = promoted(shared);
    const second = begin(next, 2);
    expect(second.fence.seq).toBe(first.fence.seq);
    expect(finish(next, first, v('void'))).toBe(false);
    expect(finish(next, second, v('x'))).toBe(true);
  });

  it('stays with the side that another one is merged into', () => {
    const shared = new Primary(MAP.service);
    const source = shared.fork({ ...shared.actor, memberLo: 7, lineage: 2 });
    const [ours, theirs] = [begin(shared), begin(source)];
    for (const page of source.changes({ sharedSeq: 0, skipped: new Map() }))
      shared.merge(page, { sharedSeq: 0 });
    expect(finish(shared, theirs, v('of the fork'))).toBe(false);
    expect(finish(shared, ours, v('x'))).toBe(true);
  });

  it('is given back by a mark that an older copy does not undo', () => {
    const primary = new Primary(MAP.service);
    const first = begin(primary);
    const { chunk } = primary.copy(0, 10_000);
    run(primary, ops.abandonLoad, { key, fence: first.fence });
    const replica = new Replica(MAP.service);
    for (const entry of primary.log) replica.apply(entry);
    replica.paste(chunk);
    expect(replica.state.dump()).toEqual(primary.state.dump());
  });

  it('leaves nothing behind after housekeeping, also that of a loader that died', () => {
    const primary = new Primary(MAP.service);
    run(primary, ops.abandonLoad, { key, fence: begin(primary).fence });
    run(primary, ops.beginLoad, { key: encodeKey('dead'), client: 9, token: 5, leaseMs: 10, staleMs: 0 });
    primary.purgeAll();
    expect(primary.state.dump()).toHaveLength(1);
    primary.nowMs += 11;
    primary.purgeAll();
    expect(primary.state.dump()).toEqual([]);
    expect(primary.state.sizeBytes).toBe(0);
    const backup = new Replica(MAP.service);
    for (const entry of primary.log) backup.apply(entry);
    expect([backup.state.dump(), backup.state.sizeBytes]).toEqual([[], 0]);
  });

  it('is bounded in number: one more key is refused, to be tried again', () => {
    const primary = new Primary(MAP.service);
    const ask = (n: number) =>
      run(primary, ops.beginLoad, { key: encodeKey(n), client: 9, token: n, leaseMs: LEASE_MS, staleMs: 0 });
    for (let n = 0; n < MAX_LEASES; n++) ask(n);
    expect(() => ask(MAX_LEASES)).toThrow(OverloadError);
    expect(primary.seq).toBe(MAX_LEASES);
  });

  it('bounds the marks of those that were given back apart, and drops them at every step of housekeeping', () => {
    const primary = new Primary(MAP.service);
    for (let i = 0; i < 2_500; i++)
      run(primary, ops.set, { key: encodeKey(`there ${i}`), value: v('x'), life: null });
    const loadNothing = (n: number) => {
      const request = { key: encodeKey(n), client: 9, token: n, leaseMs: LEASE_MS, staleMs: 0 };
      const { fence } = run(primary, ops.beginLoad, request);
      run(primary, ops.finishLoad, { key: request.key, fence, value: null, ttlMs: 0, staleMs: 0 });
    };
    const { loads } = primary.state as MapState;
    for (let n = 0; n < MAX_MARKS; n++) loadNothing(n);
    expect([loads.activeCount, loads.markCount]).toEqual([0, MAX_MARKS]);
    expect(() => loadNothing(MAX_MARKS)).toThrow(OverloadError);
    const middle = primary.purge(0, { seq: primary.seq, ms: 0 });
    const left = loads.markCount;
    expect(left).toBeLessThan(MAX_MARKS);
    expect(primary.purge(middle, { seq: primary.seq, ms: 0 })).toBeGreaterThan(middle);
    expect(loads.markCount).toBeLessThan(left);
    loadNothing(MAX_MARKS);
    for (let i = 0; i < 3; i++) primary.purgeAll({ seq: primary.seq, ms: 0 });
    expect(loads.count).toBe(0);
  });

  it('of many keys is ended by a clear, in steps', () => {
    const primary = new Primary(MAP.service);
    const fences = Array.from({ length: 1_200 }, (_, n) => {
      const request = { key: encodeKey(n), client: 9, token: n, leaseMs: LEASE_MS, staleMs: 0 };
      return run(primary, ops.beginLoad, request).fence;
    });
    for (let cursor = 0, upTo = 0; cursor >= 0; ) {
      const page = run(primary, ops.clear, { cursor, upTo });
      cursor = page.next;
      upTo = page.upTo;
    }
    const stored = fences.map((fence, n) =>
      run(primary, ops.finishLoad, { key: encodeKey(n), fence, value: v('x'), ttlMs: 0, staleMs: 0 }),
    );
    expect(stored.filter(({ isCurrent }) => isCurrent)).toEqual([]);
  });
});

describe('a loaded value with a ttl', () => {
  function loaded(ttlMs: number, staleMs = 0): Primary {
    const primary = new Primary(MAP.service);
    expect(finish(primary, begin(primary), v('old'), ttlMs, staleMs)).toBe(true);
    return primary;
  }

  it('is not shown any more when its time is over, by any read', () => {
    const primary = loaded(1_000);
    const expirationTime = run(primary, ops.getEntryView, { key }).entry?.expiresMs ?? 0;
    primary.wallMs = expirationTime - 1;
    expect(get(primary)).toBe('old');
    primary.wallMs = expirationTime;
    const scan = run(primary, ops.scan, { cursor: 0, what: 'entries', maxBytes: 1_000 });
    expect(get(primary)).toBeNull();
    expect(scan.keys).toEqual([]);
    expect(run(primary, ops.containsKey, { key }).found).toBe(false);
    expect(run(primary, ops.containsValue, { value: v('old'), cursor: 0 }).found).toBe(false);
    expect(run(primary, ops.getAll, { keys: [key] }).values).toEqual([null]);
    expect(run(primary, ops.getEntryView, { key }).entry).toBeNull();
    expect(run(primary, ops.replace, { key, value: v('y') }).value).toBeNull();
    expect(run(primary, ops.putIfAbsent, { key, value: v('new'), life: null }).value).toBeNull();
    expect(get(primary)).toBe('new');
    primary.wallMs += 1_000_000;
    expect(get(primary)).toBe('new');
  });

  it('is removed by housekeeping, on backups too, and not before', () => {
    const primary = loaded(1_000, 500);
    const [old] = primary.state.dump();
    primary.wallMs += 1_400;
    primary.purgeAll({ seq: 0, ms: 0 });
    expect(primary.state.dump()).toEqual([old]);
    primary.wallMs += 200;
    primary.expireAll();
    expect(primary.state.entryCount).toBe(0);
    const backup = new Replica(MAP.service);
    for (const entry of primary.log) backup.apply(entry);
    expect(backup.state.dump()).toEqual(primary.state.dump());
    primary.purgeAll();
    expect(primary.state.dump()).toEqual([]);
  });

  it('is given, when it is stale, to those who take it while another one loads', () => {
    const primary = loaded(1_000, 500);
    primary.wallMs += 1_100;
    expect(begin(primary, 2, 500).outcome).toBe('load');
    expect(begin(primary, 3, 500)).toMatchObject({ outcome: 'stale', value: v('old') });
    expect(begin(primary, 4, 50).outcome).toBe('wait');
    expect(begin(primary, 5).outcome).toBe('wait');
    primary.wallMs += 500;
    expect(begin(primary, 6, 500).outcome).toBe('wait');
  });

  it('is not removed while somebody loads the key: that would end the lease', () => {
    const primary = loaded(1_000);
    primary.wallMs += 1_100;
    const second = begin(primary, 2);
    primary.purgeAll({ seq: 0, ms: 0 });
    expect(finish(primary, second, v('new'))).toBe(true);
    expect(get(primary)).toBe('new');
  });

  it('stays hidden once a load was granted, although the clock of a new primary is behind', () => {
    const primary = loaded(1_000);
    primary.wallMs += 1_100;
    const second = begin(primary, 2);
    const next = promoted(primary);
    next.wallMs -= 1_000;
    expect(get(next)).toBeNull();
    run(next, ops.abandonLoad, { key, fence: second.fence });
    expect(get(next)).toBeNull();
  });
});
