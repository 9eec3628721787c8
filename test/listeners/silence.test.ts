/** Changes after which nothing else changes: listeners hear of them all the same, or of a gap. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Grid } from '../../client/core/grid.js';
import { whereToGoOn } from '../../listeners/going-on.js';
import { ALL_OF_POSITION } from '../../partitions/events/event.js';
import { EventBudget, EventRing } from '../../partitions/events/ring.js';
import { partitionOfKey } from '../../partitions/placement.js';
import { Predicates } from '../../partitions/query/predicates.js';
import type { PartitionReplica } from '../../partitions/replica.js';
import { encodeKey } from '../../src/wire/keys.js';
import { clusterOf, connected, done, keyAt, memberOf, viewOf } from '../cluster/scenario.js';
import { Told, WIDE } from './told.js';

const PARTITIONS = 5;
const member = { partitionCount: PARTITIONS } as const;
const partitionOf = (key: string) => partitionOfKey(encodeKey(key), PARTITIONS);

/** What a listener of the map is told: values, names of keys that are gone, reasons of gaps. */
async function toldOf(cluster: SimCluster, grid: Grid): Promise<unknown[]> {
  const told: unknown[] = [];
  const value = ({ value }: { readonly value: unknown }) => void told.push(value);
  await done(
    cluster,
    grid.getMap<string, unknown>('m').addEntryListener(
      {
        added: value,
        updated: value,
        removed: ({ key }) => void told.push(key),
        gap: ({ reason }) => void told.push(reason),
      },
      null,
      true,
    ),
  );
  return told;
}

