/**
 * The writer of the near-cache benchmark: writes at a steady rate, each value a number of its own,
 * and tells at the end what it wrote and when that was acknowledged.
 */
import { connect } from '../client/index.js';
import { liveWithParent, run, task, tell } from './child.js';

/** Key, value, and when the write was acknowledged, ms on the clock of the machine. */
export type Written = readonly [key: number, value: number, ackMs: number];

export interface WriterReport {
  readonly written: readonly Written[];
}

interface WriterTask {
  readonly addresses: string[];
  readonly keys: number;
  readonly perSecond: number;
  readonly seconds: number;
}

const TICK_MS = 5;

liveWithParent();
run(async () => {
  const { addresses, keys, perSecond, seconds } = task<WriterTask>();
  const client = await connect({ members: addresses });
  const map = client.getMap<number, number>('sessions').with({ consistency: 'EC' });
  tell('writing');
  const written: Written[] = [];
  const calls: Promise<void>[] = [];
  const total = perSecond * seconds;
  const began = performance.now();
  for (let number = 1; number <= total; ) {
    const due = Math.min(total, ((performance.now() - began) / 1000) * perSecond);
    for (; number <= due; number++) {
      const [key, value] = [Math.floor(keys * ((number * 0.7548776662) % 1)), number];
      calls.push(
        map.set(key, value).then(() => {
          written.push([key, value, Number(process.hrtime.bigint()) / 1e6]);
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(calls);
  await client.shutdown();
  tell({ written });
});
