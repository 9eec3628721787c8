/** What a new primary takes from surviving replicas, and what it does without. */
import { describe, expect, it } from 'vitest';
import { encodeEntry } from '../../partitions/entry-body.js';
import type { Executor } from '../../partitions/executor.js';
import { DeltaLog } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { newCounters, type ReplicationHost } from '../../replication/host.js';
import type { levelRequest } from '../../replication/messages.js';
import { levelReply, Takeover } from '../../replication/takeover.js';
import { HybridClock } from '../../src/base/hlc.js';
import type { MemberId } from '../../src/cluster/view.js';
import type { BodyOf } from '../../src/wire/message.js';
import { HandClock } from '../wire/link-bench.js';

type Ask = BodyOf<typeof levelRequest>;

const LINEAGE = 7;
const EMPTY = new Uint8Array(0);
/** View of the takeover. */
const TAKEOVER = 5;

/** A replica at a position; its log holds the positions after `loggedFrom`. */
function replicaAt(seq: number, loggedFrom = 0): PartitionReplica {
  const replica = new PartitionReplica(3, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
  replica.enter(LINEAGE, 1, 0);
  replica.seq = seq;
  for (let at = loggedFrom + 1; at <= seq; at++)
    replica.log.append({ epoch: 1, seq: at, body: encodeEntry(position(at)) });
  return replica;
}

function position(sequence: number) {
  const call = {
    syncBackups: 1,
    isVoid: false,
    isConsistent: false,
    client: 5,
    sequence,
    below: 0,
    hlcMs: 1,
    hlcCounter: 0,
  };
  return { ...call, serviceId: 9, structure: 's', delta: EMPTY, reply: EMPTY };
}

function takeover(own: PartitionReplica, survivors: Readonly<Record<string, PartitionReplica>>) {
  const asks: [MemberId, Ask][] = [];
  const told: string[] = [];
  const host = {
    self: 'new',
    clock: new HandClock(),
    hlc: new HybridClock(),
    faults: {},
    logger: { log: (_level: string, event: string) => told.push(event) },
    send: (to: MemberId, _def: unknown, _partition: number, body: unknown) => asks.push([to, body as Ask]),
    executor: () => ({ service: () => undefined }) as unknown as Executor,
  } as unknown as ReplicationHost;
  const replicas = ['new', ...Object.keys(survivors)].map((member) => ({ member, synced: true }));
  const entry = {
    replicas,
    epoch: TAKEOVER,
    settled: false,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
  };
  const taking = new Takeover(own, entry, false, host, newCounters());
  taking.tick(0);
  /** The survivor answers what it was asked last. */
  const answer = (from: string) => {
    const ask = asks.findLast(([to]) => to === from)?.[1] as Ask;
    taking.onReply(from as MemberId, levelReply(survivors[from] as PartitionReplica, ask, null));
  };
  return { taking, answer, told, own };
}

describe('a takeover', () => {
  it('takes what any survivor has beyond it', () => {
    const { taking, answer, own } = takeover(replicaAt(4), { a: replicaAt(6, 2), b: replicaAt(5) });
    answer('b');
    expect(taking.isLevel).toBe(false);
    answer('a');
    // It was asked from a position that is left behind by now, and is asked again.
    answer('a');
    expect(taking.isLevel).toBe(true);
    expect(own.seq).toBe(6);
  });

  it('goes on at once without what nobody can give', () => {
    const { taking, answer, own, told } = takeover(replicaAt(4), { copied: replicaAt(6, 6) });
    answer('copied');
    expect(taking.isLevel).toBe(true);
    expect(own.seq).toBe(4);
    expect(told).toEqual([
      'a replica is ahead of the one that takes over and cannot give it what is missing',
    ]);
  });

  it('asks a survivor again that could not give, when another one could', () => {
    const { taking, answer, own } = takeover(replicaAt(4), { copied: replicaAt(7, 6), logged: replicaAt(6) });
    answer('copied');
    expect(taking.isLevel).toBe(false);
    answer('logged');
    expect(own.seq).toBe(6);
    expect(taking.missing).toEqual(['copied']);
    taking.tick(1000);
    answer('copied');
    expect(own.seq).toBe(7);
    expect(taking.isLevel).toBe(true);
  });
});
