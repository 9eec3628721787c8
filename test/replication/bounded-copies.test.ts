/** What must not stop a partition: large windows in a copy, structures that nobody knows, and those that are gone. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import { encodeEntry } from '../../partitions/entry-body.js';
import type { Executor } from '../../partitions/executor.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { BackupSide } from '../../replication/backup.js';
import { newCounters, type ReplicationHost } from '../../replication/host.js';
import { migrateAck, streamAck } from '../../replication/messages.js';
import { MigrationSource } from '../../replication/migration-source.js';
import { type CopyHost, Slot } from '../../replication/slot.js';
import { HybridClock } from '../../src/base/hlc.js';
import type { MemberId } from '../../src/cluster/view.js';
import { clusterOf, done, memberOf } from '../cluster/scenario.js';
import { HandClock } from '../wire/link-bench.js';

const PARTITIONS = 11;
const LINEAGE = 7;

function structuresOf(cluster: SimCluster): number {
  let count = 0;
  for (const { member } of cluster.running())
    for (let partition = 0; partition < PARTITIONS; partition++)
      count += member.node.replication.replica(partition).structures().length;
  return count;
}

describe('a copy of a partition', () => {
  it('takes the windows in parts: replies of 48 MiB do not exceed what one message may hold', async () => {
    const cluster = await clusterOf(1);
    const { node } = memberOf(cluster, 'm1').member;
    // Not the last partition: while its replies are on their way, copies of others wait for the shared budget.
    const partition = 0;
    const { sessions } = node.replication.replica(partition);
    // Used in the future, so that it does not end while the test runs.
    const session = sessions.open(77, Number.MAX_SAFE_INTEGER);
    for (let call = 1; call <= 4; call++) {
      const reply = Buffer.alloc(12 * 1024 * 1024, call);
      session.add(call, { reply, seq: 0, syncBackups: 0, isVoid: false, isConsistent: false });
    }
    cluster.start('m2');
    // Safe with the new member as the replica of everything, not before it was asked to be one.
    const isCopied = () =>
      cluster.isSafe() && node.view?.table.every(({ replicas }) => replicas.length === 2) === true;
    expect(await cluster.scheduler.runUntil(isCopied, cluster.scheduler.now + 60_000)).toBe(true);
    const copied = memberOf(cluster, 'm2').member.node.replication.replica(partition).sessions.find(77);
    expect([...(copied?.calls.values() ?? [])].map(({ reply }) => [reply.length, reply[0]])).toEqual(
      [1, 2, 3, 4].map((call) => [12 * 1024 * 1024, call]),
    );
    expect(cluster.logs.filter((line) => /above the limit/.test(line))).toEqual([]);
  });
});

describe('a structure that is destroyed', () => {
  it('is forgotten by all replicas once the marks of its removals are, and may come again', async () => {
    const cluster = await clusterOf(3);
    const { member } = memberOf(cluster, 'm1');
    for (let i = 0; i < 20; i++) {
      const map = member.getMap<string, number>(`job${i}`);
      await done(cluster, Promise.all(['a', 'b', 'c'].map((key) => map.set(key, i))));
      await done(cluster, member.getAtomicLong(`job${i}`).incrementAndGet());
      await done(cluster, Promise.all([map.destroy(), member.getAtomicLong(`job${i}`).destroy()]));
    }
    expect(structuresOf(cluster)).toBeGreaterThan(100);
    for (let times = 0; times < 3; times++) {
      await cluster.scheduler.runFor(2_000);
      for (const one of cluster.running()) one.member.node.replication.purge(Number.MAX_SAFE_INTEGER);
    }
    await cluster.scheduler.runFor(2_000);
    expect(structuresOf(cluster)).toBe(0);
    const map = member.getMap<string, number>('job1');
    await done(cluster, map.set('a', 5));
    expect(await done(cluster, map.get('a'))).toBe(5);
    expect(structuresOf(cluster)).toBe(2);
  });

  it('leaves nothing behind where nothing was written', async () => {
    const cluster = await clusterOf(2);
    const { member } = memberOf(cluster, 'm1');
    const map = member.getMap<string, number>('x');
    await done(cluster, Promise.all([map.remove('a'), map.replace('b', 1), map.clear()]));
    expect(await done(cluster, member.getAtomicLong('x').compareAndSet(3, 4))).toBe(false);
    await done(cluster, member.getAtomicLong('x').destroy());
    expect(structuresOf(cluster)).toBe(0);
  });
});

describe('a structure that a backup does not know', () => {
  const primary = 'p' as MemberId;

  function backup() {
    const sent: unknown[] = [];
    const errors: string[] = [];
    const known = new Set<number>();
    const service = { id: 9, createState: () => ({ apply: () => {}, paste: () => {} }) };
    const host = {
      self: 'b',
      clock: new HandClock(),
      hlc: new HybridClock(),
      faults: {},
      logger: { log: (level: string, event: string) => errors.push(`${level}: ${event}`) },
      send: (_to: MemberId, def: { name: string }, _partition: number, body: unknown) =>
        sent.push([def.name, body]),
      executor: () =>
        ({ service: (id: number) => (known.has(id) ? service : undefined) }) as unknown as Executor,
    } as unknown as ReplicationHost;
    const replica = new PartitionReplica(3, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
    replica.enter(LINEAGE, 1, 0);
    return {
      side: new BackupSide(host, newCounters()),
      replica,
      sent,
      errors,
      known,
      clock: host.clock as HandClock,
    };
  }

  function position(seq: number, serviceId: number) {
    const empty = new Uint8Array(0);
    const call = {
      syncBackups: 1,
      isVoid: false,
      isConsistent: false,
      client: 5,
      sequence: seq,
      below: 0,
      hlcMs: 1,
      hlcCounter: 0,
    };
    const entry = encodeEntry({ ...call, serviceId, structure: 'x', delta: empty, reply: empty });
    return { epoch: 1, seq, trim: 0, entry };
  }

  it('stops the stream in front of it: neither it nor what follows is acknowledged, and it is told once', () => {
    const { side, replica, sent, errors, known, clock } = backup();
    side.onStream(replica, primary, position(1, 0));
    side.onStream(replica, primary, position(3, 0));
    for (let times = 0; times < 3; times++) side.onStream(replica, primary, position(2, 9));
    clock.endTurn();
    expect([replica.seq, replica.sessions.find(5)?.find(2)]).toEqual([1, undefined]);
    expect(sent).toEqual([[streamAck.name, { acks: [{ partition: 3, epoch: 1, seq: 1 }] }]]);
    expect(errors).toEqual(['error: the primary sends a structure that this member does not know']);
    known.add(9);
    side.onStream(replica, primary, position(2, 9));
    clock.endTurn();
    expect(replica.seq).toBe(3);
    expect(sent[1]).toEqual([streamAck.name, { acks: [{ partition: 3, epoch: 1, seq: 3 }] }]);
  });

  it('is not confirmed as a part of a copy either', () => {
    const { side, replica, sent, errors } = backup();
    const start = {
      migration: 4,
      epoch: 2,
      history: [{ lineage: LINEAGE, epoch: 2, start: 0 }],
      seq: 0,
      generation: 1,
    };
    side.onMigrateStart(replica, primary, start);
    const part = {
      migration: 4,
      seq: 0,
      hlcMs: 1,
      hlcCounter: 0,
      structure: 'x',
      records: new Uint8Array(0),
    };
    side.onMigrateChunk(replica, primary, { ...part, index: 1, service: 9 });
    side.onMigrateChunk(replica, primary, { ...part, index: 2, service: 0 });
    expect(sent).toEqual([0, 2].map((index) => [migrateAck.name, { migration: 4, index }]));
    expect(errors).toHaveLength(1);
  });
});

describe('the start of a copy', () => {
  function startOf(seqs: readonly number[], seq: number): unknown {
    const replica = new PartitionReplica(3, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
    replica.enter(LINEAGE, 1, 0);
    for (const at of seqs) replica.log.append({ epoch: 1, seq: at, body: new Uint8Array(1) });
    replica.seq = seq;
    const sent: { seq: number }[] = [];
    const reserved: number[] = [];
    const primary = { replica, reserve: (_slot: Slot, at: number) => reserved.push(at) };
    const host = {
      send: (_to: MemberId, _def: unknown, _p: number, body: { seq: number }) => sent.push(body),
    };
    const copy = new MigrationSource(
      () => 1,
      primary as unknown as CopyHost,
      new Slot('b' as MemberId, false, 1, 0),
      host as unknown as ReplicationHost,
      newCounters(),
      { inFlightBytes: 0 },
    );
    copy.pump(0);
    expect(reserved).toEqual([sent[0]?.seq]);
    return sent[0]?.seq;
  }

  it('is where the log begins, so that the new replica can give another one what that one lacks', () => {
    expect(startOf([5, 6, 7], 7)).toBe(4);
    expect(startOf([], 7)).toBe(7);
  });
});
