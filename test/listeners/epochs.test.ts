/** Who leads a partition in which epoch, as a member and a listener know it at different times: nobody is told amiss. */
import { describe, expect, it } from 'vitest';
import { ProcessListener, type ToldPart } from '../../listeners/listener.js';
import { ALL_OF_POSITION, type EventPlace } from '../../partitions/events/event.js';
import type { EpochName } from '../../partitions/history.js';
import type { View } from '../../src/cluster/view.js';
import { Told } from './told.js';

const CHAIN = 1;
const FORK = 2;
const chainBefore: EpochName = { lineage: CHAIN, epoch: 12 };
const fork: EpochName = { lineage: FORK, epoch: 15 };
/** Its view has the number of the fork's. */
const chain: EpochName = { lineage: CHAIN, epoch: 15 };
const place = (epoch: EpochName, seq: number): EventPlace => ({ ...epoch, seq, index: ALL_OF_POSITION });

/** A member that leads in a fork, and a listener that it has told of one event of the cluster and one of the fork. */
async function toldInFork(): Promise<Told> {
  const told = new Told();
  told.led(0, { ...chainBefore, start: 0 });
  await told.listen(1, { epoch: chainBefore });
  told.set('cluster');
  await told.scheduler.runFor(50);
  told.led(1, { ...chainBefore, start: 0 }, { ...fork, start: 1 });
  await told.listen(1, { epoch: fork, place: place(chainBefore, 1) });
  told.set('fork');
  await told.scheduler.runFor(50);
  expect(told.events.get(1)).toEqual([1, 2]);
  return told;
}

describe('a member', () => {
  it('does not go on with a listener in an epoch of another lineage with the same number', async () => {
    const told = await toldInFork();
    told.led(2, { ...chainBefore, start: 0 }, { ...chain, start: 1 });
    told.set('cluster again');
    await told.scheduler.runFor(500);
    expect(told.events.get(1)).toEqual([1, 2]);
    const asks = { place: place(fork, 2), left: [place(chainBefore, 1)] };
    await told.listen(1, { ...asks, epoch: chain });
    await told.scheduler.runFor(50);
    expect(told.parts.slice(-2)).toMatchObject([
      {
        what: 'gap',
        reason: 'lineage',
        epoch: chain,
        before: place(fork, 2),
        through: place(chainBefore, 1),
      },
      { what: 'on', epoch: chain, through: place(chain, 3), events: [{ seq: 2 }, { seq: 3 }] },
    ]);
    told.teller.stop();
  });

  it('does not answer who knows it in an epoch that it does not know, until it does', async () => {
    const told = await toldInFork();
    const asks = { epoch: chain, place: place(fork, 2), left: [place(chainBefore, 1)] };
    const parts = told.parts.length;
    await told.listen(2, asks);
    await told.scheduler.runFor(500);
    expect(told.parts.length).toBe(parts);
    told.led(2, { ...chainBefore, start: 0 }, { ...fork, start: 1 }, { ...chain, start: 2 });
    await told.listen(2, asks);
    expect(told.parts.slice(parts)).toMatchObject([{ what: 'on', epoch: chain, before: place(fork, 2) }]);
    told.set('cluster again');
    await told.scheduler.runFor(50);
    expect(told.events.get(2)).toEqual([3]);
    told.teller.stop();
  });

  it('forgets what it was asked in an epoch that has ended', async () => {
    const told = await toldInFork();
    const parts = told.parts.length;
    const asked = told.listen(2, { epoch: fork, place: place(fork, 2) });
    told.led(2, { ...chainBefore, start: 0 }, { ...chain, start: 1 });
    await asked;
    await told.scheduler.runFor(500);
    expect(told.parts.length).toBe(parts);
    told.teller.stop();
  });
});

describe('a listener', () => {
  it('takes nothing that is told in another epoch than the one in which it asks', () => {
    const given: unknown[] = [];
    const request = {
      from: new Map([[0, place(chainBefore, 1)]]),
      partitionOf: null,
      event: ({ seq }: { readonly seq: number }) => given.push(seq),
      gap: (_partition: number, reason: string) => given.push(reason),
      reached: () => {},
    };
    const listener = new ProcessListener(1, 'id', request as never, 0, { log: () => {} } as never);
    const viewOf = (epoch: number) =>
      ({ table: [{ epoch, replicas: [{ member: 'm' }] }] }) as unknown as View;
    const event = { kind: 'added', key: new Uint8Array(), value: null, old: null, entries: 1, index: 0 };
    const part = (epoch: EpochName) =>
      ({
        partition: 0,
        epoch,
        what: 'on',
        reason: null,
        before: place(chainBefore, 1),
        through: place(epoch, 2),
        events: [{ ...event, ...epoch, seq: 2 }],
      }) as unknown as ToldPart;
    listener.adopted(viewOf(chain.epoch), CHAIN);
    for (const epoch of [chainBefore, fork, { lineage: CHAIN, epoch: 16 }]) listener.told('m', part(epoch));
    expect(given).toEqual([]);
    expect(listener.missing('m')).toHaveLength(1);
    listener.told('m', part(chain));
    expect(given).toEqual([2]);
    expect(listener.missing('m')).toHaveLength(0);
    // The same member leads in another lineage, with the same number.
    listener.adopted(viewOf(fork.epoch), FORK);
    expect(listener.missing('m')).toHaveLength(1);
  });
});
