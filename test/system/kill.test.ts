import { afterAll, describe, expect, it } from 'vitest';
import { type KillOutcome, writeThroughKill } from '../real/support/kill-run.js';
import { transpileSources } from '../real/support/transpiled.js';

const sources = transpileSources();
afterAll(() => sources.remove());
const script = new URL('demo/member-process.js', sources.url);

/** A view without the dead takes a suspicion time and a few heartbeats; the rest is room for a slow machine. */
function expectQuick(outcome: KillOutcome): void {
  console.log(JSON.stringify(outcome));
  const { writesMs, safeAfterMs } = outcome;
  expect(writesMs).toBeLessThan(60_000);
  expect(safeAfterMs).toBeLessThan(60_000);
}

describe('members as processes, killed while a client writes 10,000 keys twice', () => {
  const three = { script, members: 3, syncBackups: 1, writes: 20_000 };

  it.each([64, 256])('lose nothing when one of three dies, with %i writes in flight', async (inFlight) => {
    expectQuick(await writeThroughKill({ ...three, inFlight, victims: (members) => members.slice(1, 2) }));
  });

  it('lose nothing when the oldest of three dies', async () => {
    expectQuick(
      await writeThroughKill({ ...three, inFlight: 128, victims: (members) => members.slice(0, 1) }),
    );
  });

  it('lose nothing when two of five die at once, with two sync backups', async () => {
    const five = { script, members: 5, syncBackups: 2, writes: 20_000, inFlight: 128 };
    expectQuick(await writeThroughKill({ ...five, victims: (members) => members.slice(1, 3) }));
  });

  it('lose nothing when the oldest and another of five die at once, with two sync backups', async () => {
    const five = { script, members: 5, syncBackups: 2, writes: 20_000, inFlight: 128 };
    expectQuick(
      await writeThroughKill({
        ...five,
        victims: ([oldest, , third]) => [oldest, third].filter((v) => v !== undefined),
      }),
    );
  });
});
