/** Tasks that run side by side for one call. */
import { describe, expect, it } from 'vitest';
import { inParallel } from '../../partitions/services/proxy-everywhere.js';

describe('tasks side by side', () => {
  it('fail only when those under way have ended, and begin no other', async () => {
    const log: string[] = [];
    let end: () => void = () => {};
    const slow = new Promise<void>((resolve) => {
      end = resolve;
    });
    const tasks = inParallel(['slow', 'bad', 'never'], 2, async (name) => {
      log.push(name);
      if (name === 'bad') throw new Error('no');
      await slow;
      log.push(`${name} ended`);
    }).catch((error: Error) => log.push(error.message));
    await new Promise(setImmediate);
    expect(log).toEqual(['slow', 'bad']);
    end();
    await tasks;
    expect(log).toEqual(['slow', 'bad', 'slow ended', 'no']);
  });

  it('run no more than the limit at a time, and all of them', async () => {
    let [running, most, done] = [0, 0, 0];
    await inParallel([...Array(20).keys()], 3, async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      done++;
    });
    expect([most, done]).toEqual([3, 20]);
  });
});
