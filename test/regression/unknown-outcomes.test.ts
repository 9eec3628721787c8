/** What `resolve()` of a call of unknown outcome says: the truth or `unknown`, and the same to everybody who asks. */
import { describe, expect, it } from 'vitest';
import type { SimCluster } from '../../chaos/sim/cluster.js';
import type { Client } from '../../client/api.js';
import { IndeterminateError } from '../../src/base/errors.js';
import { clusterOf, done, settle, viewOf } from '../cluster/scenario.js';

async function connected(cluster: SimCluster): Promise<Client> {
  const client = cluster.client();
  await done(cluster, client.connect());
  await cluster.scheduler.runFor(1_000);
  return client;
}

/** The error of a call that is expected to end without an answer. */
async function indeterminate(cluster: SimCluster, call: Promise<unknown>): Promise<IndeterminateError> {
  const { error } = await settle(cluster, call);
  if (!(error instanceof IndeterminateError)) throw new Error('the outcome of the call is known');
  return error;
}

/** An increment that took effect and whose answer was lost; the cluster of one member that did it is gone. */
async function doneByAClusterThatIsGone(): Promise<{ cluster: SimCluster; error: IndeterminateError }> {
  const cluster = await clusterOf(1);
  const counter = (await connected(cluster)).getAtomicLong('n');
  const other = (await connected(cluster)).getAtomicLong('n');
  expect(await done(cluster, counter.incrementAndGet())).toBe(1n);
  cluster.network.cut('m1', 'c1');
  const error = await indeterminate(cluster, counter.with({ timeoutMs: 300 }).incrementAndGet());
  expect(await done(cluster, other.get())).toBe(2n);
  cluster.crash('m1');
  cluster.network.healAll();
  return { cluster, error };
}

/** Another process at the same address founds a cluster of another lineage. */
async function startAnew(cluster: SimCluster): Promise<void> {
  const former = viewOf(cluster, 'm1')?.lineage;
  cluster.start('m1');
  expect(await cluster.runUntilSafe(20_000)).toBe(true);
  expect(viewOf(cluster, 'm1')?.lineage).not.toBe(former);
}

describe('resolve()', () => {
  it('says unknown, and not that it was not done, after the lineage of the cluster changed', async () => {
    const { cluster, error } = await doneByAClusterThatIsGone();
    await startAnew(cluster);
    await cluster.scheduler.runFor(3_000);
    expect(await done(cluster, error.resolve())).toEqual({ outcome: 'unknown' });
  });

  it('says unknown when the lineage changes after it was asked', async () => {
    const { cluster, error } = await doneByAClusterThatIsGone();
    const asked = error.resolve();
    await startAnew(cluster);
    expect(await done(cluster, asked)).toEqual({ outcome: 'unknown' });
  });

  it('settles for each of two that ask at once, and tells a later one the same', async () => {
    const cluster = await clusterOf(2);
    const map = (await connected(cluster)).getMap<string, number>('x');
    const abort = new AbortController();
    const call = map.with({ signal: abort.signal }).put('k', 1);
    abort.abort(new Error('not wanted any more'));
    const error = await indeterminate(cluster, call);
    const both = await done(cluster, Promise.all([error.resolve(), error.resolve()]));
    expect(both).toEqual([
      { outcome: 'done', reply: null },
      { outcome: 'done', reply: null },
    ]);
    await cluster.scheduler.runFor(1_000);
    expect(await done(cluster, error.resolve())).toEqual({ outcome: 'done', reply: null });
    expect(await done(cluster, map.get('k'))).toBe(1);
  });
});
