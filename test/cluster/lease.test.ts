/** Leases and what is known of their end: which acknowledgements make a quorum, and what many reports prove together. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AckAges,
  DRIFT_MARGIN,
  type Fences,
  Lease,
  takeoverWaitMs,
  weakest,
} from '../../src/cluster/lease.js';
import type { MemberInfo } from '../../src/cluster/view.js';

const LEASE_MS = 2_000;
const WAIT_MS = LEASE_MS * DRIFT_MARGIN;

/** `abc`: three members, `a` the oldest. */
function members(ids: string): MemberInfo[] {
  return [...ids].map((id) => ({ id, address: id, leaving: false }));
}

/** The lease of a member that sent heartbeats at these times and got these acknowledgements. */
function leaseOf(
  self: string,
  ids: string,
  sent: readonly number[],
  acks: readonly (readonly [string, number])[],
) {
  const lease = new Lease(self, LEASE_MS);
  lease.adopted(members(ids));
  for (const sentMs of sent) lease.sent(sentMs, true);
  for (const [from, sentMs] of acks) lease.acknowledged(from, sentMs);
  return lease;
}

describe('a lease', () => {
  it.each([
    // Itself counts with the latest heartbeat that it sent.
    ['a', 'a', [100], [], 2_100],
    ['b', 'abc', [100], [], null],
    ['b', 'abc', [100], [['c', 100]], 2_100],
    ['b', 'abc', [100, 600], [['c', 100]], 2_100],
    [
      'b',
      'abc',
      [100, 600],
      [
        ['c', 100],
        ['a', 600],
      ],
      2_600,
    ],
    // Exactly half: only with the oldest.
    ['a', 'ab', [100], [], 2_100],
    ['b', 'ab', [100], [], null],
    ['b', 'ab', [100], [['a', 100]], 2_100],
    ['a', 'abcd', [100], [['d', 100]], 2_100],
    ['b', 'abcd', [100], [['d', 100]], null],
    [
      'b',
      'abcd',
      [100],
      [
        ['d', 100],
        ['c', 100],
      ],
      2_100,
    ],
    ['b', 'abcd', [100], [['a', 100]], 2_100],
    // The second best time of three, the third best of five.
    [
      'c',
      'abcde',
      [100, 200, 300, 400],
      [
        ['a', 300],
        ['b', 200],
        ['d', 100],
      ],
      2_200,
    ],
    // The half with the oldest counts for a time at which it has not been acknowledged by more.
    [
      'b',
      'abcd',
      [100, 200, 300],
      [
        ['c', 200],
        ['d', 200],
        ['a', 300],
      ],
      2_300,
    ],
    // Strangers and times at which nothing was sent give nothing.
    [
      'b',
      'abc',
      [100],
      [
        ['x', 100],
        ['y', 100],
      ],
      null,
    ],
    ['b', 'abc', [100], [['c', 101]], null],
  ] as const)(
    'of %s among %s that sent at %j, acknowledged by %j, is until %s',
    (self, ids, sent, acks, untilMs) => {
      const lease = leaseOf(self, ids, sent, acks);
      expect(lease.untilMs).toBe(untilMs ?? Number.NEGATIVE_INFINITY);
      if (untilMs === null) return;
      expect([lease.holds(untilMs - 1), lease.holds(untilMs)]).toEqual([true, false]);
    },
  );

  it('is the same whatever order acknowledgements arrive in, and is never shortened by one', () => {
    const ack = fc.tuple(fc.constantFrom(...'abcdex'), fc.integer({ min: 1, max: 12 }));
    fc.assert(
      fc.property(fc.array(ack, { maxLength: 20 }), fc.integer({ min: 1, max: 5 }), (acks, size) => {
        const ids = 'abcde'.slice(0, size);
        const sent = Array.from({ length: 10 }, (_, i) => i + 1);
        const lease = leaseOf('b', ids, sent, []);
        for (const [from, sentMs] of acks) {
          const before = lease.untilMs;
          lease.acknowledged(from, sentMs);
          expect(lease.untilMs).toBeGreaterThanOrEqual(before);
        }
        expect(leaseOf('b', ids, sent, acks.toReversed()).untilMs).toBe(lease.untilMs);
        expect(leaseOf('b', ids, sent, [...acks, ...acks]).untilMs).toBe(lease.untilMs);
        expect(lease.untilMs).toBe(model(ids, acks));
      }),
      { seed: 1 },
    );
  });

  it('counts itself only while it has accepted no successor of its view', () => {
    const lease = new Lease('b', LEASE_MS);
    lease.adopted(members('abc'));
    lease.sent(100, true);
    lease.sent(600, false);
    lease.acknowledged('c', 600);
    expect(lease.untilMs).toBe(2_100);
    lease.acknowledged('a', 600);
    expect(lease.untilMs).toBe(2_600);
  });

  it('ends with its view, and an acknowledgement of the view before gives nothing', () => {
    const lease = leaseOf('b', 'abc', [100], [['a', 100]]);
    lease.adopted(members('ab'));
    expect(lease.holds(101)).toBe(false);
    lease.acknowledged('a', 100);
    expect(lease.holds(101)).toBe(false);
    lease.sent(200, true);
    lease.acknowledged('a', 200);
    expect(lease.untilMs).toBe(2_200);
    lease.adopted([]);
    lease.sent(300, true);
    expect(lease.untilMs).toBe(Number.NEGATIVE_INFINITY);
  });
});

