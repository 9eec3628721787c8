/** A near cache with a file begins with the keys that it had, in a new process. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/index.js';
import { startCluster, type TestCluster } from '../../src/testing.js';
import { encodeKey } from '../../src/wire/keys.js';

const HEAD = 'elsegrid near cache keys 1';

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

  it('keeps them when a process ends before their values came', async () => {
    const { cluster, file } = await started();
    await using _ = cluster;
    await writeFile(`${file}.users`, `${HEAD}\n${Buffer.from(encodeKey('a')).toString('base64')}\n`);
    const options = { members: cluster.addresses, nearCaches: { users: { preload: { file } } } };
    await (await connect(options)).shutdown();
    const strict = await connect({ ...options, routing: 'single' });
    await strict.setConsistency({ map: 'users' }, 'PA/EC');
    expect(await strict.getMap('users').get('a')).toBeNull();
    await strict.shutdown();
    expect((await readFile(`${file}.users`, 'utf8')).split('\n').slice(0, 2)).toEqual([
      HEAD,
      Buffer.from(encodeKey('a')).toString('base64'),
    ]);
  });

  it('goes on without it when the file is none of ours, and leaves it alone', async () => {
    const { cluster, file } = await started();
    await using _ = cluster;
    await writeFile(`${file}.users`, 'something else');
    const client = await connect({
      members: cluster.addresses,
      logLevel: 'error',
      nearCaches: { users: { preload: { file } } },
    });
    const users = client.getMap<string, number>('users');
    await users.set('a', 1);
    await until(() => {
      void users.get('a');
      return (users.getNearCacheStats()?.entries ?? 0) > 0;
    });
    await client.shutdown();
    expect(await readFile(`${file}.users`, 'utf8')).toBe('something else');
  });
});
