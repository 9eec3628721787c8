import { describe, expect, it } from 'vitest';
import { startCluster } from '../../src/testing.js';

describe('x', () => {
  it('starts', async () => {
    const t0 = performance.now();
    const c = await startCluster();
    console.log('started', performance.now() - t0);
    const m = c.client.getMap<string, number>('m');
    for (let i = 0; i < 1000; i++) await m.set('k' + i, i);
    const t1 = performance.now();
    await c.kill(0);
    expect(await m.get('k5')).toBe(5);
    console.log('get after kill', performance.now() - t1);
    expect(await m.size()).toBe(1000);
    await c.client.waitUntilSafe({ timeoutMs: 10000 });
    console.log('safe', performance.now() - t1);
    const t2 = performance.now();
    await c.add();
    console.log('added', performance.now() - t2);
    await c.shutdown();
    console.log('shut', performance.now() - t2);
  });
});
