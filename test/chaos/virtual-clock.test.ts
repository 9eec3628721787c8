import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstDifference, hashBytes, Journal } from '../../chaos/sim/journal.js';
import { Scheduler, SimClock, WALL_START_MS } from '../../chaos/sim/virtual-clock.js';

describe('Scheduler', () => {
  it('runs events by time and then by insertion, whatever was cancelled in between', async () => {
    const times = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 200 });
    await fc.assert(
      fc.asyncProperty(times, async (plan) => {
        const scheduler = new Scheduler();
        const ran: number[] = [];
        const events = plan.map(([atMs], i) => scheduler.schedule(atMs, () => ran.push(i), i % 3 === 0));
        plan.forEach(([, cancel], i) => {
          if (cancel) events[i]!.cancel();
        });
        await scheduler.run(20);
        const expected = plan
          .map(([atMs, cancel], i) => ({ atMs, cancel, i }))
          .filter(({ cancel }) => !cancel)
          .sort((a, b) => a.atMs - b.atMs || a.i - b.i);
        expect(ran).toEqual(expected.map(({ i }) => i));
        expect(scheduler.pending).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('settles long promise chains before the next event, even of the same instant', async () => {
    const scheduler = new Scheduler();
    const told: string[] = [];
    scheduler.schedule(5, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await null;
        await new Promise<void>((resolve) => process.nextTick(resolve));
        told.push(`chain at ${scheduler.now}`);
        scheduler.schedule(5, () => told.push('scheduled by the chain'));
      })();
    });
    scheduler.schedule(5, () => told.push('second event'));
    await scheduler.run(10);
    expect(told).toEqual(['chain at 5', 'second event', 'scheduled by the chain']);
    expect(scheduler.now).toBe(10);
  });

  it('leaves events beyond the limit for the next run', async () => {
    const scheduler = new Scheduler();
    const ran: number[] = [];
    for (const atMs of [10, 20, 30]) scheduler.schedule(atMs, () => ran.push(atMs));
    await scheduler.run(20);
    expect([ran, scheduler.now, scheduler.pending]).toEqual([[10, 20], 20, 1]);
    await scheduler.runFor(10);
    expect(ran).toEqual([10, 20, 30]);
  });

  it('stops as soon as the condition holds, or says that it never did', async () => {
    const scheduler = new Scheduler();
    let count = 0;
    for (let atMs = 1; atMs <= 10; atMs++) scheduler.schedule(atMs, () => count++);
    expect(await scheduler.runUntil(() => count === 4, 100)).toBe(true);
    expect(scheduler.now).toBe(4);
    expect(await scheduler.runUntil(() => count === 99, 100)).toBe(false);
    expect([count, scheduler.now]).toEqual([10, 100]);
  });

  it('rejects with what an event threw, and can be run on', async () => {
    const scheduler = new Scheduler();
    let ran = false;
    scheduler.schedule(1, () => {
      throw new Error('the node died of a bug');
    });
    scheduler.schedule(2, () => {
      ran = true;
    });
    await expect(scheduler.run(10)).rejects.toThrow('the node died of a bug');
    expect(ran).toBe(false);
    await scheduler.run(10);
    expect(ran).toBe(true);
  });

  it('refuses to be run twice at the same time', async () => {
    const scheduler = new Scheduler();
    const first = scheduler.run(10);
    await expect(scheduler.run(10)).rejects.toThrow('already running');
    await first;
  });

  it('notices code that schedules for the same instant for ever', async () => {
    const scheduler = new Scheduler();
    const again = (): void => {
      scheduler.schedule(scheduler.now, again, true);
    };
    scheduler.schedule(3, again);
    await expect(scheduler.run(10)).rejects.toThrow('time stands still at 3 ms');
  });

  it('keeps the heap small when nearly all timers are cancelled', async () => {
    const scheduler = new Scheduler();
    let fired = 0;
    for (let i = 0; i < 20_000; i++) {
      const timer = scheduler.schedule(1000 + (i % 7), () => fired++);
      if (i % 100 !== 0) timer.cancel();
    }
    expect(scheduler.pending).toBe(200);
    await scheduler.run(2000);
    expect(fired).toBe(200);
  });
});

