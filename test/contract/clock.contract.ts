/**
 * What every Clock promises. Run by the tests of the simulated clock and of the platform's clock with a factory;
 * knows only the port. Delays are far enough apart for a busy machine to keep their order.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/base/ports.js';

export interface ClockSubject {
  readonly clock: Clock;
  /** Lets time pass until `condition` holds; rejects with `what` in the message when it never does. */
  settle(condition: () => boolean, what: string): Promise<void>;
  dispose(): Promise<void>;
}

export function clockContract(name: string, make: () => Promise<ClockSubject>): void {
  describe(`clock contract: ${name}`, () => {
    let subject: ClockSubject;
    let told: string[];
    const tell = (what: string) => () => {
      told.push(what);
    };

    beforeEach(async () => {
      subject = await make();
      told = [];
    });

    afterEach(() => subject.dispose());

    it('fires timers in the order in which they are due, and not before', async () => {
      const { clock } = subject;
      const start = clock.now();
      const lateBy: number[] = [];
      for (const delayMs of [60, 20, 40]) {
        clock.setTimer(delayMs, () => {
          told.push(String(delayMs));
          lateBy.push(clock.now() - start - delayMs);
        });
      }
      expect(told).toEqual([]);
      await subject.settle(() => told.length === 3, 'three timers fire');
      expect(told).toEqual(['20', '40', '60']);
      // Node counts whole milliseconds, so a real timer may be early by a fraction of one.
      for (const late of lateBy) expect(late).toBeGreaterThan(-1);
    });

    it('fires a timer once, and one without delay not inside setTimer', async () => {
      subject.clock.setTimer(0, tell('at once'));
      expect(told).toEqual([]);
      subject.clock.setTimer(40, tell('later'));
      await subject.settle(() => told.includes('later'), 'both timers fire');
      expect(told).toEqual(['at once', 'later']);
    });

    it('never fires a cancelled timer; cancelling twice or too late does nothing', async () => {
      const { clock } = subject;
      const cancelled = clock.setTimer(10, tell('cancelled'));
      const fired = clock.setTimer(15, tell('fired'));
      const other = clock.setTimer(30, tell('cancelled by a timer'));
      clock.setTimer(20, () => other.cancel());
      cancelled.cancel();
      cancelled.cancel();
      clock.setTimer(60, tell('end'));
      await subject.settle(() => told.includes('end'), 'the last timer fires');
      fired.cancel();
      expect(told).toEqual(['fired', 'end']);
    });

    it('runs deferred calls in order, after the promise jobs of the turn and before later timers', async () => {
      const { clock } = subject;
      clock.setTimer(0, () => {
        clock.setTimer(20, tell('timer'));
        clock.defer(tell('deferred 1'));
        clock.defer(tell('deferred 2'));
        void Promise.resolve().then(tell('job 1')).then(tell('job 2')).then(tell('job 3'));
        told.push('turn');
      });
      await subject.settle(() => told.includes('timer'), 'the timer fires');
      expect(told).toEqual(['turn', 'job 1', 'job 2', 'job 3', 'deferred 1', 'deferred 2', 'timer']);
    });

    it('lets a deferred call defer again without holding up timers for ever', async () => {
      const { clock } = subject;
      let rounds = 0;
      const again = (): void => {
        if (++rounds < 100) clock.defer(again);
        else told.push('rounds');
      };
      clock.defer(again);
      clock.setTimer(200, tell('timer'));
      await subject.settle(() => told.includes('timer'), 'the timer fires');
      expect(told).toEqual(['rounds', 'timer']);
    });

    it('shows a monotonic time that never goes back and a wall time of this age', async () => {
      const { clock } = subject;
      const seen: number[] = [clock.now()];
      for (const delayMs of [5, 10, 15, 20]) clock.setTimer(delayMs, () => seen.push(clock.now()));
      await subject.settle(() => seen.length === 5, 'four timers fire');
      expect(seen.every((now, i) => i === 0 || now >= seen[i - 1]!)).toBe(true);
      expect(seen.at(-1)! - seen[0]!).toBeGreaterThan(15);
      expect(clock.wallNow()).toBeGreaterThan(Date.UTC(2020, 0, 1));
      expect(clock.wallNow()).toBeLessThan(Date.UTC(2200, 0, 1));
    });
  });
}
