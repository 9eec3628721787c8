/** Locks of keys in one partition: who may write, what copies and merges make of them, and what bounds them. */
import { describe, expect, it } from 'vitest';
import type { Service } from '../../partitions/service.js';
import type { KeyLocks } from '../../partitions/services/key-locks.js';
import { MAX_LOCKS } from '../../partitions/services/key-locks.js';
import { MAP_OPERATIONS as map } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { MULTI_MAP_OPERATIONS as multi } from '../../partitions/services/multimap/ops.js';
import { MULTI_MAP } from '../../partitions/services/multimap/proxy.js';
import { Reader, Writer } from '../../src/base/bytes.js';
import { KeyLockedError, LockLostError, NotLockOwnerError, OverloadError } from '../../src/base/errors.js';
import { encodeKey } from '../../src/wire/keys.js';
import { Primary, Replica } from './partition-harness.js';

const STRUCTURES = [
  ['map', MAP.service, map],
  ['multimap', MULTI_MAP.service, multi],
] as const;

const k = (n: number | string) => encodeKey(`key-${n}`);
const value = Buffer.from('v');

interface Fence {
  readonly epoch: number;
  readonly seq: number;
}

class Locked extends Primary {
  readonly ops: typeof map | typeof multi;

  constructor([, service, ops]: readonly [string, Service, typeof map | typeof multi]) {
    super(service);
    this.ops = ops;
  }

  get locks(): KeyLocks {
    return (this.state as unknown as { readonly locks: KeyLocks }).locks;
  }

  as(client: number, lockOwner = ''): this {
    this.client = client;
    this.lockOwner = lockOwner;
    return this;
  }

  lock(key: Uint8Array, leaseMs = 0, token = 1): Fence | null {
    const { reply } = this.run(this.ops.lock, { key, token, waitMs: 0, leaseMs });
    return (reply as { fence: Fence | null }).fence;
  }

  unlock(key: Uint8Array, fence: Fence | null = null): void {
    this.run(this.ops.unlock, { key, token: 0, fence });
  }

  isLocked(key: Uint8Array): boolean {
    return (this.run(this.ops.isLocked, { key }).reply as { locked: boolean }).locked;
  }

  put(key: Uint8Array): void {
    this.run(this.ops.put, { key, value });
  }
}

const isAfter = (a: Fence | null, b: Fence | null) =>
  a !== null && b !== null && (a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq));