describe('SimClock', () => {
  it('counts local time by its own rate and offset', async () => {
    const scheduler = new Scheduler();
    const fast = new SimClock(scheduler, 'fast', { rate: 1.25, offsetMs: 1000 });
    const slow = new SimClock(scheduler, 'slow', { rate: 0.8 });
    const firedAt: Record<string, number> = {};
    for (const clock of [fast, slow]) {
      clock.setTimer(100, () => {
        firedAt[clock.node] = scheduler.now;
      });
    }
    await scheduler.run(200);
    expect(firedAt.fast).toBeCloseTo(80, 5);
    expect(firedAt.slow).toBeCloseTo(125, 5);
    expect([fast.now(), slow.now()]).toEqual([1250, 160]);
  });

  it('never fires a timer before its local due time, whatever offset and drift', async () => {
    const draw = fc.record({
      offsetMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
      rate: fc.double({ min: 0.5, max: 2, noNaN: true }),
      delayMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(draw, async ({ offsetMs, rate, delayMs }) => {
        const scheduler = new Scheduler();
        const clock = new SimClock(scheduler, 'a', { offsetMs, rate });
        const due = clock.now() + delayMs;
        let firedAt = -1;
        clock.setTimer(delayMs, () => {
          firedAt = clock.now();
        });
        await scheduler.run(1e6);
        expect(firedAt).toBeGreaterThanOrEqual(due);
        expect(firedAt - due).toBeLessThan(1e-3);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps a timer waiting when the clock slows down after it was set', async () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'a');
    let firedAt = -1;
    clock.setTimer(100, () => {
      firedAt = clock.now();
    });
    await scheduler.run(50);
    clock.setRate(0.5);
    await scheduler.run(149);
    expect(firedAt).toBe(-1);
    await scheduler.run(151);
    expect(firedAt).toBeCloseTo(100, 5);
  });

  it('steps the wall clock alone', async () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'a', { wallOffsetMs: 5000 });
    expect(clock.wallNow()).toBe(WALL_START_MS + 5000);
    await scheduler.run(100);
    clock.stepWall(-60_000);
    expect(clock.wallNow()).toBe(WALL_START_MS + 5000 + 100 - 60_000);
    expect(clock.now()).toBe(100);
  });

  it('holds timers and deferred calls of a paused process and runs them in order on resume', async () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'a');
    const other = new SimClock(scheduler, 'b');
    const told: string[] = [];
    clock.setTimer(30, () => told.push(`second at ${clock.now()}`));
    clock.setTimer(20, () => {
      told.push(`first at ${clock.now()}`);
      clock.defer(() => told.push('deferred by the first'));
    });
    const cancelledLater = clock.setTimer(25, () => told.push('cancelled while paused'));
    other.setTimer(25, () => told.push('the other process'));
    clock.setTimer(100, () => told.push('due at the resume'));
    await scheduler.run(10);
    clock.pause();
    await scheduler.run(50);
    expect(told).toEqual(['the other process']);
    cancelledLater.cancel();
    scheduler.schedule(100, () => clock.resume());
    await scheduler.run(200);
    expect(told.slice(1)).toEqual([
      'first at 100',
      'second at 100',
      'due at the resume',
      'deferred by the first',
    ]);
  });

  it('holds on when it is paused again amid what it caught up with', async () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'a');
    const told: number[] = [];
    for (let i = 0; i < 6; i++) {
      clock.setTimer(10 + i, () => {
        told.push(i);
        if (i === 2) clock.pause();
      });
    }
    clock.pause();
    await scheduler.run(50);
    clock.resume();
    await scheduler.run(60);
    expect(told).toEqual([0, 1, 2]);
    clock.resume();
    await scheduler.run(70);
    expect(told).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('never runs anything of a stopped process', async () => {
    const scheduler = new Scheduler();
    const clock = new SimClock(scheduler, 'a');
    let ran = 0;
    clock.setTimer(10, () => ran++);
    clock.defer(() => ran++);
    clock.pause();
    await scheduler.run(5);
    clock.stop();
    clock.resume();
    clock.setTimer(1, () => ran++);
    await scheduler.run(100);
    expect([ran, clock.state]).toEqual([0, 'stopped']);
  });
});

describe('Journal', () => {
  it('has equal digests for equal events and another one for each difference', () => {
    const base = [1.5, 'a', 'frame', 'a>b', 10, 77] as const;
    const digestOf = (...events: (readonly [number, string, string, string, number, number])[]) => {
      const journal = new Journal();
      for (const event of events) journal.record(...event);
      return journal.digest();
    };
    const variants = [
      digestOf(base),
      digestOf(base, base),
      digestOf([1.5000001, 'a', 'frame', 'a>b', 10, 77]),
      digestOf([1.5, 'b', 'frame', 'a>b', 10, 77]),
      digestOf([1.5, 'a', 'lost', 'a>b', 10, 77]),
      digestOf([1.5, 'a', 'frame', 'a>c', 10, 77]),
      digestOf([1.5, 'a', 'frame', 'a>b', 11, 77]),
      digestOf([1.5, 'a', 'frame', 'a>b', 10, 78]),
    ];
    expect(new Set(variants).size).toBe(variants.length);
    expect(digestOf(base)).toBe(variants[0]);
    expect(variants[0]).toMatch(/^[0-9a-f]{16}$/);
  });

  it('keeps lines on demand and finds the first one that differs', () => {
    const [a, b] = [new Journal({ keepLines: true }), new Journal({ keepLines: true })];
    for (const journal of [a, b]) journal.record(1, 'a', 'timer');
    expect(firstDifference(a, b)).toBeUndefined();
    a.record(2, 'a', 'frame', 'a>b', 3, 0xabc);
    expect(a.lines[1]).toBe('2.000000 a frame a>b size=3 hash=00000abc');
    expect(firstDifference(a, b)).toEqual({ line: 2, a: a.lines[1], b: '(end)' });
    const cheap = new Journal();
    cheap.record(1, 'a', 'timer');
    expect([cheap.lines, cheap.count]).toEqual([[], 1]);
  });

  it('hashes bytes alike wherever they lie in memory', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 7 }), (bytes, shift) => {
        const moved = new Uint8Array(bytes.length + shift).subarray(shift);
        moved.set(bytes);
        expect(hashBytes(moved)).toBe(hashBytes(bytes));
      }),
    );
    expect(hashBytes(new Uint8Array([1, 2, 3]))).not.toBe(hashBytes(new Uint8Array([1, 2, 4])));
    expect(hashBytes(new Uint8Array(3))).not.toBe(hashBytes(new Uint8Array(4)));
  });
});
