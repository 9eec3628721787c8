/** A replica's structures, its place in the stream, and what it keeps when another lineage begins. */
import { describe, expect, it } from 'vitest';
import { isPrefix } from '../../partitions/history.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader } from '../../src/base/bytes.js';
import { encodeKey } from '../../src/wire/keys.js';
import { Primary } from '../services/partition-harness.js';

const LINEAGE = 7;

function replica(): PartitionReplica {
  return new PartitionReplica(0, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
}

describe('a replica', () => {
  it('makes a structure when it is first written, and reads one that is not there without a trace', () => {
    const one = replica();
    const { service } = MAP;
    expect(one.find(service.id, 'x')).toBeUndefined();
    expect(one.emptyState(service, 'x').entryCount).toBe(0);
    expect(one.structures()).toEqual([]);
    expect(one.state(service, 'x')).toBe(one.state(service, 'x'));
    expect(one.find(service.id, 'x')).toBe(one.state(service, 'x'));
  });

  it('forgets a structure of which nothing is left, and no other', () => {
    const one = replica();
    const { service } = MAP;
    const primary = new Primary(service);
    for (const name of ['a', 'b']) {
      primary.run(MAP_OPERATIONS.set, { key: encodeKey(name), value: Buffer.from('1') });
      one
        .state(service, name)
        .apply(new Reader((primary.log.at(-1) as { delta: Buffer }).delta), primary.seq);
    }
    primary.run(MAP_OPERATIONS.delete, { key: encodeKey('a') });
    one.state(service, 'a').apply(new Reader((primary.log.at(-1) as { delta: Buffer }).delta), primary.seq);
    expect(one.detachEmpty(service.id, 'a')).toBe(false);
    primary.purgeAll();
    one.state(service, 'a').apply(new Reader((primary.log.at(-1) as { delta: Buffer }).delta), primary.seq);
    expect(['a', 'b', 'c'].map((name) => one.detachEmpty(service.id, name))).toEqual([true, false, false]);
    expect(one.structures().map(({ name }) => name)).toEqual(['b']);
  });

  it('lists its structures in one order, whatever came first', () => {
    const one = replica();
    for (const name of ['b', 'c', 'a']) one.state(MAP.service, name);
    expect(one.structures().map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('remembers a bounded number of epochs, and what is older has to be copied', () => {
    const one = replica();
    for (let epoch = 1; epoch <= 100; epoch++) {
      one.enter(LINEAGE, epoch, epoch * 10);
      one.seq = epoch * 10 + 5;
    }
    expect(one.history.length).toBeLessThanOrEqual(64);
    expect(one.epoch).toBe(100);
    const place = (epoch: number) => {
      const history = one.history.filter((entry) => entry.epoch <= epoch);
      return {
        seq: epoch * 10 + 5,
        history: history.length > 0 ? history : [{ lineage: LINEAGE, epoch, start: epoch * 10 }],
      };
    };
    expect(isPrefix(place(2), one)).toBe(false);
    expect(isPrefix(place(99), one)).toBe(true);
  });

  it('forgets everything on reset', () => {
    const one = replica();
    one.state(MAP.service, 'x');
    one.sessions.open(7, 0);
    one.seq = 5;
    one.enter(LINEAGE, 3, 5);
    one.complete = false;
    one.tail.set(5, Buffer.alloc(1));
    one.answered.set(LINEAGE, { epoch: 3, upTo: [5] });
    one.log.append({ epoch: 3, seq: 6, body: Buffer.alloc(10) });
    one.reset();
    expect([one.structures(), one.sessions.size, one.seq, one.epoch, one.history, one.log.length]).toEqual([
      [],
      0,
      0,
      0,
      [],
      0,
    ]);
    expect([one.complete, one.tail.size, one.answered.size]).toEqual([true, 0, 0]);
  });

  it('keeps the end of its log apart when another lineage begins, and only then', () => {
    const one = replica();
    one.enter(LINEAGE, 1, 0);
    for (let seq = 1; seq <= 4; seq++) one.log.append({ epoch: 1, seq, body: Buffer.from([seq]) });
    one.seq = 4;
    one.enter(LINEAGE, 2, 4);
    expect(one.tail.size).toBe(0);
    one.enter(LINEAGE + 1, 3, 4);
    expect([...one.tail.keys()].sort()).toEqual([1, 2, 3, 4]);
    expect(one.tail.get(3)).toEqual(Buffer.from([3]));
    one.log.append({ epoch: 3, seq: 5, body: Buffer.from([5]) });
    one.seq = 5;
    one.enter(LINEAGE + 1, 4, 5);
    expect(one.tail.has(5)).toBe(false);
    // What came from the fork is kept when that ends, and nothing of before.
    one.enter(LINEAGE, 5, 5);
    expect(one.tail.has(5)).toBe(true);
  });
});
