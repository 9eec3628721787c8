/** The tail of a stream, against a plain list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeltaLog } from '../../partitions/log.js';

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('append' as const), size: fc.nat(50) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('trim' as const), size: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('skip' as const), size: fc.nat(5) }) },
);

describe('the log', () => {
  it('gives back exactly what was appended and not trimmed, and counts its bytes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const budget = { sizeBytes: 0 };
        const log = new DeltaLog(budget);
        const model = new Map<number, Buffer>();
        let seq = 0;
        for (const { kind, size } of steps) {
          if (kind === 'append') {
            const body = Buffer.alloc(size, ++seq);
            log.append({ epoch: 1, seq, body });
            model.set(seq, body);
          } else {
            // Everything is trimmed before positions are left out: a log has no holes.
            const below = kind === 'skip' ? seq : seq - size;
            log.trim(below);
            for (const at of model.keys()) if (at <= below) model.delete(at);
            if (kind === 'skip') seq += size;
          }
          for (let at = Math.max(0, seq - 20); at <= seq + 2; at++)
            expect(log.at(at)?.body).toBe(model.get(at));
          expect(log.length).toBe(model.size);
          const bytes = [...model.values()].reduce((sum, body) => sum + body.length, 0);
          expect([log.sizeBytes, budget.sizeBytes]).toEqual([bytes, bytes]);
          for (let after = Math.max(0, seq - 3); after <= seq; after++) {
            const later = [...model].filter(([at]) => at > after).map(([, body]) => body.length);
            expect(log.bytesAfter(after)).toBe(later.reduce((a, b) => a + b, 0));
          }
        }
      }),
    );
  });

  it('shares its budget with other logs and gives back its part when it is cleared', () => {
    const budget = { sizeBytes: 0 };
    const [a, b] = [new DeltaLog(budget), new DeltaLog(budget)];
    a.append({ epoch: 1, seq: 1, body: Buffer.alloc(10) });
    b.append({ epoch: 1, seq: 1, body: Buffer.alloc(7) });
    expect(budget.sizeBytes).toBe(17);
    a.clear();
    a.clear();
    expect([budget.sizeBytes, a.sizeBytes, a.length, a.firstSeq]).toEqual([7, 0, 0, 0]);
  });

  it('trims in little time, however long it is', () => {
    const log = new DeltaLog({ sizeBytes: 0 });
    for (let seq = 1; seq <= 200_000; seq++) {
      log.append({ epoch: 1, seq, body: Buffer.alloc(0) });
      if (seq > 1_000) log.trim(seq - 1_000);
    }
    expect(log.length).toBe(1_000);
    expect(log.firstSeq).toBe(199_001);
  });
});
