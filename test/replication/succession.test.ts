/** From when on a new primary serves consistent structures, by how it came to lead and what it was told. */

import { beforeEach, describe, expect, it } from 'vitest';
import { Succession } from '../../replication/succession.js';
import { DRIFT_MARGIN, type Fences } from '../../src/cluster/lease.js';
import { NO_TOGGLES } from '../../src/cluster/toggle.js';
import type { View } from '../../src/cluster/view.js';

const LEASE_MS = 2_000;
const WAIT_MS = LEASE_MS * DRIFT_MARGIN;
const LONG_MS = WAIT_MS + 1;
const P = 0;

let succession: Succession;
beforeEach(() => {
  succession = new Succession('self', LEASE_MS, false);
});

/** A view in which this member leads the partition; null: nobody holds it. */
function ledBy(primary: string | null, number = 7): View {
  const replicas = primary === null ? [] : [{ member: primary, synced: true }];
  const entry = {
    replicas,
    epoch: 2,
    settled: true,
    moving: false,
    generation: 0,
    lastSynced: [],
    proven: [],
  };
  const rest = {
    ordered: true,
    parent: null,
    replaced: [],
    members: [],
    slots: 1,
    target: [],
    structures: [],
    toggles: NO_TOGGLES,
  };
  return { lineage: 'l', number, table: [entry], ...rest };
}

function fences(enteredMs: number, ageMs: number): Fences {
  return { enteredMs, removed: [{ member: 'former', ageMs }] };
}

describe('a new primary', () => {
  it.each([
    [
      'of which the former was removed, and all know that its lease is over',
      'former',
      fences(LONG_MS, LONG_MS),
      0,
    ],
    ['of which the former was removed a moment ago', 'former', fences(LONG_MS, 10), WAIT_MS],
    ['of which the former stays: it waits for its confirmation', 'other', fences(LONG_MS, LONG_MS), WAIT_MS],
    ['that was told the view by somebody else than the proposer', 'former', null, WAIT_MS],
    ['of a partition that nobody held', null, fences(LONG_MS, LONG_MS), 0],
  ] as const)('%s', (_name, former, word, waitMs) => {
    succession.begin(P, ledBy(former), word, 1_000);
    expect(succession.fromMs(P)).toBe(1_000 + waitMs);
  });

  it('that skipped a view waits whatever the proposer says', () => {
    succession.begin(P, null, fences(LONG_MS, LONG_MS), 1_000);
    expect(succession.fromMs(P)).toBe(1_000 + WAIT_MS);
  });

  it('that led before goes on with what it had, and none that leads waits for ever', () => {
    succession.begin(P, ledBy('former'), null, 1_000);
    succession.begin(P, ledBy('self', 8), null, 1_500);
    expect(succession.fromMs(P)).toBe(1_000 + WAIT_MS);
    succession.forget(P);
    expect(succession.fromMs(P)).toBe(Number.POSITIVE_INFINITY);
    // It led by the view and has forgotten from when on: it waits anew.
    succession.begin(P, ledBy('self', 9), null, 5_000);
    expect(succession.fromMs(P)).toBe(5_000 + WAIT_MS);
  });

  it('serves earlier by the word on leases that comes after the view, and never later', () => {
    succession.begin(P, ledBy('former'), null, 1_000);
    succession.fenced(P, ledBy('former'), fences(LONG_MS, 10), 1_200);
    expect(succession.fromMs(P)).toBe(1_000 + WAIT_MS);
    succession.fenced(P, ledBy('former'), fences(LONG_MS, LONG_MS), 1_300);
    expect(succession.fromMs(P)).toBe(1_300);
    succession.fenced(P, ledBy('former'), fences(LONG_MS, LONG_MS), 1_900);
    expect(succession.fromMs(P)).toBe(1_300);
  });

  it('learns nothing from words on a partition that it does not lead', () => {
    succession.fenced(P, ledBy('former'), fences(LONG_MS, LONG_MS), 1_300);
    succession.confirmed(P, 0, 1_300);
    expect(succession.fromMs(P)).toBe(Number.POSITIVE_INFINITY);
  });

  it('serves once the former has confirmed, after what was left of its wait and a margin for drift', () => {
    succession.begin(P, ledBy('other'), null, 1_000);
    succession.confirmed(P, 100, 1_100);
    expect(succession.fromMs(P)).toBe(1_100 + 100 * DRIFT_MARGIN);
    succession.confirmed(P, 0, 1_110);
    expect(succession.fromMs(P)).toBe(1_110);
  });
});

describe('a former primary', () => {
  it('confirms to the successor of exactly the next view what was left of its own wait', () => {
    succession.begin(P, ledBy('former'), null, 1_000);
    succession.end(P, 9);
    expect(succession.fromMs(P)).toBe(Number.POSITIVE_INFINITY);
    expect(succession.confirmation(P, 9, 1_500)).toBe(WAIT_MS - 500);
    expect(succession.confirmation(P, 9, 1_000 + LEASE_MS * 2)).toBe(0);
    expect([succession.confirmation(P, 8, 1_500), succession.confirmation(P, 10, 1_500)]).toEqual([
      null,
      null,
    ]);
  });

  it('confirms nothing when it never led, leads again, or has forgotten', () => {
    succession.end(P, 9);
    expect(succession.confirmation(P, 9, 1_500)).toBeNull();
    succession.begin(P, ledBy('former'), null, 1_000);
    succession.end(P, 9);
    succession.begin(P, ledBy('other', 9), null, 1_600);
    expect(succession.confirmation(P, 9, 1_700)).toBeNull();
    succession.end(P, 11);
    succession.clear();
    expect([succession.confirmation(P, 11, 2_000), succession.fromMs(P)]).toEqual([
      null,
      Number.POSITIVE_INFINITY,
    ]);
  });
});
