/** How often something is asked for, by what was wanted lately. */
import { describe, expect, it } from 'vitest';
import { Demand } from '../../src/base/demand.js';

describe('what is wanted', () => {
  it('is nothing at first', () => {
    expect(new Demand().settle(0)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is the shortest interval, and says when it became shorter', () => {
    const demand = new Demand();
    expect([demand.want(0, 300), demand.want(0, 300), demand.want(0, 5), demand.want(0, 40)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect([demand.intervalMs, demand.settle(1)]).toEqual([5, 5]);
  });

  it('ends with those who wanted it, the shortest first', () => {
    const demand = new Demand();
    demand.want(0, 5);
    const intervals: number[] = [];
    for (let nowMs = 0; nowMs <= 24_000; nowMs += 4_000) {
      if (nowMs <= 8_000) demand.want(nowMs, 40);
      if (nowMs <= 12_000) demand.want(nowMs, 604_800_000 / 3);
      intervals.push(demand.settle(nowMs));
    }
    expect(intervals).toEqual([5, 5, 5, 40, 40, 604_800_000 / 3, Number.POSITIVE_INFINITY]);
  });

  it('counts intervals that are alike as one, with the shortest', () => {
    const demand = new Demand();
    demand.want(0, 40);
    demand.want(9_000, 60);
    expect([demand.settle(11_000), demand.settle(20_000)]).toEqual([40, Number.POSITIVE_INFINITY]);
  });
});
