/** The proxies of the split tests themselves: members that reach each other only through them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinkProxies } from '../../demo/link-proxies.js';
import { type Client, connect, type Member, startMember } from '../../src/index.js';

const NAMES = ['a', 'b', 'c'];

describe('three members and two clients behind proxies', () => {
  const proxies = new LinkProxies();
  const members: Member[] = [];
  const addresses: string[] = [];
  let left: Client;
  let right: Client;

  beforeAll(async () => {
    for (const name of NAMES) {
      const place = await proxies.add(name);
      const join = [...addresses];
      addresses.push(place.advertisedAddress);
      members.push(
        await startMember({ ...place, join, timings: 'local', partitionCount: 7, logLevel: 'silent' }),
      );
    }
    proxies.nameClients('left');
    left = await connect({ members: addresses, logLevel: 'silent', timeoutMs: 3_000 });
    await left.waitUntilSafe({ timeoutMs: 20_000 });
    await until(() => NAMES.every((name) => proxies.count('left', name) === 1));
    proxies.nameClients('right');
    right = await connect({ members: addresses, logLevel: 'silent', timeoutMs: 3_000 });
    await until(() => NAMES.every((name) => proxies.count('right', name) === 1));
  });
  afterAll(async () => {
    await left?.shutdown();
    await right?.shutdown();
    for (const member of members.reverse()) await member.shutdown();
    await proxies[Symbol.asyncDispose]();
  });

  const everybodyIsIn = async () => {
    const { members: seen, safe } = await left.status();
    return safe && seen.length === 3 && seen.every(({ heardBy }) => heardBy === 2);
  };

  it('know who dials whom', () => {
    for (const from of NAMES) {
      for (const to of NAMES) expect(proxies.count(from, to), `${from} to ${to}`).toBe(from === to ? 0 : 1);
    }
  });

  it('let everything through', async () => {
    const map = left.getMap<string, string>('m');
    await map.set('k', 'v');
    expect(await right.getMap<string, string>('m').get('k')).toBe('v');
    await map.set('large', 'x'.repeat(3_000_000));
    expect((await right.getMap<string, string>('m').get('large'))?.length).toBe(3_000_000);
  });

  it('cut one client off and not the other', async () => {
    for (const name of NAMES) proxies.set('right', name, 'cut');
    expect(NAMES.map((name) => proxies.count('right', name))).toEqual([0, 0, 0]);
    expect(NAMES.map((name) => proxies.count('left', name))).toEqual([1, 1, 1]);
    await expect(right.getMap<string, string>('m').set('k', 'w')).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_/),
    });
    expect(await left.getMap<string, string>('m').get('k')).toBe('v');
    for (const name of NAMES) proxies.set('right', name, 'pass');
    await until(async () => (await right.getMap<string, string>('m').get('k')) === 'v');
  });

  it('delay a client', async () => {
    const map = left.getMap<string, string>('m');
    for (const name of NAMES) proxies.set('left', name, 150);
    const startMs = performance.now();
    await map.set('k', 'late');
    // There and back.
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(290);
    for (const name of NAMES) proxies.set('left', name, 'pass');
    expect(await map.get('k')).toBe('late');
  });

  it('hold bytes without telling anybody, and deliver them afterwards', async () => {
    const map = left.getMap<string, string>('m');
    for (const name of NAMES) proxies.set('left', name, 'hold');
    let isDone = false;
    const writing = map.set('k', 'held').then(() => {
      isDone = true;
    });
    await sleep(300);
    expect(isDone).toBe(false);
    expect(NAMES.map((name) => proxies.count('left', name))).toEqual([1, 1, 1]);
    for (const name of NAMES) proxies.set('left', name, 'pass');
    await writing;
    expect(await right.getMap<string, string>('m').get('k')).toBe('held');
  });

  it.each(['cut', 'hold'] as const)('separate a member when its links are on %s', async (state) => {
    await until(everybodyIsIn);
    proxies.between(['c'], ['a', 'b'], state);
    await until(async () => {
      const status = await left.status();
      return status.members.length === 2 || status.members.some(({ heardBy }) => heardBy < 2);
    });
    proxies.between(['c'], ['a', 'b'], 'pass');
    await until(everybodyIsIn);
  });

  it('cut one way: a member that is heard and does not hear', async () => {
    await until(everybodyIsIn);
    proxies.set('a', 'c', 'cut');
    proxies.set('b', 'c', 'cut');
    await until(() => proxies.count('a', 'c') === 0 && proxies.count('b', 'c') === 0);
    expect(proxies.count('c', 'a') + proxies.count('c', 'b')).toBe(2);
    proxies.set('a', 'c', 'pass');
    proxies.set('b', 'c', 'pass');
    await until(everybodyIsIn);
  });
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Waits until something holds; failures of asking count as no. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    try {
      if (await holds()) return;
    } catch {
      // Asked again.
    }
    if (performance.now() > deadlineMs) throw new Error(`still not: ${holds.toString()}`);
    await sleep(50);
  }
}
