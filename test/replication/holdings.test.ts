/** Replicas that a member holds: kept for the chain beside a fork, given up, and merged before they are dropped. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { PartitionReplica } from '../../partitions/replica.js';
import { Slab } from '../../partitions/store/slab.js';
import { BackupSide } from '../../replication/backup.js';
import { Holdings } from '../../replication/holdings.js';
import { newCounters, type ReplicationHost } from '../../replication/host.js';
import type { TableEntry } from '../../src/cluster/view.js';

const CHAIN = 1;
const FORK = 2;
const P = 4;

let leftOver: PartitionReplica[] = [];
/** Merged while they are kept for the chain. */
let merging: PartitionReplica[] = [];
let holdings: Holdings;
beforeEach(() => {
  leftOver = [];
  merging = [];
  holdings = new Holdings(new Slab(), {
    add: (replica, isKept) => (isKept ? merging : leftOver).push(replica),
    withdraw: (replica) => merging.splice(merging.indexOf(replica), 1),
    take: (partition) =>
      leftOver.splice(leftOver.findIndex(({ id }) => id === partition) >>> 0, 1)[0] ?? null,
  });
});

/** The live replica of the partition with contents up to `seq`. */
function filled(seq: number, lineage = CHAIN): PartitionReplica {
  const replica = holdings.get(P);
  replica.enter(lineage, 3, 0);
  replica.seq = seq;
  return replica;
}

describe('a replica that is given up', () => {
  it.each([
    ['holds what others may not', true, 5, true, 1],
    ['holds what others have', false, 5, true, 0],
    ['is empty', true, 0, true, 0],
    ['is half of a copy', true, 5, false, 0],
  ] as const)('and %s', (_name, mayHoldMore, seq, complete, expected) => {
    const replica = filled(seq);
    replica.complete = complete;
    holdings.release(P, mayHoldMore);
    expect(leftOver).toHaveLength(expected);
    expect(holdings.find(P)).toBeUndefined();
    expect(replica.seq).toBe(expected === 1 ? seq : 0);
    expect(holdings.get(P)).not.toBe(replica);
  });

  it('was never there: nothing happens', () => {
    holdings.release(P, true);
    holdings.freeze(P);
    expect([leftOver, holdings.frozenCount]).toEqual([[], 0]);
  });
});

describe('a replica that is kept for the chain', () => {
  it('is not live, and live again with all its contents when the chain counts on it', () => {
    const kept = filled(5);
    holdings.freeze(P);
    expect([holdings.find(P), holdings.frozenCount]).toEqual([undefined, 1]);
    // The fork needs what was acknowledged in it, whether or not the chain ever returns.
    expect(merging).toEqual([kept]);
    holdings.thaw((partition) => partition === P);
    expect([holdings.find(P), holdings.frozenCount, kept.seq]).toEqual([kept, 0, 5]);
    expect([leftOver, merging]).toEqual([[], []]);
  });

  it('takes the place of what the fork had, which is left over', () => {
    const kept = filled(5);
    holdings.freeze(P);
    const ofFork = filled(8, FORK);
    expect(ofFork).not.toBe(kept);
    holdings.thaw(() => true);
    expect(holdings.find(P)).toBe(kept);
    expect(leftOver).toEqual([ofFork]);
    expect(ofFork.seq).toBe(8);
  });

  it('is left over when the chain does not count on it; what is live stays so', () => {
    const kept = filled(5);
    holdings.freeze(P);
    const live = filled(9);
    holdings.thaw(() => false);
    expect([holdings.find(P), leftOver, holdings.frozenCount]).toEqual([live, [kept], 0]);
  });

  it('is the first one: what comes and goes in forks after it is left over', () => {
    const kept = filled(5);
    holdings.freeze(P);
    const second = filled(7, FORK);
    holdings.freeze(P);
    expect([leftOver, holdings.frozenCount]).toEqual([[second], 1]);
    holdings.thaw(() => true);
    expect(holdings.find(P)).toBe(kept);
  });

  it('has to be whole', () => {
    filled(5).complete = false;
    holdings.freeze(P);
    expect(holdings.frozenCount).toBe(0);
  });

  it('follows no stream of the former lineage any more, nor does a live one', () => {
    const kept = filled(5);
    holdings.freeze(P);
    const live = filled(6);
    holdings.unfollow();
    expect([kept.epoch, live.epoch, kept.seq, live.seq]).toEqual([0, 0, 5, 6]);
  });
});

describe('a copy that another lineage meets', () => {
  it('is kept when all of it has arrived, although no view calls it synced yet, and else given up', () => {
    const replica = filled(5);
    replica.complete = false;
    holdings.unfollow();
    expect([holdings.find(P), replica.epoch, replica.seq]).toEqual([replica, 0, 5]);
    replica.isWhole = false;
    holdings.unfollow();
    expect([holdings.find(P), leftOver]).toEqual([undefined, []]);
  });
});

describe('a replica that this member is to lead with', () => {
  const entry = (change: Partial<TableEntry> = {}): TableEntry => ({
    replicas: [],
    epoch: 9,
    settled: false,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
    ...change,
  });

  it('is what it has', () => {
    const replica = filled(5);
    expect(holdings.toLead(P, entry(), false, 100)).toBe(replica);
    expect([replica.seq, replica.emptySinceMs]).toEqual([5, null]);
  });

  it('is none when it has nothing, or half of a copy, but for the founder', () => {
    expect(holdings.toLead(P, entry(), false, 100)).toBeNull();
    expect(holdings.toLead(P, entry(), true, 100)).toBe(holdings.get(P));
    filled(5).isWhole = false;
    expect(holdings.toLead(P, entry(), false, 100)).toBeNull();
  });

  it('is none when it has nothing, whatever its primary told of its own history', () => {
    const sent: unknown[] = [];
    const host = { faults: {}, send: (...[, , , body]: unknown[]) => sent.push(body) };
    const backups = new BackupSide(host as unknown as ReplicationHost, newCounters());
    const history = [{ lineage: CHAIN, epoch: 8, start: 0 }];
    backups.onStart(holdings.get(P), 'm1', { epoch: 8, seq: 1000, history });
    expect(sent).toEqual([{ epoch: 0, seq: 0, divergent: true }]);
    expect(holdings.toLead(P, entry(), false, 100)).toBeNull();
  });

  it('is what waited to be merged when nothing else is here', () => {
    const replica = filled(5);
    holdings.release(P, true);
    expect(leftOver).toEqual([replica]);
    expect(holdings.toLead(P, entry(), false, 100)).toBe(replica);
    expect([leftOver, holdings.find(P)]).toEqual([[], replica]);
  });

  it('is empty when the contents were lost with this view, and once only', () => {
    const replica = filled(5);
    const lost = entry({ generation: 9 });
    const empty = holdings.toLead(P, lost, false, 100);
    expect([empty?.seq, empty?.emptySinceMs, empty?.generation]).toEqual([0, 100, 9]);
    expect(leftOver).toEqual([replica]);
    (empty as PartitionReplica).enter(CHAIN, 9, 0);
    expect(holdings.toLead(P, lost, false, 200)).toBe(empty);
    expect(empty?.emptySinceMs).toBe(100);
    // A later view of the same generation: whoever has nothing then was never told.
    holdings.release(P, false);
    expect(holdings.toLead(P, entry({ generation: 9, epoch: 12 }), false, 300)?.seq).toBe(5);
    expect(holdings.toLead(P + 1, entry({ generation: 9, epoch: 12 }), false, 300)).toBeNull();
  });
});
