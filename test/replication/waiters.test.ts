/** Answers that wait: each leaves once, in the order of its position, by release or by time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TO_NOBODY } from '../../partitions/call.js';
import type { Waiter } from '../../partitions/executor.js';
import { Waiters } from '../../replication/waiters.js';

const CALL = { partition: 0, client: 1, sequence: 1 };

function waiter(seq: number, deadlineMs: number, done: () => void = () => {}, isWrite = true): Waiter {
  return {
    seq,
    deadlineMs,
    silenceMs: 0,
    isWrite,
    succeedOnTimeout: false,
    call: CALL,
    sink: TO_NOBODY,
    done,
  };
}

const never = () => false;

describe('waiters', () => {
  it('of any order leave in the order of their positions, none twice and none forgotten', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), k: fc.nat(6), seq: fc.nat(50) }),
      fc.record({ kind: fc.constant('release' as const), k: fc.nat(6), seq: fc.nat(50) }),
      fc.record({ kind: fc.constant('expire' as const), k: fc.nat(6), seq: fc.nat(50) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const waiters = new Waiters();
        const model: { k: number; seq: number; id: number }[] = [];
        const left: number[] = [];
        let next = 0;
        for (const { kind, k, seq } of steps) {
          if (kind === 'add') {
            const id = next++;
            model.push({ k, seq, id });
            // The deadline is the position: what expires is told apart by it.
            waiters.add(
              k,
              waiter(seq, seq, () => left.push(id)),
            );
            continue;
          }
          left.length = 0;
          const due = model.filter((one) => one.seq <= seq && (kind === 'expire' || one.k === k));
          for (const one of due) model.splice(model.indexOf(one), 1);
          if (kind === 'release') waiters.release(k, seq);
          else for (const one of waiters.expire(seq, never)) one.done();
          expect([...left].sort((a, b) => a - b)).toEqual(due.map(({ id }) => id).sort((a, b) => a - b));
          if (kind === 'release') {
            const seqs = left.map((id) => due.find((one) => one.id === id)?.seq ?? -1);
            expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
          }
          expect(waiters.size).toBe(model.length);
          for (let q = 0; q <= 6; q++) expect(waiters.isEmpty(q)).toBe(!model.some((one) => one.k === q));
        }
      }),
    );
  });

  it('that join while others leave wait for their own turn', () => {
    const waiters = new Waiters();
    const left: string[] = [];
    waiters.add(
      1,
      waiter(1, 9, () => {
        left.push('first');
        waiters.add(
          1,
          waiter(5, 9, () => left.push('late')),
        );
        waiters.add(
          1,
          waiter(1, 9, () => left.push('joined')),
        );
      }),
    );
    waiters.add(
      1,
      waiter(2, 9, () => left.push('second')),
    );
    waiters.release(1, 2);
    waiters.release(1, 2);
    expect([...left].sort()).toEqual(['first', 'joined', 'second']);
    expect(waiters.size).toBe(1);
    waiters.release(1, 5);
    expect(left.at(-1)).toBe('late');
  });

  it('whose backup is not silent wait on beyond their time', () => {
    const waiters = new Waiters();
    waiters.add(1, waiter(1, 10));
    waiters.add(2, waiter(1, 10));
    expect(waiters.expire(11, (k) => k === 2)).toHaveLength(1);
    expect([waiters.isEmpty(1), waiters.isEmpty(2)]).toEqual([true, false]);
    expect(waiters.drain()).toHaveLength(1);
    expect(waiters.size).toBe(0);
  });
});
