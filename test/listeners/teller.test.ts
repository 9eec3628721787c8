/** The teller of a member, by itself. */
import { describe, expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { Teller } from '../../listeners/teller.js';

describe('a member without a view', () => {
  it('knows who listens, and forgets who is not heard of', async () => {
    const scheduler = new Scheduler();
    const told: unknown[] = [];
    const teller = new Teller({
      self: { hi: 1n, lo: 1n } as never,
      clock: new SimClock(scheduler, 'm1'),
      tellable: () => -1,
      leads: () => false,
      find: () => undefined,
      replicas: () => [],
      knows: () => true,
      limits: { events: 8, bytes: 1_000, memberBytes: 1_000 },
      faults: {},
    });
    const link = { send: (_def: unknown, body: unknown) => told.push(body) } as never;
    const to = { hi: 1n, lo: 1n } as never;
    const asked = { round: 1, listener: 7, service: 1, structure: 'm', kinds: 1, withValue: true };
    teller.listen('c1', link, { to, ...asked, key: null, predicate: null, partitions: [] });
    expect(told).toMatchObject([{ listener: 7, refused: false }]);
    await scheduler.runFor(14_000);
    expect(teller.size).toBe(1);
    await scheduler.runFor(2_000);
    expect(teller.size).toBe(0);
    teller.stop();
  });
});