describe.each(STRUCTURES)('the lock of a key of a %s', (...structure) => {
  const start = () => new Locked(structure);

  it('is held by one acquisition, and by an owner as often as it takes it', () => {
    const primary = start();
    const first = primary.as(7).lock(k(1));
    expect(first).not.toBeNull();
    expect([primary.lock(k(1)), primary.as(8).lock(k(1)), primary.as(7, 'a').lock(k(1))]).toEqual([
      null,
      null,
      null,
    ]);
    expect(isAfter(primary.as(8).lock(k(2)), first)).toBe(true);
    primary.as(7).unlock(k(1));
    const owned = primary.as(7, 'a').lock(k(1));
    expect(isAfter(owned, first)).toBe(true);
    expect(primary.lock(k(1))).toEqual(owned);
    primary.unlock(k(1));
    expect(primary.isLocked(k(1))).toBe(true);
    primary.unlock(k(1));
    expect(primary.isLocked(k(1))).toBe(false);
  });

  it('lets only its holder write, and says who has it', () => {
    const primary = start();
    primary.as(7, 'a').lock(k(1));
    primary.put(k(1));
    for (const caller of [primary.as(7), primary.as(7, 'b'), primary.as(8, 'a')])
      expect(() => caller.put(k(1))).toThrow(KeyLockedError);
    expect(() => primary.as(8).put(k(1))).toThrow(
      `the key "key-1" is locked by another client or member (session 00000000000007), with the lockOwner 'a'`,
    );
    expect(() => primary.as(7).unlock(k(1))).toThrow(NotLockOwnerError);
    expect(() => primary.as(7).unlock(k(2))).toThrow(/not locked/);
    primary.as(8).put(k(2));
    primary.run(primary.ops.clear, { cursor: 0, upTo: 0 });
    expect(primary.state.entryCount).toBe(1);
    primary.as(7, 'a').run(primary.ops.clear, { cursor: 0, upTo: 0 });
    expect(primary.state.entryCount).toBe(0);
  });

  it('is not unlocked by a flow that means an earlier one', () => {
    const primary = start();
    const first = primary.as(7).lock(k(1), 100);
    primary.run(primary.ops.forceUnlock, { key: k(1) });
    const second = primary.lock(k(1));
    expect(() => primary.unlock(k(1), first)).toThrow(LockLostError);
    primary.unlock(k(1), second);
    expect(primary.isLocked(k(1))).toBe(false);
  });

  it('goes along in copies, with the marks of those that were unlocked', () => {
    const primary = start();
    for (let i = 0; i < 20; i++) primary.as(7).lock(k(i));
    const replica = new Replica(structure[1]);
    const chunks: Buffer[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const { chunk, next } = primary.copy(cursor, 64);
      chunks.push(chunk);
      cursor = next;
      // Unlocked beside the copy: what comes late must not bring it back.
      if (chunks.length === 3) primary.unlock(k(2));
    }
    for (const entry of primary.log.slice(20)) replica.apply(entry);
    for (const chunk of chunks.reverse()) replica.paste(chunk);
    expect(replica.state.dump()).toEqual(primary.state.dump());
    primary.purgeAll();
    replica.apply(primary.log.at(-1) as (typeof primary.log)[number]);
    expect(replica.state.dump()).toEqual(primary.state.dump());
    expect(primary.state.dump().some((line) => line.includes('tombstone'))).toBe(false);
  });

  it('stays with the side that goes on after a split, whose fences go on above both', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const sharedSeq = primary.seq;
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 });
    const ours = primary.as(7).lock(k(2)) as Fence;
    side.client = 9;
    const theirs = (
      side.run(primary.ops.lock, { key: k(3), token: 1, waitMs: 0, leaseMs: 0 }).reply as { fence: Fence }
    ).fence;
    expect(isAfter(theirs, ours)).toBe(true);
    const pages = side.changes({ sharedSeq, skipped: new Map() });
    for (let times = 0; times < 2; times++) for (const page of pages) primary.merge(page, { sharedSeq });
    expect([1, 2, 3].map((n) => primary.isLocked(k(n)))).toEqual([true, true, false]);
    const next = primary.as(8).lock(k(3));
    expect(isAfter(next, theirs)).toBe(true);
    primary.actor = { ...primary.actor, epoch: primary.actor.epoch + 1 };
    expect(isAfter(primary.as(8).lock(k(4)), next)).toBe(true);
    const replica = new Replica(structure[1]);
    for (const entry of primary.log) replica.apply(entry);
    expect(replica.state.dump()).toEqual(primary.state.dump());
    expect(replica.state.sizeBytes).toBe(primary.state.sizeBytes);
  });

  it('that its holder unlocked on the other side of a split is unlocked, and one that was taken from it is not', () => {
    const primary = start();
    for (const n of [1, 2, 3, 4]) primary.as(7).lock(k(n));
    const sharedSeq = primary.seq;
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    const on = (operation: typeof map.unlock | typeof map.lock | typeof map.isLocked, request: object) => {
      side.client = 7;
      return side.run(operation, request);
    };
    const { ops } = primary;
    on(ops.unlock, { key: k(1), token: 0, fence: null });
    // Unlocked, and had by somebody else there.
    on(ops.unlock, { key: k(2), token: 0, fence: null });
    on(ops.lock, { key: k(2), token: 9, waitMs: 0, leaseMs: 0 });
    const locksThere = (side.state as unknown as { locks: KeyLocks }).locks;
    const over = [...locksThere.over(side.nowMs, () => true)].filter(
      ([key]) => Buffer.compare(key, k(3)) === 0,
    );
    expect(over).toHaveLength(1);
    side.own((context) => locksThere.end(new Map(over), context));
    primary.as(7).unlock(k(4));
    const again = primary.as(8).lock(k(4));
    for (const page of side.changes({ sharedSeq, skipped: new Map() })) primary.merge(page, { sharedSeq });
    expect([1, 2, 3, 4].map((n) => primary.isLocked(k(n)))).toEqual([false, false, true, true]);
    expect(again).not.toBeNull();
    const replica = new Replica(structure[1]);
    for (const entry of primary.log) replica.apply(entry);
    expect(replica.state.dump()).toEqual(primary.state.dump());
  });

  it('has larger fences than on all sides that were merged, also through others and into lower views', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const sharedSeq = primary.seq;
    const first = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    const second = primary.fork({ memberHi: 6, memberLo: 6, lineage: 3, epoch: 60 }) as Locked;
    first.client = 8;
    const asked = { key: k(2), token: 1, waitMs: 0, leaseMs: 0 };
    const { fence: theirs } = first.run(primary.ops.lock, asked).reply as unknown as { fence: Fence };
    const none = { sharedSeq, skipped: new Map() };
    // The second one has given none, and has to tell of those that it heard of.
    for (const page of first.changes(none)) second.merge(page, { sharedSeq });
    for (const page of second.changes(none)) primary.merge(page, { sharedSeq });
    const length = primary.log.length;
    for (const page of second.changes(none)) primary.merge(page, { sharedSeq });
    expect(primary.log).toHaveLength(length);
    const next = primary.as(8).lock(k(2));
    expect(isAfter(next, theirs)).toBe(true);
    // A lineage that takes the contents over may count its views from below.
    primary.actor = { ...primary.actor, lineage: 9, epoch: 2 };
    primary.unlock(k(2));
    expect(isAfter(primary.as(8).lock(k(2)), next)).toBe(true);
    const replica = new Replica(structure[1]);
    for (const entry of primary.log) replica.apply(entry);
    expect(replica.state.dump()).toEqual(primary.state.dump());
  });

  it('that its holder unlocked on the other side is unlocked, whatever became of those that came after it there', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const sharedSeq = primary.seq;
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    const request = { key: k(1), token: 0, fence: null };
    side.client = 7;
    side.run(primary.ops.unlock, request);
    for (const client of [8, 9]) {
      side.client = client;
      side.run(primary.ops.lock, { key: k(1), token: 1, waitMs: 0, leaseMs: 0 });
      const { locks } = side.state as unknown as { locks: KeyLocks };
      // The session of the first one ends, the second one unlocks.
      if (client === 8)
        side.own((context) =>
          locks.end(
            locks.over(side.nowMs, (gone) => gone === 8),
            context,
          ),
        );
      else side.run(primary.ops.unlock, request);
    }
    for (const page of side.changes({ sharedSeq, skipped: new Map() })) primary.merge(page, { sharedSeq });
    expect(primary.isLocked(k(1))).toBe(false);
  });

  it('is not unlocked by what became of others on the other side, whose fences do not compare with those of this one', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const sharedSeq = primary.seq;
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    // Unlocked on both sides, and had by others on both: there with a larger fence.
    for (const there of [side, primary]) there.client = 7;
    side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    primary.unlock(k(1));
    const ours = primary.as(8).lock(k(1)) as Fence;
    side.client = 9;
    const theirs = (
      side.run(primary.ops.lock, { key: k(1), token: 1, waitMs: 0, leaseMs: 0 }).reply as { fence: Fence }
    ).fence;
    expect(isAfter(theirs, ours)).toBe(true);
    side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    for (const page of side.changes({ sharedSeq, skipped: new Map() })) primary.merge(page, { sharedSeq });
    expect(primary.isLocked(k(1))).toBe(true);
    primary.as(8).unlock(k(1), ours);
    expect(primary.isLocked(k(1))).toBe(false);
  });

  it('that its holder unlocked on the other side is unlocked, whatever was taken from others there', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const sharedSeq = primary.seq;
    // The primary has changed things on its own before the side had a lineage.
    const side = primary.fork(primary.actor) as Locked;
    const { locks } = side.state as unknown as { locks: KeyLocks };
    const lock = (client: number) => {
      side.client = client;
      side.run(primary.ops.lock, { key: k(1), token: 1, waitMs: 0, leaseMs: 0 });
    };
    const unlock = (client: number) => {
      side.client = client;
      side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    };
    const loses = (client: number) =>
      side.own((context) => {
        const over = locks.over(side.nowMs, (gone) => gone === client);
        locks.end(over, context);
      });
    unlock(7);
    lock(8);
    loses(8);
    side.actor = { memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 };
    for (let times = 0; times < 20; times++) {
      lock(9);
      unlock(9);
    }
    lock(8);
    loses(8);
    const pages = side.changes({ sharedSeq, skipped: new Map() });
    // One side of three, from which the lock was taken, has to tell of it too.
    const third = primary.fork({ memberHi: 6, memberLo: 6, lineage: 3, epoch: 30 }) as Locked;
    const thirdLocks = (third.state as unknown as { locks: KeyLocks }).locks;
    third.own((context) =>
      thirdLocks.end(
        thirdLocks.over(third.nowMs, () => true),
        context,
      ),
    );
    const other = primary.fork({ memberHi: 7, memberLo: 7, lineage: 4, epoch: 30 }) as Locked;
    for (const page of pages) primary.merge(page, { sharedSeq });
    expect(primary.isLocked(k(1))).toBe(false);
    for (const page of pages) third.merge(page, { sharedSeq });
    const length = third.log.length;
    for (const page of pages) third.merge(page, { sharedSeq });
    expect(third.log).toHaveLength(length);
    const isLocked = () =>
      (other.run(primary.ops.isLocked, { key: k(1) }).reply as { locked: boolean }).locked;
    expect(isLocked()).toBe(true);
    for (const page of third.changes({ sharedSeq, skipped: new Map() })) other.merge(page, { sharedSeq });
    expect(isLocked()).toBe(false);
    for (const one of [primary, third, other]) {
      const replica = new Replica(structure[1]);
      for (const entry of one.log) replica.apply(entry);
      expect(replica.state.dump()).toEqual(one.state.dump());
    }
  });

  it('that its holder unlocked is unlocked also when a lineage that was founded meanwhile tells of it', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const none = { sharedSeq: 0, skipped: new Map() };
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    side.client = 7;
    side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    const founded = start();
    founded.actor = { memberHi: 6, memberLo: 6, lineage: 3, epoch: 1 };
    for (const page of side.changes(none)) founded.merge(page, none);
    for (const page of founded.changes(none)) primary.merge(page, none);
    expect(primary.isLocked(k(1))).toBe(false);
    for (const one of [founded, primary]) {
      const replica = new Replica(structure[1]);
      for (const entry of one.log) replica.apply(entry);
      expect(replica.state.dump()).toEqual(one.state.dump());
    }
  });

  it('is told apart from one of the other side with an equal fence', () => {
    const primary = start();
    primary.as(8).put(k(1));
    const sharedSeq = primary.seq;
    const side = primary.fork({ ...primary.actor, lineage: 2 }) as Locked;
    const ours = primary.as(7).lock(k(1));
    side.client = 9;
    const asked = { key: k(1), token: 1, waitMs: 0, leaseMs: 0 };
    expect((side.run(primary.ops.lock, asked).reply as { fence: Fence }).fence).toEqual(ours);
    side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    for (const page of side.changes({ sharedSeq, skipped: new Map() })) primary.merge(page, { sharedSeq });
    expect(primary.isLocked(k(1))).toBe(true);
  });

  it('that its owner has taken once more meanwhile stays, although it was unlocked on the other side', () => {
    const primary = start();
    primary.as(7, 'a').lock(k(1));
    const sharedSeq = primary.seq;
    const side = primary.fork({ memberHi: 5, memberLo: 5, lineage: 2, epoch: 40 }) as Locked;
    side.client = 7;
    side.lockOwner = 'a';
    side.run(primary.ops.unlock, { key: k(1), token: 0, fence: null });
    primary.lock(k(1));
    for (const page of side.changes({ sharedSeq, skipped: new Map() })) primary.merge(page, { sharedSeq });
    expect(primary.isLocked(k(1))).toBe(true);
  });

  it('is not refused for certain where another side may have given it', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    const asked = { key: k(1), token: 2, waitMs: 0, leaseMs: 0 };
    const refused = () => primary.as(8).run(primary.ops.lock, asked).reply;
    expect(refused()).toMatchObject({ fence: null, mayBeElsewhere: false });
    primary.mayBeElsewhere = true;
    expect(refused()).toMatchObject({ fence: null, mayBeElsewhere: true });
  });

  it('is not said to be given where a merge brings the call, but not the lock', () => {
    const primary = start();
    const told = (operation: typeof map.lock | typeof map.unlock | typeof map.put, request: object) => {
      const { reply } = primary.as(7, 'a').run(operation, request);
      const out = new Writer();
      operation.reply.write(out, reply as never);
      const delta = primary.log.at(-1)?.delta as Buffer;
      const there = structure[1].replyElsewhere?.(delta, out.toBytes()) ?? null;
      return there === null ? reply : operation.reply.read(new Reader(there));
    };
    const { ops } = primary;
    const lock = { key: k(1), token: 1, waitMs: 0, leaseMs: 0 };
    const refused = { fence: null, mayBeElsewhere: true };
    for (let times = 0; times < 2; times++) expect(told(ops.lock, lock)).toMatchObject(refused);
    for (let times = 0; times < 2; times++)
      expect(told(ops.unlock, { key: k(1), token: 0, fence: null })).toEqual({});
    expect(told(ops.put as typeof map.put, { key: k(1), value })).not.toMatchObject(refused);
  });

  it('leaves nothing behind when it is unlocked, and no fork can know of it', () => {
    const primary = start();
    primary.as(7).lock(k(1));
    primary.unlock(k(1));
    expect(primary.state.sizeBytes).toBeGreaterThan(0);
    primary.purgeAll({ seq: primary.seq, ms: primary.wallMs - 1_000_000 });
    expect(primary.state.sizeBytes).toBeGreaterThan(0);
    primary.purgeAll();
    expect(primary.state.sizeBytes).toBe(0);
  });

  it('is refused beyond a bound, and given again below it', () => {
    const primary = start();
    for (let i = 0; i < MAX_LOCKS; i++) primary.as(7).lock(k(i));
    expect(() => primary.lock(k('more'))).toThrow(OverloadError);
    primary.unlock(k(0));
    expect(primary.lock(k('more'))).not.toBeNull();
  });

  it('ends with its lease on the clock of the primary, and with its session', () => {
    const primary = start();
    const { locks } = primary;
    primary.as(7).lock(k(1), 1_000);
    primary.as(8).lock(k(2));
    const overAt = (ms: number, gone = 0) => {
      const over = locks.over(primary.nowMs + ms, (client) => client === gone);
      return [...over.keys()].map((key) => Buffer.from(key).toString('hex'));
    };
    const hex = (n: number) => Buffer.from(k(n)).toString('hex');
    expect(overAt(999)).toEqual([]);
    expect(overAt(1_100)).toEqual([hex(1)]);
    expect(overAt(0, 8)).toEqual([hex(2)]);
    expect(locks.nextEndMs(primary.nowMs)).toBe(1_000);
  });
});

describe('an entry of a locked key', () => {
  it('does not expire until it is unlocked, if it had not before', () => {
    const primary = new Locked(STRUCTURES[0]);
    const load = (key: Uint8Array, ttlMs: number) => {
      const begun = primary.run(map.beginLoad, { key, client: 7, token: 1, leaseMs: 9_999, staleMs: 0 });
      const { fence } = begun.reply as { fence: object };
      primary.run(map.finishLoad, { key, fence, value, ttlMs, staleMs: 0 });
    };
    const isThere = (key: Uint8Array) =>
      (primary.run(map.containsKey, { key }).reply as { found: boolean }).found;
    load(k(1), 100);
    load(k(2), 5_000);
    primary.wallMs += 1_000;
    for (const n of [1, 2]) primary.as(7).lock(k(n));
    primary.wallMs += 10_000;
    expect([isThere(k(1)), isThere(k(2))]).toEqual([false, true]);
    primary.purgeAll();
    expect(isThere(k(2))).toBe(true);
    primary.unlock(k(2));
    expect(isThere(k(2))).toBe(false);
  });
});
