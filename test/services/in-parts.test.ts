/** Calls that wait, in parts. */
import { expect, it } from 'vitest';
import { Scheduler, SimClock } from '../../chaos/sim/virtual-clock.js';
import { inParts } from '../../partitions/services/proxy-requests.js';

function start() {
  const scheduler = new Scheduler();
  const clock = new SimClock(scheduler, 'c');
  const sleep = (ms: number) =>
    new Promise<void>((resolve) => {
      clock.setTimer(ms, resolve);
    });
  return { scheduler, clock, sleep };
}

it('a call that is answered earlier than it asked for is asked again, until its time is over', async () => {
  const { scheduler, clock, sleep } = start();
  const asked: number[] = [];
  // As a member does that remembers calls for 10 s.
  const call = async (partMs: number) => {
    asked.push(partMs);
    await sleep(Math.min(partMs, 5_000));
    return null;
  };
  let endedMs = 0;
  void inParts(clock, 12_000, call, (reply) => reply !== null).then(() => {
    endedMs = clock.now();
  });
  const from = clock.now();
  await scheduler.runFor(20_000);
  expect(endedMs - from).toBeGreaterThanOrEqual(12_000);
  expect(endedMs - from).toBeLessThan(12_010);
  expect(asked).toEqual([12_000, 7_000, 2_000]);
});

it('a call that does not wait is asked once, and one that is answered no more', async () => {
  const { clock } = start();
  let asked = 0;
  const none = () => Promise.resolve(++asked > 0 ? null : null);
  expect(await inParts(clock, 0, none, (reply) => reply !== null)).toBeNull();
  expect(asked).toBe(1);
  expect(
    await inParts(
      clock,
      Number.POSITIVE_INFINITY,
      async () => 'it',
      (reply) => reply !== null,
    ),
  ).toBe('it');
});
