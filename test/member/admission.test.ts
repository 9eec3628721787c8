/** Why a call is not served here and now: each refusal, and that protection counts who is heard at the moment. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { StructureOptions } from '../../partitions/service.js';
import type { Replication } from '../../replication/replication.js';
import { lineageTag } from '../../src/cluster/view.js';
import { protectionRows } from '../../src/config/protection.js';
import { Admission, type AdmissionFaults } from '../../src/member/admission.js';
import { Bench, id, OPTIONS, viewOf } from '../cluster/lineages-bench.js';

const PARTITION = 3;
const ROWS = protectionRows({
  three: { minimumClusterSize: 3, protectOn: 'READ_WRITE' },
  reads: { minimumClusterSize: 3, protectOn: 'READ' },
  writes: { minimumClusterSize: 3, protectOn: 'WRITE' },
});

let bench: Bench;
let consistentFromMs = 0;

function options(consistency: 'PA/EC' | 'PC/EC', splitBrainProtection = ''): StructureOptions {
  const backups = { sync: 1, async: 0 };
  const merge = { mergePolicy: 'LatestUpdate' as const, splitBrainProtection };
  return {
    consistency,
    ...merge,
    backups,
    minSynced: 0,
    backupTimeoutMs: 5_000,
    onBackupTimeout: 'indeterminate',
  };
}

const PA = options('PA/EC');
const PC = options('PC/EC');

function admission(faults: AdmissionFaults = {}): Admission {
  return new Admission({
    lineages: () => bench.of(1),
    replication: () => ({ consistentFromMs: () => consistentFromMs }) as unknown as Replication,
    clock: { now: () => bench.clock(1) } as never,
    rows: () => ROWS,
    isFoundOrdered: () => false,
    lineage: () => lineageTag(bench.of(1).view?.lineage ?? '00000000'),
    faults,
  });
}

/** A cluster of three, in which member 1 has its lease. */
function cluster(ordered: boolean): void {
  bench.cluster([1, 2, 3], { ordered });
  bench.beats(6);
}

function refusals(gate: Admission, structure: StructureOptions): (string | undefined)[] {
  return [gate.admit(PARTITION, structure, true, 0)?.error, gate.mayAnswer(PARTITION, structure)?.error];
}

beforeEach(() => {
  bench = new Bench();
  consistentFromMs = 0;
});

describe('a call', () => {
  it('is admitted and answered under a lease, in a cluster that was founded by order', () => {
    cluster(true);
    expect([refusals(admission(), PC), refusals(admission(), PA)]).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it('for a consistent structure is refused in a cluster that was not founded by order', () => {
    cluster(false);
    expect(refusals(admission(), PC)).toEqual(['NotFounded', 'NotFounded']);
    expect(refusals(admission(), PA)).toEqual([undefined, undefined]);
  });

  it('for a consistent structure is refused without a lease, at its admission and at its answer', () => {
    cluster(true);
    bench.split([1], [2, 3]);
    bench.run(OPTIONS.leaseMs);
    const gate = admission();
    expect(refusals(gate, PC)).toEqual(['NoLease', 'NoLease']);
    expect(gate.leaseRefusals).toBe(2);
    expect(refusals(gate, PA)).toEqual([undefined, undefined]);
    expect(refusals(admission({ leaseUnchecked: true }), PC)).toEqual([undefined, undefined]);
  });

  it('for a consistent structure is refused until the lease of the former primary has ended', () => {
    cluster(true);
    consistentFromMs = bench.clock(1) + 1;
    expect(refusals(admission(), PC)).toEqual(['NoLease', 'NoLease']);
    consistentFromMs = bench.clock(1);
    expect(refusals(admission(), PC)).toEqual([undefined, undefined]);
    consistentFromMs = Number.POSITIVE_INFINITY;
    expect(refusals(admission(), PC)).toEqual(['NoLease', 'NoLease']);
  });

  it('for a consistent structure is refused in a fork and in no view', () => {
    cluster(true);
    bench.split([1], [2, 3]);
    bench.run(5 * OPTIONS.suspicionMs);
    expect(bench.of(1).isInFork).toBe(true);
    const gate = admission();
    expect(refusals(gate, PC)).toEqual(['InFork', 'InFork']);
    expect(gate.forkRefusals).toBe(2);
    expect(refusals(gate, PA)).toEqual([undefined, undefined]);
    expect(refusals(admission({ forkServesConsistent: true }), PC)).toEqual([undefined, undefined]);
    bench = new Bench();
    bench.add(1);
    expect(refusals(admission(), PC)).toEqual(['InFork', 'InFork']);
  });

  it('that was sent to another lineage is refused, whatever the structure', () => {
    cluster(true);
    const tag = lineageTag(bench.lineageOf(1) as string);
    const gate = admission();
    for (const structure of [PA, PC]) {
      expect(gate.admit(PARTITION, structure, true, tag + 1)?.error).toBe('OtherLineage');
      expect(gate.admit(PARTITION, structure, true, tag)).toBeNull();
    }
  });
});

describe('split-brain protection', () => {
  it('refuses as soon as too few are heard, before any of them is removed', () => {
    cluster(true);
    const gate = admission();
    const structure = options('PA/EC', 'three');
    expect(gate.admit(PARTITION, structure, true, 0)).toBeNull();
    bench.pause(3);
    bench.run(OPTIONS.suspicionMs - 100);
    expect(gate.admit(PARTITION, structure, true, 0)).toBeNull();
    // Nobody proposes in between: the clock alone decides.
    bench.nowMs += 600;
    expect(bench.numbersIn(1)).toEqual([1, 2, 3]);
    expect(gate.admit(PARTITION, structure, true, 0)).toMatchObject({
      error: 'SplitBrainProtection',
      message: expect.stringMatching(/'three' asks for 3 members, and \d are heard/),
    });
    expect(gate.admit(PARTITION, PA, true, 0)).toBeNull();
  });

  it('does not count a member that is heard and does not hear', () => {
    cluster(true);
    bench.cuts.add(`${id(1)}>${id(3)}`);
    bench.run(2 * OPTIONS.suspicionMs + 500);
    expect(admission().admit(PARTITION, options('PA/EC', 'three'), true, 0)?.error).toBe(
      'SplitBrainProtection',
    );
  });

  it.each([
    ['three', true, true],
    ['reads', true, false],
    ['writes', false, true],
    ['nobody defined it', true, true],
  ] as const)("'%s' refuses reads: %s, writes: %s", (name, reads, writes) => {
    cluster(true);
    const enough = admission();
    if (name !== 'nobody defined it')
      expect(enough.admit(PARTITION, options('PA/EC', name), true, 0)).toBeNull();
    bench.pause(3);
    bench.run(5 * OPTIONS.suspicionMs);
    const refused = [false, true].map((isWrite) => {
      return (
        admission().admit(PARTITION, options('PA/EC', name), isWrite, 0)?.error === 'SplitBrainProtection'
      );
    });
    expect(refused).toEqual([reads, writes]);
  });

  it('comes after the policy, and counts nobody in no view', () => {
    cluster(false);
    expect(admission().admit(PARTITION, options('PC/EC', 'three'), true, 0)?.error).toBe('NotFounded');
    bench = new Bench();
    bench.add(1);
    expect(viewOf([]).members).toEqual([]);
    expect(admission().admit(PARTITION, options('PA/EC', 'three'), true, 0)?.error).toBe(
      'SplitBrainProtection',
    );
  });
});
