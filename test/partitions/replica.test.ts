/** What a replica knows of its place in the stream: whose positions are part of whose history. */
import { describe, expect, it } from 'vitest';
import { DeltaLog, type EpochStart } from '../../partitions/log.js';
import { PartitionReplica } from '../../partitions/replica.js';
import { MAP_OPERATIONS } from '../../partitions/services/map/ops.js';
import { MAP } from '../../partitions/services/map/proxy.js';
import { SessionWindows } from '../../partitions/sessions.js';
import { Slab } from '../../partitions/store/slab.js';
import { Reader } from '../../src/base/bytes.js';
import { SeededRandom } from '../../src/base/random.js';
import { encodeKey } from '../../src/wire/keys.js';
import { Primary } from '../services/partition-harness.js';

function replica(): PartitionReplica {
  return new PartitionReplica(0, new Slab(), new SessionWindows(), new DeltaLog({ sizeBytes: 0 }));
}

/** A replica of the model also keeps what it applied: entry i was decided in epoch `content[i]`. */
interface Model {
  epoch: number;
  history: EpochStart[];
  content: number[];
}

function isPrefixOf(a: readonly number[], b: readonly number[]): boolean {
  return a.length <= b.length && a.every((entry, i) => entry === b[i]);
}

/** Takeovers by anybody at any time, backups that hear of them and copy some of what they lack, or do not. */
class Stream {
  readonly #random: SeededRandom;
  readonly replicas: Model[];
  #primary = 0;
  #epoch = 1;
  readonly counts = { accepted: 0, divergent: 0, missed: 0 };

  constructor(seed: number) {
    this.#random = new SeededRandom(seed, 'stream');
    this.replicas = Array.from({ length: 4 }, () => ({ epoch: 0, history: [], content: [] }));
    this.#lead(0);
  }

  #lead(index: number): void {
    const model = this.replicas[index] as Model;
    this.#primary = index;
    model.epoch = this.#epoch++;
    model.history = [...model.history, { epoch: model.epoch, start: model.content.length }];
  }

  step(): void {
    const primary = this.replicas[this.#primary] as Model;
    const other = this.replicas[this.#random.below(4)] as Model;
    const dice = this.#random.below(10);
    if (dice < 4) primary.content.push(primary.epoch);
    else if (dice < 6 && other !== primary) this.#start(primary, other);
    else if (dice < 9 && other.epoch === primary.epoch && other !== primary) {
      const next = primary.content[other.content.length];
      if (next !== undefined) other.content.push(next);
    } else if (dice === 9 && this.#random.below(3) === 0) this.#lead(this.#random.below(4));
  }

  /** As a backup answers the primary of an epoch that introduces itself. */
  #start(primary: Model, other: Model): void {
    if (primary.epoch <= other.epoch) return;
    const isPart = PartitionReplica.isPrefix(other.epoch, other.content.length, primary.history);
    const known = other.content.slice(0, primary.content.length);
    if (isPart) {
      // What it has beyond the primary would be acknowledged unseen later.
      expect(isPrefixOf(known, primary.content)).toBe(true);
      expect(other.content.length).toBeLessThanOrEqual(primary.content.length);
      this.counts.accepted++;
    } else {
      if (isPrefixOf(other.content, primary.content)) this.counts.missed++;
      else this.counts.divergent++;
      other.content = [...primary.content];
    }
    other.epoch = primary.epoch;
    other.history = [...primary.history];
  }
}

describe('positions', () => {
  it('called a part of a history are one, whatever takeovers there were', () => {
    const total = { accepted: 0, divergent: 0, missed: 0 };
    for (let seed = 1; seed <= 400; seed++) {
      const stream = new Stream(seed);
      for (let i = 0; i < 200; i++) stream.step();
      for (const [name, count] of Object.entries(stream.counts)) total[name as keyof typeof total] += count;
    }
    console.log('backups at takeovers:', JSON.stringify(total));
    expect(total.accepted).toBeGreaterThan(1_000);
    expect(total.divergent).toBeGreaterThan(100);
  });

  it('beyond the start of any later epoch are void, also when an epoch between had started higher', () => {
    // A lagging backup heard that epoch 2 starts at 10, had only 5 itself, and took over in epoch 3.
    const history = [
      { epoch: 1, start: 0 },
      { epoch: 2, start: 10 },
      { epoch: 3, start: 5 },
    ];
    expect(PartitionReplica.isPrefix(1, 5, history)).toBe(true);
    expect(PartitionReplica.isPrefix(1, 8, history)).toBe(false);
    expect(PartitionReplica.isPrefix(2, 12, history)).toBe(false);
    expect(PartitionReplica.isPrefix(3, 99, history)).toBe(true);
  });

  it('of an epoch that a history does not know are no part of it', () => {
    const history = [
      { epoch: 1, start: 0 },
      { epoch: 4, start: 10 },
    ];
    expect(PartitionReplica.isPrefix(3, 5, history)).toBe(false);
    expect(PartitionReplica.isPrefix(1, 10, history)).toBe(true);
    expect(PartitionReplica.isPrefix(1, 11, history)).toBe(false);
  });

  it('none are a part of every history', () => {
    expect(PartitionReplica.isPrefix(0, 0, [])).toBe(true);
    expect(PartitionReplica.isPrefix(0, 0, [{ epoch: 5, start: 7 }])).toBe(true);
    expect(PartitionReplica.isPrefix(0, 1, [{ epoch: 5, start: 7 }])).toBe(false);
  });
});

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
    for (let epoch = 1; epoch <= 100; epoch++) one.enter(epoch, epoch * 10);
    expect(one.history.length).toBeLessThanOrEqual(64);
    expect(one.epoch).toBe(100);
    expect(PartitionReplica.isPrefix(2, 20, one.history)).toBe(false);
    expect(PartitionReplica.isPrefix(99, 1_000, one.history)).toBe(true);
  });

  it('forgets everything on reset', () => {
    const one = replica();
    one.state(MAP.service, 'x');
    one.sessions.open(7, 0);
    one.seq = 5;
    one.enter(3, 5);
    one.complete = false;
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
    expect(one.complete).toBe(true);
  });
});