/** The latest time at which some quorum had acknowledged a heartbeat of then or later. */
function model(ids: string, acks: readonly (readonly [string, number])[]): number {
  let untilMs = Number.NEGATIVE_INFINITY;
  for (let t = 1; t <= 10; t++) {
    const gave = [...ids].filter(
      (id) => id === 'b' || acks.some(([from, sentMs]) => from === id && sentMs >= t && sentMs <= 10),
    );
    const isHalf = 2 * gave.length === ids.length && gave.includes('a');
    if (2 * gave.length > ids.length || isHalf) untilMs = t + LEASE_MS;
  }
  return untilMs;
}

describe('what an acceptor knows of leases', () => {
  it('is the shorter of how long ago it acknowledged a member and how long it has been in the view', () => {
    const ages = new AckAges();
    ages.entered(1_000);
    expect(ages.ageOf('a', 1_500)).toBe(500);
    ages.acknowledged('a', 1_200);
    expect([ages.ageOf('a', 1_500), ages.ageOf('b', 1_500)]).toEqual([300, 500]);
    // What it acknowledged in the view before may have been just before the change.
    ages.entered(2_000);
    expect(ages.ageOf('a', 2_600)).toBe(600);
  });

  it('is everything when it was never in a view, so that it proves nothing', () => {
    const ages = new AckAges();
    expect(ages.ageOf('a', 5)).toBe(Number.POSITIVE_INFINITY);
    ages.entered(0);
    expect(ages.ageOf('a', 0)).toBe(0);
  });

  it('is reported for exactly the members that the next view does not have', () => {
    const ages = new AckAges();
    ages.entered(0);
    ages.acknowledged('b', 400);
    const fences = ages.fences(members('abc'), members('ad'), 1_000);
    expect(fences).toEqual({
      enteredMs: 1_000,
      removed: [
        { member: 'b', ageMs: 600 },
        { member: 'c', ageMs: 1_000 },
      ],
    });
  });
});

describe('many reports together', () => {
  it.each([
    [[], { enteredMs: 0, removed: [] }],
    [[fences(9, { a: 5 })], fences(9, { a: 5 })],
    [[fences(9, { a: 5, b: 7 }), fences(4, { a: 6, b: 2 })], fences(4, { a: 5, b: 2 })],
    // Whoever says nothing of a member knows nothing.
    [[fences(9, { a: 5 }), fences(9, {})], fences(9, { a: 0 })],
    [[fences(1, { a: 9 }), fences(2, { a: 8 }), fences(3, { a: 7 })], fences(1, { a: 7 })],
  ])('%j are worth %j', (reports, expected) => {
    expect(weakest(reports)).toEqual(expected);
  });
});

function fences(enteredMs: number, removed: Readonly<Record<string, number>>): Fences {
  return { enteredMs, removed: Object.entries(removed).map(([member, ageMs]) => ({ member, ageMs })) };
}

describe('the wait of a new primary', () => {
  const LONG = WAIT_MS + 1;
  it.each([
    ['without a word on leases', 'a', null, WAIT_MS],
    ['when all know that the former one has none', 'a', fences(LONG, { a: LONG }), 0],
    ['when that is just not sure', 'a', fences(LONG, { a: WAIT_MS }), WAIT_MS],
    ['when an acceptor was new in the view', 'a', fences(WAIT_MS, { a: LONG }), WAIT_MS],
    ['when the former one stays a member', 'a', fences(LONG, { b: LONG }), WAIT_MS],
    ['when there was none', null, fences(LONG, {}), 0],
    ['when there was none in a view that is young', null, fences(WAIT_MS, {}), WAIT_MS],
    ['when there was none and nothing is known', null, null, WAIT_MS],
  ] as const)('%s', (_name, former, word, expected) => {
    expect(takeoverWaitMs(former, word, LEASE_MS)).toBe(expected);
  });
});
