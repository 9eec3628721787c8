/** Versions that only go forward, whatever the wall clock does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HlcTime, HybridClock } from '../../src/base/hlc.js';

function isLater(a: HlcTime, b: HlcTime): boolean {
  return a.ms > b.ms || (a.ms === b.ms && a.counter > b.counter);
}

describe('the hybrid clock', () => {
  it('gives later and later times under any wall clock and any times that it is shown', () => {
    const step = fc.record({
      isOwn: fc.boolean(),
      ms: fc.integer({ min: 0, max: 50 }),
      counter: fc.integer({ min: 0, max: 0xffff }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const clock = new HybridClock();
        let latest: HlcTime = { ms: 0, counter: 0 };
        for (const { isOwn, ms, counter } of steps) {
          if (isOwn) {
            const time = clock.next(ms);
            expect(isLater(time, latest)).toBe(true);
            expect(time.counter).toBeLessThanOrEqual(0xffff);
            latest = time;
          } else {
            clock.observe(ms, counter);
            if (isLater({ ms, counter }, latest)) latest = { ms, counter };
          }
          expect(clock.latest).toEqual(latest);
        }
      }),
    );
  });

  it('follows a wall clock that behaves', () => {
    const clock = new HybridClock();
    expect([clock.next(100), clock.next(100), clock.next(101.7)]).toEqual([
      { ms: 100, counter: 0 },
      { ms: 100, counter: 1 },
      { ms: 101, counter: 0 },
    ]);
  });

  it('takes the next millisecond when the counter is full', () => {
    const clock = new HybridClock();
    clock.observe(100, 0xffff);
    expect(clock.next(50)).toEqual({ ms: 101, counter: 0 });
  });
});
