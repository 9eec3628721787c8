/** Leases and takeovers of one partition, explored in full for small plans, and the same with each rule left out. */
import { describe, expect, it } from 'vitest';
import { LeaseExplorer } from './lease-explorer.js';
import { type LeasePlan, NOBODY, RULES, type Rules } from './lease-model.js';

const MAX_STATES = 400_000;
/** All plans together take some ten seconds of an idle machine. */
const LIMIT_MS = 120_000;

/** A plan whose heartbeats and acknowledgements are not late. */
function inTime(...proposals: LeasePlan['proposals']): LeasePlan {
  return { proposals, lateAcks: false, maxStates: MAX_STATES };
}

/** The primary is removed; the one that follows it hands over while the removed one may still hold its lease. */
const REMOVED_THEN_PLANNED = inTime(
  { by: 'b', after: 1, members: 'bc', primary: 'b' },
  { by: 'b', after: 2, members: 'bc', primary: 'c' },
);

/** Two removals in a row: those that choose the second never acknowledged its primary. */
const REMOVED_TWICE = inTime(
  { by: 'b', after: 1, members: 'bc', primary: 'c' },
  { by: 'b', after: 2, members: 'b', primary: 'b' },
);

/** Two planned changes among three, the second to a third member: the first primary may miss the first. */
const PLANNED_ONWARDS = inTime(
  { by: 'b', after: 1, members: 'abc', primary: 'b' },
  { by: 'c', after: 2, members: 'abc', primary: 'c' },
);

/** There and back again: a primary that missed the view in between is none that stayed. */
const PLANNED_AND_BACK = inTime(
  { by: 'b', after: 1, members: 'abc', primary: 'b' },
  { by: 'c', after: 2, members: 'abc', primary: 'a' },
);

/** Planned, and then the new primary is removed before or after it served. */
const PLANNED_THEN_REMOVED = inTime(
  { by: 'a', after: 1, members: 'abc', primary: 'b' },
  { by: 'c', after: 2, members: 'ac', primary: 'c' },
);

/** The primary wants to hand over to one member while another one removes it. */
const RIVALS = inTime(
  { by: 'a', after: 1, members: 'abc', primary: 'c' },
  { by: 'b', after: 1, members: 'bc', primary: 'b' },
);

/** In between, no member of the view has the partition. */
const NOBODY_IN_BETWEEN = inTime(
  { by: 'b', after: 1, members: 'bc', primary: NOBODY },
  { by: 'b', after: 2, members: 'bc', primary: 'c' },
);

/** One removal, with heartbeats and acknowledgements that may be late. */
const LATE: LeasePlan = {
  proposals: [{ by: 'b', after: 1, members: 'bc', primary: 'b' }],
  lateAcks: true,
  maxStates: MAX_STATES,
};

/** The primary's clock is slow, those of the others are fast; and the other way round for a second takeover. */
const DRIFT: LeasePlan = { ...REMOVED_THEN_PLANNED, rates: { a: 0.98, b: 1.02, c: 0.98 } };

/** The removed primary comes back, and becomes the primary again. */
const REMOVED_AND_BACK = inTime(
  { by: 'b', after: 1, members: 'bc', primary: 'b' },
  { by: 'b', after: 2, members: 'bca', primary: 'a' },
);

const [BY_AGES, CONFIRMED, WITH_A_REST] = [
  'at once, by ages',
  'confirmed, at once',
  'confirmed, with a rest of a wait',
];

/** The plans; who serves in some run, in which view; and how takeovers without the full wait come about. */
const PLANS: readonly (readonly [string, LeasePlan, string, readonly string[]])[] = [
  ['removed, then planned', REMOVED_THEN_PLANNED, 'a1 b2 c3', [BY_AGES, CONFIRMED, WITH_A_REST]],
  ['removed twice', REMOVED_TWICE, 'a1 b3 c2', [BY_AGES, CONFIRMED, WITH_A_REST]],
  ['removed and back', REMOVED_AND_BACK, 'a1 a3 b2', [BY_AGES, CONFIRMED, WITH_A_REST]],
  ['planned onwards', PLANNED_ONWARDS, 'a1 b2 c3', [CONFIRMED, WITH_A_REST]],
  ['planned and back', PLANNED_AND_BACK, 'a1 a3 b2', [CONFIRMED, WITH_A_REST]],
  ['planned, then removed', PLANNED_THEN_REMOVED, 'a1 b2 c3', [BY_AGES, CONFIRMED, WITH_A_REST]],
  ['rivals', RIVALS, 'a1 b2 c2', [BY_AGES, CONFIRMED]],
  ['nobody in between', NOBODY_IN_BETWEEN, 'a1 c3', ['at once, after nobody']],
  ['late acknowledgements', LATE, 'a1 b2', [BY_AGES, CONFIRMED]],
  ['clocks that drift', DRIFT, 'a1 b2 c3', [BY_AGES, CONFIRMED, WITH_A_REST]],
];

/** A rule, and a plan in which two serve at once without it. */
const LEFT_OUT: readonly (readonly [keyof Rules, LeasePlan])[] = [
  ['noAckAfterAcceptance', REMOVED_THEN_PLANNED],
  ['noSelfCountAfterAcceptance', REMOVED_THEN_PLANNED],
  ['agesOfAcknowledgements', REMOVED_THEN_PLANNED],
  ['wait', REMOVED_THEN_PLANNED],
  ['remainingWaitInConfirmation', REMOVED_THEN_PLANNED],
  ['entryTime', REMOVED_TWICE],
  ['confirmationOfExactlyTheViewBefore', PLANNED_ONWARDS],
  ['waitAfterSkippedView', PLANNED_AND_BACK],
  ['marginForDrift', DRIFT],
  ['leaseFromSending', LATE],
];

describe('one member at most serves a consistent partition', () => {
  it.each(PLANS)('%s', { timeout: LIMIT_MS }, (name, plan, served, takeovers) => {
    const result = new LeaseExplorer(plan).explore();
    console.log(`${name}: ${result.states} states`);
    expect(result.violation).toBeNull();
    expect([...result.served].sort().join(' ')).toBe(served);
    expect([...result.takeovers].sort()).toEqual([...takeovers].sort());
  });
});

describe('two serve at once without the rule', () => {
  it.each(LEFT_OUT)('%s', { timeout: LIMIT_MS }, (rule, plan) => {
    const result = new LeaseExplorer(plan, { ...RULES, [rule]: false }).explore();
    console.log(`without ${rule}, after ${result.states} states:\n  ${result.violation?.join('\n  ')}`);
    expect(result.violation).not.toBeNull();
  });

  it('and every rule is left out once', () => {
    expect(LEFT_OUT.map(([rule]) => rule).sort()).toEqual(Object.keys(RULES).sort());
  });
});