describe('a member tells', () => {
  it('those who had their turn what came before the others had theirs', async () => {
    const told = new Told();
    const heavy = Array.from({ length: 200 }, (_, i) => Predicates.like('t', `%<${i}>%b0%`));
    await told.listen(0, { predicate: Predicates.or(...heavy) });
    await told.listen(1);
    const text = `${'a'.repeat(1_980)} <199> b0`;
    told.set(text);
    for (let ms = 0; told.events.get(0)?.length === 0 && ms < 50; ms++) await told.scheduler.runFor(0.5);
    expect([told.events.get(0), told.events.get(1)]).toEqual([[1], []]);
    told.set(text);
    await told.hold(2, 1_000);
    expect([told.events.get(0), told.events.get(1)]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    told.teller.stop();
  });

  it('of a gap when a ring has dropped everything before it was committed', async () => {
    const told = new Told({ limits: { ...WIDE, events: 4 } });
    told.ask(1);
    await told.scheduler.runFor(50);
    told.committed = 0;
    told.change(10);
    await told.scheduler.runFor(20);
    expect(told.gaps.size).toBe(0);
    told.committed = 1_000;
    await told.scheduler.runFor(50);
    expect(told.gaps.get(1)).toEqual(['overflow']);
    told.teller.stop();
  });

  it('of a gap who was told of nothing in contents that were lost', () => {
    const ring = new EventRing(0, 0, new EventBudget(WIDE), () => {});
    ring.tell(1, 'added', encodeKey('new'), null, null);
    const history = [{ lineage: 1, epoch: 20, start: 0 }];
    const replica = { id: 0, seq: 1, generation: 20, history } as unknown as PartitionReplica;
    const placed = (epoch: number) => {
      const place = { lineage: 1, epoch, seq: 0, index: ALL_OF_POSITION };
      return whereToGoOn(replica, ring, { epoch: { lineage: 1, epoch: 20 }, place, left: [] }, 1);
    };
    expect(placed(12)).toMatchObject({ reason: 'lost', from: { seq: 0 } });
    expect(placed(20)).toMatchObject({ reason: null, from: { seq: 0 } });
  });
});

describe('a listener hears', () => {
  it('of a write at a primary that heard no majority for a moment', async () => {
    const cluster = await clusterOf(3, { seed: 21, member });
    const client = await connected(cluster);
    const told = await toldOf(cluster, client);
    const map = client.getMap<string, unknown>('m');
    const key = keyAt(cluster, 'm2');
    await done(cluster, map.set(key, 'first'));
    await cluster.scheduler.runFor(2_000);
    const before = viewOf(cluster, 'm2');
    for (const host of ['m1', 'm3']) cluster.network.cut(host, 'm2');
    await cluster.scheduler.runFor(1_500);
    let outcome: unknown = null;
    void map.set(key, 'second').then(
      () => {
        outcome = 'done';
      },
      (error: unknown) => {
        outcome = error;
      },
    );
    const { replication } = memberOf(cluster, 'm2').member.node;
    expect(await cluster.until(() => !replication.hasQuorum, 5_000, 5)).toBe(true);
    await cluster.scheduler.runFor(30);
    cluster.network.healAll();
    await cluster.until(() => replication.hasQuorum, 5_000, 5);
    await cluster.scheduler.runFor(3_000);
    expect([viewOf(cluster, 'm2')?.number, outcome]).toEqual([before?.number, 'done']);
    expect(told).toEqual(['first', 'second']);
  });

  it('of a gap when one change is larger than what members keep', async () => {
    const cluster = await clusterOf(3, { seed: 22, member });
    const hosts = ['m1', 'm2', 'm3'];
    const client = await connected(cluster);
    const told = await toldOf(cluster, client);
    for (const a of hosts)
      for (const b of hosts) if (a !== b) cluster.network.setLink(a, b, { extraDelayMs: 20 });
    const map = client.getMap<string, unknown>('m').with({ timeoutMs: 60_000 });
    const partition = partitionOf(keyAt(cluster, 'm2'));
    const keys = Array.from({ length: 400 }, (_, i) => `k${i}`).filter(
      (key) => partitionOf(key) === partition,
    );
    const large = keys.slice(0, 40).map((key) => [key, 'v'.repeat(200_000)] as const);
    await done(cluster, map.setAll(large), 60_000);
    await cluster.scheduler.runFor(5_000);
    told.length = 0;
    await done(cluster, map.clear(), 60_000);
    await cluster.scheduler.runFor(1_000);
    // All of one position, which is more than a ring keeps.
    expect(told).toEqual(['overflow']);
  }, 60_000);

  it('of a gap when nobody led the partition until then', async () => {
    const backups = { default: { backups: { sync: 0, async: 0 } } };
    const kinds = ['maps', 'atomicLongs', 'queues', 'multimaps', 'topics'];
    const lonely = Object.fromEntries(kinds.map((kind) => [kind, backups]));
    const options = { ...member, partitionLossTimeoutMs: 20_000, ...lonely };
    const cluster = await clusterOf(3, { seed: 23, member: options as never });
    const writer = await connected(cluster);
    const key = keyAt(cluster, 'm3');
    cluster.crash('m3');
    await cluster.scheduler.runFor(8_000);
    const told = await toldOf(cluster, await connected(cluster));
    const isLed = () => (viewOf(cluster, 'm1')?.table[partitionOf(key)]?.replicas.length ?? 0) > 0;
    expect(isLed()).toBe(false);
    // The listener hears of the view a little later than the writer.
    for (const host of ['m1', 'm2']) cluster.network.hold(host, 'c2');
    await cluster.until(isLed, 60_000);
    await done(cluster, writer.getMap<string, unknown>('m').set(key, 'value'));
    await cluster.scheduler.runFor(100);
    for (const host of ['m1', 'm2']) cluster.network.release(host, 'c2');
    await cluster.scheduler.runFor(5_000);
    expect(told).toContain('moved');
    const same = Array.from({ length: 400 }, (_, i) => `z${i}`).find(
      (z) => partitionOf(z) === partitionOf(key),
    );
    await done(cluster, writer.getMap<string, unknown>('m').set(same as string, 'later'));
    await cluster.scheduler.runFor(1_000);
    expect(told.at(-1)).toBe('later');
  });
});
