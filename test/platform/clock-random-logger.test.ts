/** The small real ports: what their docstrings promise, on the machine that runs the test. */
import { describe, expect, it } from 'vitest';
import { createPinoLogger } from '../../src/platform/pino-logger.js';
import { SystemClock } from '../../src/platform/system-clock.js';
import { SystemRandom } from '../../src/platform/system-random.js';

describe('the system clock', () => {
  const clock = new SystemClock();

  it('never fires a timer before its delay has passed', async () => {
    const early: number[] = [];
    const delays = Array.from({ length: 60 }, (_, index) => index * 0.37);
    await Promise.all(
      delays.map(
        (delayMs) =>
          new Promise<void>((resolve) => {
            const start = clock.now();
            clock.setTimer(delayMs, () => {
              if (clock.now() - start < delayMs) early.push(delayMs);
              resolve();
            });
          }),
      ),
    );
    expect(early).toEqual([]);
  });

  it('does not fire a cancelled timer, and cancelling again does nothing', async () => {
    let fired = 0;
    const cancelled = clock.setTimer(5, () => fired++);
    cancelled.cancel();
    cancelled.cancel();
    const kept = clock.setTimer(5, () => fired++);
    await new Promise<void>((resolve) => clock.setTimer(25, resolve));
    kept.cancel();
    expect(fired).toBe(1);
  });

  it('waits for delays that Node itself would cut to one millisecond', async () => {
    let fired = false;
    const timer = clock.setTimer(2 ** 31, () => {
      fired = true;
    });
    await new Promise<void>((resolve) => clock.setTimer(20, resolve));
    timer.cancel();
    expect(fired).toBe(false);
  });

  it('defers behind promise jobs of the running turn and before timers', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      clock.setTimer(30, () => {
        order.push('timer');
        resolve();
      });
      clock.defer(() => order.push('deferred'));
      Promise.resolve().then(() => order.push('promise'));
      order.push('turn');
    });
    expect(order).toEqual(['turn', 'promise', 'deferred', 'timer']);
  });

  it('tells the time since 1970 as wall time', () => {
    expect(Math.abs(clock.wallNow() - Date.now())).toBeLessThan(1_000);
  });
});

describe('the system random source', () => {
  const random = new SystemRandom();

  it('draws whole numbers of 32 bits that reach both halves of the range', () => {
    const numbers = Array.from({ length: 5_000 }, () => random.uint32());
    expect(numbers.every((n) => Number.isInteger(n) && n >= 0 && n < 2 ** 32)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(4_990);
    expect(numbers.some((n) => n >= 2 ** 31)).toBe(true);
    expect(numbers.some((n) => n < 2 ** 31)).toBe(true);
  });

  it('draws fractions in [0, 1) around one half', () => {
    const numbers = Array.from({ length: 5_000 }, () => random.float());
    expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true);
    const mean = numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
    expect(mean).toBeGreaterThan(0.45);
    expect(mean).toBeLessThan(0.55);
  });

  it('makes different version 4 UUIDs', () => {
    const uuids = Array.from({ length: 100 }, () => random.uuid());
    expect(new Set(uuids).size).toBe(100);
    for (const uuid of uuids) {
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});

describe('the pino logger', () => {
  function capture(level?: 'debug' | 'info' | 'silent') {
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const logger = createPinoLogger(level === undefined ? { destination } : { destination, level });
    return { logger, read: () => lines.map((line) => JSON.parse(line)) };
  }

  it('writes one JSON line with level, time, event and fields', () => {
    const { logger, read } = capture();
    logger.log('warn', 'a member is slow', { member: 'a', waitedMs: 12 });
    const lines = read();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: 'warn', msg: 'a member is slow', member: 'a', waitedMs: 12 });
    expect(Number.isNaN(Date.parse(lines[0].time))).toBe(false);
  });

  it('shows errors and big integers under any key', () => {
    const { logger, read } = capture();
    logger.log('error', 'it failed', { reason: new TypeError('wrong type'), position: 2n ** 60n });
    expect(read()[0]).toMatchObject({
      reason: { type: 'TypeError', message: 'wrong type' },
      position: '1152921504606846976',
    });
  });

  it('drops what is below its level', () => {
    const quiet = capture();
    quiet.logger.log('debug', 'detail');
    quiet.logger.log('info', 'news');
    expect(quiet.read().map((line) => line.msg)).toEqual(['news']);
    const silent = capture('silent');
    silent.logger.log('error', 'nobody hears');
    expect(silent.read()).toEqual([]);
    const all = capture('debug');
    all.logger.log('debug', 'detail');
    expect(all.read()).toHaveLength(1);
  });
});
