/** What a member keeps for those who watch it: bounds of what they were not told yet. */
import { describe, expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import type { changes } from '../../nearcache/messages.js';
import { Watchers } from '../../nearcache/watchers.js';
import type { View } from '../../src/cluster/view.js';
import type { BodyOf } from '../../src/wire/message.js';

const SELF = '00000001-0000-4000-8000-000000000001';
const WHERE = { view: 1, lineage: 1 };
const PARTITIONS = 50;
/** In one partition. */
const CHANGES = 500;
/** More than a watcher may have waiting. */
const CLOGGED_BYTES = 2 ** 21;

/** A member that leads all partitions, and one watcher of one map. */
class World {
  readonly scheduler = new Scheduler();
  readonly link = { queuedBytes: 0, send: (body: BodyOf<typeof changes>) => void this.told.push(body) };
  readonly watchers: Watchers;
  told: BodyOf<typeof changes>[] = [];
  #seq = 0;

  constructor() {
    const replicas = [{ member: SELF, synced: true }];
    const view = { table: Array.from({ length: PARTITIONS }, () => ({ replicas })) } as unknown as View;
    this.watchers = new Watchers({
      self: SELF,
      clock: new SimClock(this.scheduler, 'm', { offsetMs: 0, rate: 1, wallOffsetMs: 0 } as never),
      view: () => view,
      where: () => WHERE,
      vouch: () => ({ epoch: 1, seq: this.#seq, leased: true, history: [] }),
      faults: {},
    });
    const maps = [{ name: 'm', maxStalenessMs: 1_000 }];
    this.watchers.watch('c', this.link, { round: 1, askedMs: 0, maps }, WHERE);
    this.told = [];
  }

  change(partitions: number): void {
    for (let partition = 0; partition < partitions; partition++)
      for (let i = 0; i < CHANGES; i++) this.watchers.changed(partition, 'm', ++this.#seq, [i]);
  }

  tally() {
    const news = this.told.flatMap(({ partitions }) => partitions);
    const whole = news.filter(({ all }) => all).length;
    return { whole, keys: this.told.reduce((sum, { keys }) => sum + keys.length, 0) };
  }
}

describe('changes that a watcher was not told yet', () => {
  it('are told one by one while there are few', async () => {
    const world = new World();
    world.change(4);
    await world.scheduler.runFor(20);
    expect(world.tally()).toEqual({ whole: 0, keys: 4 * CHANGES });
  });

  it('count as whole partitions when there are too many in all, and one by one again later', async () => {
    const world = new World();
    world.change(PARTITIONS);
    await world.scheduler.runFor(20);
    const { whole, keys } = world.tally();
    expect(keys).toBeLessThanOrEqual(8_192);
    expect(keys).toBeGreaterThan(8_192 - 2 * CHANGES);
    expect(whole).toBe(PARTITIONS - keys / CHANGES);
    world.told = [];
    world.change(4);
    await world.scheduler.runFor(20);
    expect(world.tally()).toEqual({ whole: 0, keys: 4 * CHANGES });
  });

  it('are not collected for a watcher that takes nothing', async () => {
    const world = new World();
    world.link.queuedBytes = CLOGGED_BYTES;
    world.change(4);
    await world.scheduler.runFor(20);
    expect(world.told).toEqual([]);
    world.link.queuedBytes = 0;
    world.change(1);
    await world.scheduler.runFor(20);
    expect(world.tally()).toEqual({ whole: 4, keys: 0 });
  });
});
