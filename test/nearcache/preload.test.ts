/** Near caches that begin with the keys of a file: what stays in the file when not all values were fetched. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { decodeKey, encodeKey } from '../../src/wire/keys.js';
import { clusterOf, done, settle } from '../cluster/scenario.js';

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);
const PRELOAD = { maxStalenessMs: 500, preload: { file: 'f' } };

class OneFile {
  keys: Uint8Array[] = KEYS.map(encodeKey);
  writes = 0;

  get names(): unknown[] {
    return this.keys.map(decodeKey).sort();
  }

  read = async () => this.keys;

  write = async (_path: string, keys: Iterable<Uint8Array>) => {
    this.keys = [...keys];
    this.writes++;
  };
}

async function started(consistency: 'PA/EL' | 'PA/EC'): Promise<SimCluster> {
  return clusterOf(3, { seed: 5, member: { maps: { near: { consistency, backups: { sync: 1 } } } } });
}

async function clientWith(cluster: SimCluster, file: OneFile, more: object = {}, near = {}): Promise<Client> {
  const nearCaches = { near: { ...PRELOAD, ...near } };
  const client = cluster.client({ nearCaches, ...more } as never);
  client.preload(file);
  await done(cluster, client.connect());
  return client;
}

function entriesOf(client: Client): number {
  return client.getMap('near').getNearCacheStats()?.entries ?? 0;
}

describe('the keys of a file', () => {
  it('are fetched, and written again', async () => {
    const cluster = await started('PA/EL');
    const file = new OneFile();
    const client = await clientWith(cluster, file);
    await cluster.scheduler.runFor(5_000);
    expect(entriesOf(client)).toBe(KEYS.length);
    await cluster.scheduler.runFor(60_000);
    expect([file.names, file.writes]).toEqual([[...KEYS].sort(), 1]);
  });

  it('stay in it when the process ends before their values came', async () => {
    const cluster = await started('PA/EL');
    const file = new OneFile();
    const client = await clientWith(cluster, file);
    await settle(cluster, client.shutdown(), 60_000);
    expect(file.names).toEqual([...KEYS].sort());
  });

  it('stay in it for a map whose values cannot be kept near', async () => {
    const cluster = await started('PA/EC');
    const file = new OneFile();
    const client = await clientWith(cluster, file);
    await cluster.scheduler.runFor(200_000);
    expect(entriesOf(client)).toBe(0);
    await settle(cluster, client.shutdown(), 60_000);
    expect(file.names).toEqual([...KEYS].sort());
  });

  it('are fetched as far as members tell of changes, and the others stay', async () => {
    const cluster = await started('PA/EL');
    const file = new OneFile();
    const client = await clientWith(cluster, file, { routing: 'single' });
    await cluster.scheduler.runFor(30_000);
    const entries = entriesOf(client);
    expect(entries).toBeGreaterThan(0);
    await cluster.scheduler.runFor(60_000);
    expect([file.names, file.writes > 0]).toEqual([[...KEYS].sort(), true]);
  });

  it('give way to what was read since, when there is no room for all', async () => {
    const cluster = await started('PA/EL');
    const file = new OneFile();
    const client = await clientWith(cluster, file, {}, { maxEntries: 10 });
    await cluster.scheduler.runFor(5_000);
    for (const key of ['a', 'b', 'c']) await done(cluster, client.getMap('near').get(key));
    await settle(cluster, client.shutdown(), 60_000);
    expect(file.names).toHaveLength(10);
    expect(file.names).toEqual(expect.arrayContaining(['a', 'b', 'c', 'k0']));
  });

  it('are not written over while nobody could read them', async () => {
    const cluster = await started('PA/EL');
    const file = new OneFile();
    const { read } = file;
    file.read = async () => {
      throw new Error('no right to read it');
    };
    const client = await clientWith(cluster, file);
    for (let i = 0; i < 2; i++) {
      await cluster.scheduler.runFor(1_000);
      await done(cluster, client.getMap('near').get('a'));
    }
    await cluster.scheduler.runFor(61_000);
    expect([entriesOf(client) > 0, file.writes]).toEqual([true, 0]);
    file.read = read;
    await cluster.scheduler.runFor(120_000);
    expect(file.names).toEqual(['a', ...KEYS].sort());
  });
});
