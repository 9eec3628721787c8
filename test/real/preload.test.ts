/** A near cache with a file begins with the keys that it had, in a new process. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/index.js';
import { startCluster, type TestCluster } from '../../src/testing.js';

let folder = '';
afterEach(async () => {
  if (folder !== '') await rm(folder, { recursive: true, force: true });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function started(): Promise<{ cluster: TestCluster; file: string }> {
  folder = await mkdtemp(join(tmpdir(), 'elsegrid-keys-'));
  const cluster = await startCluster({
    members: 1,
    member: { consistency: 'PA/EL', maps: { default: { backups: { sync: 0 } } } },
  });
  return { cluster, file: join(folder, 'keys') };
}

describe('a near cache with a file', () => {
  it('has the values of its last keys soon after the start', async () => {
    const { cluster, file } = await started();
    await using _ = cluster;
    const options = { members: cluster.addresses, nearCaches: { users: { preload: { file } } } };
    const first = await connect(options);
    const users = first.getMap<string, number>('users');
    await users.putAll(Array.from({ length: 1_200 }, (_value, i) => [`k${i}`, i] as const));
    await until(() => {
      void users.get('k0');
      return (users.getNearCacheStats()?.entries ?? 0) > 0;
    });
    await users.getAll(Array.from({ length: 1_200 }, (_value, i) => `k${i}`));
    expect(users.getNearCacheStats()?.entries).toBe(1_200);
    await first.shutdown();
    expect(await readdir(folder)).toEqual(['keys.users']);

    await using second = await connect(options);
    const again = second.getMap<string, number>('users');
    await until(() => again.getNearCacheStats()?.entries === 1_200);
    const meta = await again.getWithMeta('k7');
    expect([meta.value, meta.source]).toEqual([7, 'nearCache']);
  });

  it('goes on without it when the file is none of ours, and says so', async () => {
    const { cluster, file } = await started();
    await using _ = cluster;
    await writeFile(`${file}.users`, 'something else');
    const client = await connect({
      members: cluster.addresses,
      logLevel: 'error',
      nearCaches: { users: { preload: { file } } },
    });
    await client.getMap('users').set('a', 1);
    expect(await client.getMap('users').get('a')).toBe(1);
    await client.shutdown();
    expect((await readFile(`${file}.users`, 'utf8')).split('\n')[0]).toBe('elsegrid near cache keys 1');
  });
});
